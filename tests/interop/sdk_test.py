"""What a recorded stream amounts to: we say the same as the client of the vendor who sent it.

Every recorded stream is played to that client from a local server, and to our Normaliser. Texts, tool
calls, reasoning, refusals, finish reasons and usage must be equal. sdk/differences.txt lists where we
differ on purpose, sdk/rejected.txt which streams a client itself refuses; a line that is no longer true
fails the test."""

import base64
import collections
import gzip
import json
import os
import pathlib
import re
import subprocess
import sys
import unittest

import sdk_environment

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "sdk"))
import answer as answers  # noqa: E402  (needs none of the clients)
import aws_frames  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DATA = pathlib.Path(os.environ.get("SIDECAST_DATA") or ROOT.parent / "shared" / "data")
BINARIES = pathlib.Path(os.environ.get("SIDECAST_BINARIES") or ROOT / "build" / "dev" / "bin")
SKIPPED = 77
CONTENT_TYPES = {"ndjson": "application/x-ndjson", "aws-eventstream": "application/vnd.amazon.eventstream"}
# They stop in the middle, without a finish reason.
CUT = {"45af92dffb10-000"}
SAY_END = ("openai chat", "openai completions", "openai responses", "anthropic", "google", "cohere", "cohere 1",
           "mistral", "mistral conversations", "ollama", "bedrock converse")
# What says that a stream is over, and so must not be in a stream that is cut for a test.
END = re.compile(r'"(?:finish_reason|finishReason|stop_reason|stopReason|done_reason)"\s*:\s*"|\[DONE\]'
                 r'|"status"\s*:\s*"(?:completed|incomplete|failed)"\s*[,}].*"response"|"done"\s*:\s*true'
                 r'|response\.(?:completed|incomplete|failed|done)')
COMPARED = ("text", "reasoning", "refusal", "calls", "signatures", "finish_reasons", "model", "response_id")

PYTHON = None  # the interpreter that has the clients, set by main()


def streams():
    """Every recorded stream, or those of the repository's own sample where the recordings are missing."""
    files = [DATA / "exchanges.jsonl.gz", DATA / "responses_only.jsonl.gz"]
    if not files[0].is_file():
        print(f"NOT CHECKED on real input: {files[0]} is missing (SIDECAST_DATA)", flush=True)
        files = [ROOT / "tools" / "sample" / "exchanges.jsonl"]
    files.append(HERE / "sdk" / "made.jsonl")  # of what nobody has recorded, as the client's types have it
    for file in filter(pathlib.Path.is_file, files):
        with (gzip.open if file.suffix == ".gz" else open)(file, "rt", encoding="utf-8") as lines:
            for exchange in map(json.loads, lines):
                if exchange.get("response_sse"):
                    yield exchange


def player_of(exchange):
    """The client of the API that the stream follows; None where its vendor has none for Python."""
    provider, operation = exchange["provider"], exchange["operation"]
    stream, form = exchange["response_sse"], exchange.get("stream_format")
    if form == "aws-eventstream":
        return "bedrock converse" if "event: messageStart" in stream else "bedrock invoke"
    is_grpc = (exchange.get("url_path") or "").startswith("/xai_api.")
    if '"messageStart":' in stream[:100] or is_grpc or provider in ("sourcegraph", "ibm_watsonx"):
        return None
    if operation in ("messages", "responses"):
        return "anthropic" if operation == "messages" else "openai responses"
    if provider.startswith("google"):
        return "google" if operation == "chat" else None
    if provider == "cohere" and operation == "chat":
        return "cohere 1" if '"event_type"' in stream[:200] else "cohere"
    if provider == "cohere" or '"token":' in stream[:100]:
        return None
    if provider == "mistral" and operation == "chat":
        return "mistral conversations" if "conversation.response" in stream[:100] else "mistral"
    if provider == "ollama" and '"object":' not in stream[:400]:
        return "ollama" if operation == "chat" else "ollama generate"
    if operation == "audio":
        return "openai transcription"
    if operation in ("chat", "completions") and '"choices":' in stream:  # fill-in-the-middle comes as chunks of a chat
        is_chat = '"delta":' in stream or '"text_completion"' not in stream
        return "openai chat" if is_chat else "openai completions"
    return None


def body_of(exchange, player):
    """The bytes as they went over the wire."""
    if player in ("bedrock converse", "bedrock invoke"):
        return aws_frames.to_event_stream(exchange["response_sse"])
    return exchange["response_sse"].encode()


def task_of(exchange, player, body):
    content_type = CONTENT_TYPES.get(exchange.get("stream_format"), "text/event-stream")
    return {"id": exchange["id"], "player": player, "content_type": content_type,
            "body_base64": base64.b64encode(body).decode()}


def record_of(exchange, body):
    return {"id": exchange["id"], "operation": exchange["operation"], "provider": exchange["provider"],
            "endpoint": exchange.get("url_path") or "", "status": exchange["status"],
            "response_base64": base64.b64encode(body).decode()}


def run_lines(command, lines):
    """One JSON object a line in, one a line out, by id."""
    source = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False, timeout=1500)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-500:]}")
    return {result["id"]: result for result in map(json.loads, done.stdout.splitlines())}


def ours(trace):
    """A printed trace in the shape of the clients' answers."""
    answer = answers.Answer()
    for message in trace["messages"]:
        for part in message["parts"]:
            if part["kind"] in ("text", "reasoning", "refusal"):
                answer.append(part["kind"], part["text"])
            if part["kind"] == "tool_call":
                answer.call(part["id"], part["name"], part["text"])
            if part["kind"] == "reasoning" and part["signature"]:
                answer.fields["signatures"].append(part["signature"])
    for reason in trace["finish_reasons"]:
        if (trace["error_type"], reason) != ("stream_cut", "error"):  # ours, where none came
            answer.finish(reason)
    answer.put("model", trace["model"])
    answer.put("response_id", trace["response_id"])
    answer.usage = trace["usage"]
    return answer.to_json()


def differences(theirs, mine):
    """The fields in which we say something else. Where a client keeps nothing we may know more."""
    for field in COMPARED:
        if field in ("model", "response_id", "signatures") and not theirs.get(field):
            continue
        if theirs.get(field) != mine.get(field):
            yield field, theirs.get(field), mine.get(field)
    for name, count in theirs["usage"].items():
        if count != mine["usage"].get(name):
            yield f"usage.{name}", count, mine["usage"].get(name)


def read_list(name):
    """`ID FIELD: reason` lines: {(id, field): reason}."""
    listed = {}
    for line in (HERE / "sdk" / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            key, reason = line.split(": ", 1)
            identity, _, field = key.partition(" ")
            listed[identity, field] = reason
    return listed


class SdkTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.exchanges = {exchange["id"]: exchange for exchange in streams()}
        cls.players = {key: player_of(exchange) for key, exchange in cls.exchanges.items()}
        played = {key: body_of(cls.exchanges[key], player) for key, player in cls.players.items() if player}
        cls.theirs = run_lines([str(PYTHON), "-B", str(HERE / "sdk" / "play.py")],
                               (task_of(cls.exchanges[key], cls.players[key], body) for key, body in played.items()))
        printer = [str(BINARIES / "print_traces")]
        cls.mine = run_lines(printer, (record_of(cls.exchanges[key], body) for key, body in played.items()))
        # What was recorded as lines, for the streams that were framed again.
        cls.from_lines = run_lines(printer, (record_of(cls.exchanges[key], cls.exchanges[key]["response_sse"].encode())
                                             for key in played if (cls.players[key] or "").startswith("bedrock")))

    def test_every_stream_amounts_to_what_its_vendors_client_says(self):
        listed, found, unlisted = read_list("differences.txt"), set(), []
        compared = collections.Counter()
        for key, result in self.theirs.items():
            player = self.players[key]
            if "answer" not in result or player == "bedrock invoke":
                continue
            compared[player] += 1
            for field, theirs, mine in differences(result["answer"], ours(self.mine[key])):
                found.add((key, field))
                if (key, field) not in listed:
                    unlisted.append(f"{key} {field}: {player} says {theirs!r:.300}, we {mine!r:.300}")
        print("compared:", dict(compared), flush=True)
        self.assertFalse(unlisted, f"{len(unlisted)} differences:\n" + "\n".join(unlisted[:200]))
        gone = [key for key in listed if key not in found and key[0] in self.exchanges]
        self.assertFalse(gone, "listed in differences.txt and no longer true")

    def test_recorded_streams_that_came_to_no_end_are_known(self):
        cut = {key for key, trace in self.mine.items() if trace["error_type"] == "stream_cut"}
        self.assertEqual(cut, CUT & self.mine.keys())

    def test_a_stream_without_its_end_is_cut_whoever_sent_it(self):
        """Every recorded stream that ends well, without its last third of events."""
        shortened, players = {}, {}
        for key, player in self.players.items():
            events = self.exchanges[key]["response_sse"].split("\n\n")
            fine = player in SAY_END and not self.mine[key]["error_type"] and self.mine[key]["finish_reasons"]
            kept = "\n\n".join(events[:len(events) * 2 // 3])
            if fine and len(events) >= 6 and not END.search(kept):
                shortened[key], players[key] = kept + "\n\n", player
        traces = run_lines([str(BINARIES / "print_traces")],
                           (record_of(self.exchanges[key], stream.encode()) for key, stream in shortened.items()))
        print("cut:", dict(collections.Counter(players.values())), flush=True)
        whole = [(key, players[key]) for key, trace in traces.items() if trace["error_type"] != "stream_cut"]
        self.assertEqual(whole, [])
        self.assertEqual({tuple(set(trace["finish_reasons"])) for trace in traces.values()}, {("error",)})

    def test_streams_that_a_client_refuses_are_known(self):
        listed = {key for key, _ in read_list("rejected.txt")}
        refused = {key: result["rejected"] for key, result in self.theirs.items() if "rejected" in result}
        unknown = [f"{key}: {self.players[key]}: {why}" for key, why in refused.items() if key not in listed]
        self.assertFalse(unknown, f"{len(unknown)} more are refused:\n" + "\n".join(unknown[:200]))
        self.assertFalse([key for key in listed if key in self.exchanges and key not in refused],
                         "listed in rejected.txt and no longer refused")

    def test_binary_event_streams_amount_to_what_their_events_do(self):
        for key, expected in self.from_lines.items():
            with self.subTest(key):
                self.assertEqual(self.mine[key], expected)

    def test_events_of_binary_streams_are_those_that_the_client_decodes(self):
        for key, result in self.theirs.items():
            if self.players[key] == "bedrock invoke" and "answer" in result:
                data = [line[5:].strip() for line in self.exchanges[key]["response_sse"].splitlines()
                        if line.startswith("data:")]
                self.assertEqual(result["answer"]["events"], data, key)


if __name__ == "__main__":
    try:
        PYTHON = sdk_environment.python()
    except sdk_environment.Unavailable as reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    unittest.main()
