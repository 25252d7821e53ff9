"""Privacy mode lets no content out: a canary stands in every field of every API that may hold content, unknown fields
included, in JSON bodies, whole and cut-off streams and errors; none leaves in any dialect and encoding, and what is
promised to stay stays.

The canaries are planted by a rule, not by a list: every text of a body is one, unless its name says that it is
structure (what the API's readers need to find their way) or one of the facts that privacy mode keeps.
"""

import json
import pathlib
import re
import subprocess
import tempfile
import unittest

import end_to_end

CANARY = "CANARY"
# Structure and kept facts: ids, models, kinds, reasons and roles. A gateway's own words, not a user's.
PLAIN = {"id", "model", "modelVersion", "modelId", "object", "role", "type", "status", "finish_reason", "finishReason",
         "native_finish_reason",
         "stop_reason", "stopReason", "event", "call_id", "tool_call_id", "tool_use_id", "toolUseId", "item_id", "index",
         "encoding_format", "system_fingerprint", "service_tier", "responseId", "response_id", "provider", "code",
         "created_at", "done_reason", "generation_id"}
NAMES = ("generic", "openinference", "langfuse", "langsmith", "braintrust", "opik", "weave", "sentry", "mlflow", "datadog")
ENCODINGS = ("otlp_protobuf", "otlp_json", "trace_json")
TRACE = {"trace_name": "kept name", "feature": "kept feature", "tags": ["kept tag"]}
ATTRIBUTES = {"note": f"{CANARY}-attribute", "nested": {"deep": f"{CANARY}-attribute"}, "region": "kept region"}


def plant(value, name=""):
    """The same JSON with a canary in every text that may be content, and one in an unknown field of each object."""
    if isinstance(value, dict):
        planted = {key: plant(each, key) for key, each in value.items()}
        # Not where any key is an argument's name: JSON schemas and logit biases are content as a whole.
        planted["unheard_of"] = {"text": f"{CANARY}-unknown", f"{CANARY}-key": [f"{CANARY}-list"]}
        return planted
    if isinstance(value, list):
        return [plant(each, name) for each in value]
    if isinstance(value, str) and name not in PLAIN:
        return f"{CANARY}-{name}-{value[:8]}"
    return value


def plant_stream(text):
    """Server-sent events or JSON Lines, event by event."""

    def planted(match):
        try:
            return match[1] + json.dumps(plant(json.loads(match[2])))
        except json.JSONDecodeError:
            return match[0]

    return re.sub(r"^(data: ?|)(\{.*)$", planted, text, flags=re.M)


def planted_exchanges():
    """The sample in four forms: whole, its streams cut off, refused with an error, and answered by no known body."""
    for exchange in end_to_end.read_exchanges(end_to_end.SAMPLE):
        response = exchange["response"]
        whole = {**exchange, "request": plant(exchange["request"]),
                 "response": plant_stream(response) if isinstance(response, str) else plant(response)}
        yield whole
        if isinstance(whole["response"], str):
            yield {**whole, "id": exchange["id"] + "-cut", "response": whole["response"][:len(whole["response"]) * 2 // 3]}
        error = {"error": {"type": "invalid_request_error", "message": f"your prompt {CANARY}-error was refused",
                           "param": f"{CANARY}-param", "metadata": {"raw": f"{CANARY}-raw"}}}
        yield {**whole, "id": exchange["id"] + "-refused", "status": 400, "response": error}
        yield {**whole, "id": exchange["id"] + "-unknown", "response": {"answer": f"{CANARY}-answer"}}


class PrivacyCanaries(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.file = pathlib.Path(self.folder.name) / "exchanges.jsonl"
        self.exchanges = list(planted_exchanges())
        self.file.write_text("".join(json.dumps(each) + "\n" for each in self.exchanges))

    def convert(self, *options):
        command = [end_to_end.BINARIES / "sidecast", "convert", self.file, "--end-ns", "1700000000000000000",
                   "--trace", json.dumps(TRACE), "--attributes", json.dumps(ATTRIBUTES), "--user", "kept user",
                   "--session", "kept session", *options]
        return subprocess.run(command, capture_output=True, check=True).stdout

    def test_no_canary_leaves_in_any_dialect_or_encoding(self):
        for dialect in NAMES:
            for encoding in ENCODINGS:
                with self.subTest(dialect=dialect, encoding=encoding):
                    form = ("--dialect", dialect, "--encoding", encoding, "--raw")
                    closed = self.convert(*form, "--privacy")
                    for found in re.findall(rb".{0,160}CANARY.{0,40}", closed, re.S)[:3]:
                        self.fail(f"left: {found}")
                    opened = self.convert(*form)
                    self.assertGreater(opened.count(CANARY.encode()), 5 * len(self.exchanges), "too few were planted")
                    for kept in ("kept name", "kept feature", "kept tag", "kept user", "kept session"):
                        self.assertIn(kept.encode(), closed)

    def test_what_stays_is_what_it_was(self):
        """Spans, times, status, tokens, costs, models and reasons are the same with and without privacy mode."""
        kept = re.compile(r"gen_ai\.(usage|operation|provider|system|response\.(id|model|finish))|gen_ai\.request\.model|"
                          r"user\.id|session\.id|trace\.(name|tags|metadata)|error\.type|span\.(type|level)")

        def facts(span):
            attributes = {name: value for name, value in span["attributes"].items() if kept.match(name)}
            # That tools were used is told in their place.
            attributes = {name: value for name, value in attributes.items() if not name.endswith(("tool_count", "tool_call_count"))}
            return {**{name: span[name] for name in ("traceId", "spanId", "parentSpanId", "name", "kind",
                                                     "startTimeUnixNano", "endTimeUnixNano")},
                    "code": span["status"].get("code"), "attributes": attributes}

        opened, closed = ([facts(json.loads(line)) for line in self.convert("--lines", *more).splitlines()]
                          for more in ((), ("--privacy",)))
        self.assertEqual(len(opened), len(closed))
        for before, after in zip(opened, closed):
            self.assertEqual(before, after)
        self.assertGreater(sum("gen_ai.usage.input_tokens" in each["attributes"] for each in closed), len(self.exchanges) // 4)

    def test_an_attribute_that_is_named_stays(self):
        closed = self.convert("--privacy", "--privacy-keep", "region", "--lines")
        self.assertIn(b"kept region", closed)
        self.assertNotIn(CANARY.encode(), closed)


if __name__ == "__main__":
    unittest.main()
