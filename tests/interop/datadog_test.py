"""Datadog's own SDK and ours: the spans that the engine sends, said again through ddtrace's LLM
Observability, leave it with the same messages, metrics, model, metadata and times."""

import json
import os
import subprocess
import sys
import unittest

import end_to_end
import native_peers
import peers

SKIPPED = 77
PYTHON = None  # of the SDK's environment, set by main()

SDK = r"""
import json, sys
from ddtrace.llmobs import LLMObs
question = json.load(sys.stdin)
LLMObs.enable(ml_app="shop", api_key="k", site="datadoghq.com", agentless_enabled=True, integrations_enabled=False)
for ours in question["spans"]:
    meta = ours["meta"]
    with LLMObs.llm(name=ours["name"], model_name=meta.get("model_name"), model_provider=meta.get("model_provider"),
                    session_id=ours.get("session_id")) as span:
        LLMObs.annotate(span, input_data=meta["input"]["messages"], output_data=meta["output"]["messages"],
                        metadata={**meta["metadata"], "our_span_id": ours["span_id"]}, metrics=ours["metrics"])
LLMObs.flush()
LLMObs.disable()
"""


class DatadogTest(end_to_end.EndToEndTest):
    def answer(self, request):
        return 202, {"content-type": "application/json"}, "{}"

    def test_spans_are_those_that_datadogs_sdk_sends(self):
        ours, theirs = native_peers.Peer(self.answer), native_peers.Peer(self.answer)
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        self.pipeline.write_config([{"name": "datadog", "type": "datadog", "endpoint": ours.url, "api_key": "k",
                                     "ml_app": "shop"}])
        engine = self.pipeline.start_engine()
        self.pipeline.replay(end_to_end.SAMPLE, "--ids", self.ids)
        self.pipeline.wait_until_settled()
        self.assert_ledger_exact(len(self.logged_ids()))
        self.assertEqual(engine.stop()[0], 0)
        spans = []
        for request in ours.requests:
            self.assertEqual(request["path"], "/api/intake/llm-obs/v1/trace/spans")
            self.assertEqual(request["headers"]["dd-api-key"], "k")
            data = json.loads(request["body"])["data"]
            self.assertEqual((data["type"], data["attributes"]["ml_app"]), ("span", "shop"))
            spans += data["attributes"]["spans"]
        self.assertEqual(len(spans), len(self.logged_ids()))
        chats = [span for span in spans if span["meta"]["kind"] == "llm" and
                 all("messages" in span["meta"].get(side, {}) for side in ("input", "output"))]
        self.assertGreater(len(chats), 0)

        environment = {**os.environ, "_DD_LLMOBS_OVERRIDE_ORIGIN": theirs.url, "DD_TRACE_ENABLED": "false",
                       "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false", "DD_REMOTE_CONFIGURATION_ENABLED": "false"}
        done = subprocess.run([str(PYTHON), "-c", SDK], input=json.dumps({"spans": chats}), text=True, env=environment,
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        said = {}
        for request in theirs.requests:
            events = json.loads(request["body"])
            for event in events if isinstance(events, list) else [events]:
                for span in event.get("spans", []):
                    said[span["meta"]["metadata"].pop("our_span_id")] = span
        self.assertEqual(set(said), {span["span_id"] for span in chats})
        for span in chats:
            their_span = said[span["span_id"]]
            with self.subTest(span["name"]):
                self.compare(span, their_span)

    def compare(self, ours, theirs):
        for side in ("input", "output"):
            self.assertEqual([self.bare(message) for message in ours["meta"][side]["messages"]],
                             [self.bare(message) for message in theirs["meta"][side]["messages"]])
        self.assertEqual(ours["metrics"], theirs["metrics"])
        self.assertEqual(ours["meta"].get("model_name"), theirs["meta"].get("model_name"))
        self.assertEqual(ours["meta"].get("model_provider"), theirs["meta"].get("model_provider"))
        self.assertEqual(ours["meta"]["metadata"], theirs["meta"]["metadata"])
        self.assertEqual(ours["parent_id"], theirs["parent_id"])
        self.assertEqual(ours["status"], theirs["status"])
        for name in ("span_id", "trace_id", "name"):
            self.assertIs(type(ours[name]), type(theirs[name]))
        for name in ("start_ns", "duration"):
            self.assertIsInstance(ours[name], int)
            self.assertIsInstance(theirs[name], int)

    @staticmethod
    def bare(message):
        """Without what one side leaves out when it is empty."""
        return {name: value for name, value in message.items() if value not in ("", [], None) and name != "tool_id"}


if __name__ == "__main__":
    try:
        PYTHON = peers.python("ddtrace", "ddtrace==4.16.0")
    except peers.Unavailable as reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    unittest.main()
