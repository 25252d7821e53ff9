"""Datadog's own library and ours: each call that ours tells of, told to ddtrace as an application would, leaves it with the
same fields. The addresses differ (the library's intake, the documented API), so each has a stub of its own."""

import json
import subprocess
import sys
import unittest

import end_to_end
import native_peers
import peers

SKIPPED = 77
PYTHON = None  # of the library's environment, set by main()

CLIENT = r"""
import json, os, sys
question = json.load(sys.stdin)
os.environ.update(DD_LLMOBS_OVERRIDE_ORIGIN=question["host"], DD_INSTRUMENTATION_TELEMETRY_ENABLED="false",
                  DD_REMOTE_CONFIGURATION_ENABLED="false", DD_TRACE_ENABLED="true", DD_APM_TRACING_ENABLED="false")
from ddtrace.llmobs import LLMObs
LLMObs.enable(ml_app="gateway", api_key="key", site="datadoghq.com", agentless_enabled=True, integrations_enabled=False)
for span in question["spans"]:
    meta = span["meta"]
    with LLMObs.llm(name=span["name"], model_name=meta["model_name"], model_provider=meta["model_provider"],
                    session_id=span.get("session_id")) as theirs:
        LLMObs.annotate(theirs, input_data=meta["input"]["messages"], output_data=meta["output"]["messages"],
                        metadata={**meta["metadata"], "ours": span["span_id"]}, metrics=span["metrics"])
LLMObs.flush()
LLMObs.disable()
"""


class DatadogTest(end_to_end.EndToEndTest):
    def answer(self, request):
        self.assertEqual(request["headers"]["dd-api-key"], "key")
        return 202, {}, ""

    def test_spans_have_the_fields_of_datadogs_library(self):
        ours, theirs = native_peers.Peer(self.answer), native_peers.Peer(self.answer)
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        self.pipeline.write_config([{"name": "datadog", "type": "datadog", "endpoint": ours.url, "api_key": "key",
                                     "ml_app": "gateway"}])
        engine = self.pipeline.start_engine()
        self.pipeline.replay(end_to_end.SAMPLE, "--ids", self.ids)
        self.pipeline.wait_until_settled()
        self.assert_ledger_exact(len(self.logged_ids()))
        self.assertEqual(engine.stop()[0], 0)
        spans = [span for request in ours.requests
                 for span in json.loads(request["body"])["data"]["attributes"]["spans"]]
        chats = [span for span in spans if span["meta"]["kind"] == "llm" and span["status"] == "ok"
                 and all("messages" in span["meta"].get(side, {}) for side in ("input", "output"))]
        self.assertGreater(len(chats), 5)

        question = {"host": theirs.url, "spans": chats}
        done = subprocess.run([str(PYTHON), "-c", CLIENT], check=True, input=json.dumps(question), text=True,
                              capture_output=True, timeout=300)
        their_spans = {span["meta"]["metadata"].pop("ours"): span for request in theirs.requests
                       if request["path"] == "/api/v2/llmobs"
                       for event in json.loads(request["body"]) for span in event["spans"]}
        self.assertEqual(set(their_spans), {span["span_id"] for span in chats}, done.stderr)
        for span in chats:
            with self.subTest(span["span_id"]):
                self.compare(span, their_spans[span["span_id"]])

    def compare(self, span, theirs):
        for name in ("span_id", "trace_id", "parent_id", "name", "start_ns", "duration", "status", "meta", "metrics"):
            self.assertIs(type(span[name]), type(theirs[name]), name)
        self.assertEqual(span["name"], theirs["name"])
        self.assertEqual(span["status"], theirs["status"])
        self.assertEqual(span["parent_id"], theirs["parent_id"])
        self.assertEqual(span.get("session_id"), theirs.get("session_id"))
        self.assertEqual(span["metrics"], theirs["metrics"])
        meta, their_meta = span["meta"], theirs["meta"]
        self.assertEqual(meta["kind"], their_meta["span"]["kind"])
        for name in ("model_name", "model_provider", "metadata"):
            self.assertEqual(meta[name], their_meta[name], name)
        for side in ("input", "output"):
            # Which call a tool's message answers: their type of a message has it, this way into it leaves it out.
            messages = [{name: value for name, value in message.items() if name != "tool_id"}
                        for message in meta[side]["messages"]]
            self.assertEqual(messages, their_meta[side]["messages"], side)


if __name__ == "__main__":
    try:
        PYTHON = peers.python("ddtrace", "ddtrace==4.16.0")
    except peers.Unavailable as reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    unittest.main()
