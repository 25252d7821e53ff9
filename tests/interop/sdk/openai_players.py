"""OpenAI's client: chat completions and Responses by its own accumulators, completions by hand, for
that client has none."""

import openai
from openai.lib.streaming.chat import ChatCompletionStreamState

from answer import Answer, as_dict


def client(stub):
    return openai.OpenAI(base_url=stub.address, api_key="none", max_retries=0)


def count_chat_usage(answer, usage):
    """Prompt and completion as OpenAI means them: cached tokens and reasoning included. Others (xAI) count
    reasoning beside the completion, and their total or a completion smaller than its part says so."""
    usage = usage or {}
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    output, reasoning = usage.get("completion_tokens"), completion.get("reasoning_tokens")
    if output is not None and reasoning:
        beside = usage.get("total_tokens") == (usage.get("prompt_tokens") or 0) + output + reasoning
        output += reasoning if beside or reasoning > output else 0
    answer.count("input", usage.get("prompt_tokens"))
    answer.count("output", output)
    answer.count("cache_read", prompt.get("cached_tokens"))
    answer.count("reasoning", reasoning)


def reasoning_of(message):
    """As a text, or as OpenRouter's details of it."""
    text = message.get("reasoning") or message.get("reasoning_content")
    if isinstance(text, str):
        return text
    details = message.get("reasoning_details") or []
    return "".join(detail.get("text") or detail.get("summary") or "" for detail in details)


def play_chat(stub):
    state, usage = ChatCompletionStreamState(), None
    for chunk in client(stub).chat.completions.create(model="m", messages=[], stream=True):
        state.handle_chunk(chunk)
        usage = as_dict(chunk).get("usage") or usage
    snapshot = as_dict(state.current_completion_snapshot)
    answer = Answer()
    answer.put("model", snapshot.get("model"))
    answer.put("response_id", snapshot.get("id"))
    for choice in snapshot["choices"]:
        message = choice["message"]
        answer.append("text", message.get("content"))
        answer.append("refusal", message.get("refusal"))
        answer.append("reasoning", reasoning_of(message))
        for call in message.get("tool_calls") or []:
            function = call.get("function") or {}
            answer.call(call.get("id"), function.get("name"), function.get("arguments"))
        answer.finish(choice.get("finish_reason"))
    count_chat_usage(answer, usage)
    return answer


def play_completions(stub):
    answer, texts, reasons = Answer(), {}, {}
    for chunk in client(stub).completions.create(model="m", prompt="", stream=True):
        chunk = as_dict(chunk)
        answer.put("model", chunk.get("model"))
        answer.put("response_id", chunk.get("id"))
        for choice in chunk.get("choices") or []:
            texts[choice["index"]] = texts.get(choice["index"], "") + choice["text"]
            reasons[choice["index"]] = choice.get("finish_reason")
        count_chat_usage(answer, chunk.get("usage"))
    for index in sorted(texts):
        answer.append("text", texts[index])
        answer.finish(reasons[index])
    return answer


def play_responses(stub):
    with client(stub).responses.stream(model="m", input="") as stream:
        for _ in stream:
            pass
        response = as_dict(stream.get_final_response())
    answer = Answer()
    answer.put("model", response.get("model"))
    answer.put("response_id", response.get("id"))
    for item in response.get("output") or []:
        if item["type"] == "message":
            for part in item.get("content") or []:
                answer.append("text", part.get("text"))
                answer.append("refusal", part.get("refusal"))
        elif item["type"] == "function_call":
            answer.call(item.get("call_id"), item.get("name"), item.get("arguments"))
        elif item["type"] == "custom_tool_call":
            answer.call(item.get("call_id"), item.get("name"), item.get("input"))
        elif item["type"] == "reasoning":
            texts = item.get("summary") or item.get("content") or []
            answer.append("reasoning", "\n".join(part.get("text") or "" for part in texts))
            if item.get("encrypted_content"):
                answer.fields["signatures"].append(item["encrypted_content"])
    answer.finish((response.get("incomplete_details") or {}).get("reason") or response.get("status"))
    usage = response.get("usage") or {}
    answer.count("input", usage.get("input_tokens"))
    answer.count("output", usage.get("output_tokens"))
    answer.count("cache_read", (usage.get("input_tokens_details") or {}).get("cached_tokens"))
    answer.count("reasoning", (usage.get("output_tokens_details") or {}).get("reasoning_tokens"))
    return answer


def play_transcription(stub):
    answer = Answer()
    events = client(stub).audio.transcriptions.create(model="m", file=("a.wav", b""), stream=True)
    for event in events:
        event = as_dict(event)
        if event["type"] == "transcript.text.delta":
            answer.append("text", event["delta"])
        elif event["type"] == "transcript.text.done":
            answer.fields["text"] = event["text"]
            usage = event.get("usage") or {}
            answer.count("input", usage.get("input_tokens"))
            answer.count("output", usage.get("output_tokens"))
    return answer
