"""The other vendors' clients. Where a client has an accumulator of its own, it assembles; where it
only decodes events, the pieces are put together here as its documentation says."""

import anthropic
import cohere
import mistralai.client
import ollama
from google import genai

from answer import Answer, as_dict


# ---- Anthropic: an accumulator of its own

def play_anthropic(stub):
    client = anthropic.Anthropic(base_url=stub.address, api_key="none", max_retries=0)
    with client.messages.stream(model="m", max_tokens=1, messages=[]) as stream:
        for _ in stream:
            pass
        message = as_dict(stream.current_message_snapshot)
    answer = Answer()
    answer.put("model", message.get("model"))
    answer.put("response_id", message.get("id"))
    for block in message.get("content") or []:
        kind = block["type"]
        if kind == "text":
            answer.append("text", block.get("text"))
        elif kind == "thinking":
            answer.append("reasoning", block.get("thinking"))
            if block.get("signature"):
                answer.fields["signatures"].append(block["signature"])
        elif kind == "redacted_thinking":
            answer.fields["signatures"].append(block["data"])
        elif kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
            answer.call(block.get("id"), block.get("name"), block.get("input"))
    answer.finish(message.get("stop_reason"))
    usage = message.get("usage") or {}
    read, write = usage.get("cache_read_input_tokens"), usage.get("cache_creation_input_tokens")
    if usage.get("input_tokens") is not None:
        answer.count("input", usage["input_tokens"] + (read or 0) + (write or 0))
    answer.count("output", usage.get("output_tokens"))
    answer.count("cache_read", read)
    answer.count("cache_write", write)
    return answer


# ---- Google: each chunk is an answer with the next parts

def play_gemini(stub):
    options = genai.types.HttpOptions(base_url=stub.address, api_version="v1")
    client = genai.Client(api_key="none", http_options=options)
    answer, usage, reasons = Answer(), {}, {}
    for chunk in client.models.generate_content_stream(model="m", contents=""):
        chunk = as_dict(chunk)
        answer.put("model", chunk.get("modelVersion"))
        answer.put("response_id", chunk.get("responseId"))
        for candidate in chunk.get("candidates") or []:
            if candidate.get("finishReason"):
                reasons[candidate.get("index") or 0] = candidate["finishReason"]
            for part in (candidate.get("content") or {}).get("parts") or []:
                if part.get("text") is not None:
                    answer.append("reasoning" if part.get("thought") else "text", part["text"])
                call = part.get("functionCall")
                if call is not None:
                    answer.call(call.get("id"), call.get("name"), call.get("args"))
        usage.update({name: value for name, value in (chunk.get("usageMetadata") or {}).items() if value is not None})
    for _, reason in sorted(reasons.items()):
        answer.finish(reason)
    # Google counts thoughts beside the candidates, and its own tools' prompts beside the prompt.
    if "promptTokenCount" in usage:
        answer.count("input", usage["promptTokenCount"] + usage.get("toolUsePromptTokenCount", 0))
    if "candidatesTokenCount" in usage or "thoughtsTokenCount" in usage:
        answer.count("output", usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0))
    answer.count("cache_read", usage.get("cachedContentTokenCount"))
    answer.count("reasoning", usage.get("thoughtsTokenCount"))
    return answer


# ---- Cohere, versions 2 and 1

def play_cohere(stub):
    client = cohere.ClientV2(api_key="none", base_url=stub.address)
    answer, calls = Answer(), []
    for event in client.chat_stream(model="m", messages=[]):
        event = as_dict(event)
        delta = event.get("delta") or {}
        message = delta.get("message") or {}
        answer.put("response_id", event.get("id"))
        if event["type"] in ("content-start", "content-delta"):
            content = message.get("content") or {}
            answer.append("text", content.get("text"))
            answer.append("reasoning", content.get("thinking"))
        elif event["type"] == "tool-plan-delta":
            answer.append("reasoning", message.get("tool_plan"))
        elif event["type"] == "tool-call-start":
            call = message["tool_calls"]
            calls.append([call["id"], call["function"]["name"], call["function"].get("arguments") or ""])
        elif event["type"] == "tool-call-delta":
            calls[-1][2] += message["tool_calls"]["function"]["arguments"]
        elif event["type"] == "message-end":
            answer.finish(delta.get("finish_reason"))
            tokens = (delta.get("usage") or {}).get("tokens") or {}
            for side in ("input", "output"):
                if tokens.get(f"{side}_tokens") is not None:
                    answer.count(side, int(tokens[f"{side}_tokens"]))
    for call in calls:
        answer.call(*call)
    return answer


def play_cohere_1(stub):
    client = cohere.Client(api_key="none", base_url=stub.address)
    answer = Answer()
    for event in client.chat_stream(message=""):
        event = as_dict(event)
        if event["event_type"] == "text-generation":
            answer.append("text", event["text"])
        elif event["event_type"] == "stream-end":
            response = event["response"]
            answer.fields["text"] = response.get("text") or ""
            answer.put("response_id", response.get("generation_id"))
            for call in response.get("tool_calls") or []:
                answer.call("", call["name"], call["parameters"])
            answer.finish(event.get("finish_reason"))
            tokens = (response.get("meta") or {}).get("tokens") or {}
            for side in ("input", "output"):
                if tokens.get(f"{side}_tokens") is not None:
                    answer.count(side, int(tokens[f"{side}_tokens"]))
    return answer


# ---- Mistral

def mistral_text(answer, content):
    answer.append("text", content)
    for part in content if isinstance(content, list) else []:
        answer.append("text", part.get("text"))
        for thought in part.get("thinking") or []:
            answer.append("reasoning", thought.get("text"))


def play_mistral(stub):
    client = mistralai.client.Mistral(api_key="none", server_url=stub.address)
    answer, calls = Answer(), {}
    for event in client.chat.stream(model="m", messages=[]):
        chunk = as_dict(event.data)
        answer.put("model", chunk.get("model"))
        answer.put("response_id", chunk.get("id"))
        for choice in chunk.get("choices") or []:
            delta = choice["delta"]
            mistral_text(answer, delta.get("content"))
            for call in delta.get("tool_calls") or []:
                function = call["function"]
                known = calls.setdefault(call.get("index") or 0, [call.get("id"), function["name"], ""])
                value = function["arguments"]
                known[2] = value if not isinstance(value, str) else known[2] + value
            answer.finish(choice.get("finish_reason"))
        usage = chunk.get("usage") or {}
        answer.count("input", usage.get("prompt_tokens"))
        answer.count("output", usage.get("completion_tokens"))
    for _, call in sorted(calls.items()):
        answer.call(*call)
    return answer


def play_mistral_conversations(stub):
    client = mistralai.client.Mistral(api_key="none", server_url=stub.address)
    answer, calls = Answer(), {}
    for event in client.beta.conversations.start_stream(inputs="", model="m"):
        chunk = as_dict(event.data)
        kind = chunk["type"]
        answer.put("response_id", chunk.get("conversation_id"))
        answer.put("model", chunk.get("model"))
        if kind == "message.output.delta":
            content = chunk["content"]
            mistral_text(answer, content if isinstance(content, str) else [content])
        elif kind == "function.call.delta":
            calls.setdefault(chunk["id"], [chunk["tool_call_id"], chunk["name"], ""])[2] += chunk["arguments"]
        elif kind == "conversation.response.done":
            answer.finish("completed")  # it has no reason of its own
            answer.count("input", chunk["usage"].get("prompt_tokens"))
            answer.count("output", chunk["usage"].get("completion_tokens"))
    for call in calls.values():
        answer.call(*call)
    return answer


# ---- Ollama: one object a line

def play_ollama(stub):
    answer = Answer()
    for chunk in ollama.Client(host=stub.address).chat(model="m", messages=[], stream=True):
        message = as_dict(chunk.message)
        answer.append("text", message.get("content"))
        answer.append("reasoning", message.get("thinking"))
        for call in message.get("tool_calls") or []:
            answer.call("", call["function"]["name"], call["function"]["arguments"])
        finish_ollama(answer, chunk)
    return answer


def play_ollama_generate(stub):
    answer = Answer()
    for chunk in ollama.Client(host=stub.address).generate(model="m", prompt="", stream=True):
        answer.append("text", chunk.response)
        answer.append("reasoning", chunk.thinking)
        finish_ollama(answer, chunk)
    return answer


def finish_ollama(answer, chunk):
    answer.put("model", chunk.model)
    answer.finish(chunk.done_reason)
    answer.count("input", chunk.prompt_eval_count)
    answer.count("output", chunk.eval_count)
