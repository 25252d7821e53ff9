"""Datadog's own library and ours: each call that ours tells of, told to ddtrace as an application would, leaves it with the
same fields. The addresses differ (the library's intake, the documented API), so each has a stub of its own."""

import json
import unittest

import end_to_end
import gateway
import native_peers
import peers
import pipeline

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
    more = {"model_name": meta["model_name"], "model_provider": meta["model_provider"]} if meta["kind"] == "llm" else {}
    said = {side + "_data": meta[side].get("messages") or meta[side]["value"] for side in ("input", "output") if side in meta}
    try:
        with getattr(LLMObs, meta["kind"])(name=span["name"], session_id=span.get("session_id"), **more) as theirs:
            LLMObs.annotate(theirs, metadata={**meta["metadata"], "ours": span["span_id"]}, metrics=span["metrics"], **said)
            if "error" in meta:
                raise type(meta["error"]["type"], (Exception,), {"__module__": "builtins"})(meta["error"]["message"])
    except Exception:
        if "error" not in meta:
            raise
LLMObs.flush()
LLMObs.disable()
"""


DESTINATION = {"type": "datadog", "api_key": "key", "ml_app": "gateway"}
# Kinds of explicit spans by their numbers in the C interface, and what Datadog calls them.
KINDS = {3: "workflow", 6: "tool", 7: "agent"}


class DatadogTest(end_to_end.EndToEndTest):
    def answer(self, request):
        self.assertEqual(request["headers"]["dd-api-key"], "key")
        return 202, {}, ""

    def test_spans_have_the_fields_of_datadogs_library(self):
        spans = self.spans_of(native_peers.requests_of(self, self.answer, DESTINATION))
        chats = [span for span in spans if span["meta"]["kind"] == "llm" and "messages" in span["meta"].get("input", {})]
        failed = [span for span in chats if span["status"] == "error"]
        self.assertGreater(len(chats), len(failed) + 5)
        # One was refused, and of one the stream stops half-way: without and with an answer.
        self.assertEqual({"messages" in span["meta"]["output"] for span in failed}, {False, True})
        # What a service says to refuse is a text to us, which their way into a call would make a message of.
        for span in failed:
            if "messages" not in span["meta"]["output"]:
                self.assertIn("Rate limit", span["meta"].pop("output")["value"])
        self.compare_all(chats)

    def test_spans_of_tools_and_agents_have_them_too(self):
        ours = native_peers.peer(self, self.answer)
        self.pipeline.write_config([{**DESTINATION, "name": "datadog", "endpoint": ours.url}])
        engine = self.pipeline.start_engine()
        writer = gateway.Gateway(end_to_end.BINARIES.parent / "lib" / "libsidecast.so", self.pipeline.ring_dir, self.ids)
        for kind, name in KINDS.items():
            fields = {"name": f"my {name}", "session_id": "s-1", "input": f'{{"asked": "{name}"}}'}
            for more in ({"output": "done"}, {"error_type": "ToolFailure", "error_message": "it broke"}):
                status = writer.write_span(kind, span_id=f"{name}-{len(more)}", **fields, **more)
                self.assertEqual(status, gateway.OK)
        pipeline.wait_until(lambda: len(self.spans_of(ours.requests)) == 2 * len(KINDS), "all spans to arrive")
        self.pipeline.wait_until_settled()
        self.assertEqual(engine.stop()[0], 0)
        spans = self.spans_of(ours.requests)
        self.assertEqual(sorted((span["meta"]["kind"], span["status"]) for span in spans),
                         sorted((name, status) for name in KINDS.values() for status in ("error", "ok")))
        self.compare_all(spans)

    def spans_of(self, requests):
        return [span for request in requests
                for span in json.loads(request["body"])["data"]["attributes"]["spans"]]

    def compare_all(self, spans):
        theirs = native_peers.peer(self, self.answer)
        native_peers.run_client(PYTHON, CLIENT, {"host": theirs.url, "spans": spans})
        their_spans = {span["meta"]["metadata"].pop("ours"): span for request in theirs.requests
                       if request["path"] == "/api/v2/llmobs"
                       for event in json.loads(request["body"]) for span in event["spans"]}
        self.assertEqual(set(their_spans), {span["span_id"] for span in spans})
        for span in spans:
            with self.subTest(span["meta"]["kind"], name=span["name"], status=span["status"]):
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
            self.assertEqual(meta.get(name), their_meta.get(name), name)
        # They have a stack trace besides.
        error = their_meta.get("error", {})
        self.assertEqual(meta.get("error", {}), {name: error[name].removeprefix("builtins.")
                                                 for name in ("type", "message") if error.get(name)})
        for side in ("input", "output"):
            # Which call a tool's message answers: their type of a message has it, this way into it leaves it out.
            said = dict(meta.get(side, {}))
            if "messages" in said:
                said["messages"] = [{name: value for name, value in message.items() if name != "tool_id"}
                                    for message in said["messages"]]
            self.assertEqual(said, their_meta.get(side, {}), side)


if __name__ == "__main__":
    PYTHON = peers.python_or_skip("ddtrace", "ddtrace==4.16.0")
    unittest.main()
