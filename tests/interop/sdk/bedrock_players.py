"""AWS's client: decodes the binary event stream and checks its sums; what the events of Converse
amount to is put together here."""

import botocore.session
from botocore.config import Config

from answer import Answer


def make_client(stub):
    session = botocore.session.Session()
    session.set_credentials("none", "none")
    config = Config(retries={"max_attempts": 0}, read_timeout=20)
    return session.create_client("bedrock-runtime", region_name="us-east-1", endpoint_url=stub.address, config=config)


CLIENTS = {}


def shared_client(stub):
    if stub.address not in CLIENTS:
        CLIENTS[stub.address] = make_client(stub)  # reading the service's model takes a while
    return CLIENTS[stub.address]


def play_converse(stub):
    messages = [{"role": "user", "content": [{"text": "-"}]}]
    response = shared_client(stub).converse_stream(modelId="m", messages=messages)
    answer, blocks = Answer(), {}
    for event in response["stream"]:
        (name, value), = event.items()
        if name == "contentBlockStart" and "toolUse" in value["start"]:
            call = value["start"]["toolUse"]
            blocks[value["contentBlockIndex"]] = [call["toolUseId"], call["name"], ""]
        elif name == "contentBlockDelta":
            add_delta(answer, blocks, value)
        elif name == "messageStop":
            answer.finish(value.get("stopReason"))
        elif name == "metadata":
            count_usage(answer, value.get("usage") or {})
    for _, call in sorted(blocks.items()):
        answer.call(*call)
    return answer


def add_delta(answer, blocks, value):
    delta = value["delta"]
    answer.append("text", delta.get("text"))
    if "toolUse" in delta:
        blocks.setdefault(value["contentBlockIndex"], ["", "", ""])[2] += delta["toolUse"]["input"]
    reasoning = delta.get("reasoningContent") or {}
    answer.append("reasoning", reasoning.get("text"))


def count_usage(answer, usage):
    """Bedrock counts what the cache held beside the input."""
    read, write = usage.get("cacheReadInputTokens"), usage.get("cacheWriteInputTokens")
    if "inputTokens" in usage:
        answer.count("input", usage["inputTokens"] + (read or 0) + (write or 0))
    answer.count("output", usage.get("outputTokens"))
    answer.count("cache_read", read)
    answer.count("cache_write", write)


def play_invoke(stub):
    """Only the frames: what the model's own events amount to, its maker's client says."""
    response = shared_client(stub).invoke_model_with_response_stream(modelId="m", body=b"{}")
    answer = Answer()
    for event in response["body"]:
        answer.fields.setdefault("events", []).append(event["chunk"]["bytes"].decode())
    return answer
