"""Plays recorded streams to the vendors' clients, inside the environment that has them. One JSON object
a line on standard input, {"id","player","content_type","body_base64"}; one a line comes out:
{"id","answer"} or {"id","rejected": why the client would not have it}."""

import base64
import json
import logging
import sys
import warnings

import bedrock_players
import openai_players
import vendor_players
from stub import Stub

PLAYERS = {
    "openai chat": openai_players.play_chat,
    "openai completions": openai_players.play_completions,
    "openai responses": openai_players.play_responses,
    "openai transcription": openai_players.play_transcription,
    "anthropic": vendor_players.play_anthropic,
    "google": vendor_players.play_gemini,
    "cohere": vendor_players.play_cohere,
    "cohere 1": vendor_players.play_cohere_1,
    "mistral": vendor_players.play_mistral,
    "mistral conversations": vendor_players.play_mistral_conversations,
    "ollama": vendor_players.play_ollama,
    "ollama generate": vendor_players.play_ollama_generate,
    "bedrock converse": bedrock_players.play_converse,
    "bedrock invoke": bedrock_players.play_invoke,
}


def main():
    warnings.simplefilter("ignore")  # of clients about fields they do not know
    logging.disable(logging.CRITICAL)
    stub = Stub()
    for line in sys.stdin:
        task = json.loads(line)
        stub.put(base64.b64decode(task["body_base64"]), task["content_type"])
        try:
            result = {"answer": PLAYERS[task["player"]](stub).to_json()}
        except Exception as error:  # whatever a client raises is its way to refuse a stream
            result = {"rejected": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps({"id": task["id"], **result}), flush=True)
    stub.close()


main()
