"""Real readers take what we send and give back the same conversation, tokens, session, user and kinds of spans:
Arize Phoenix and MLflow as servers by their own APIs, Weave by its trace server's ingestion code."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import unittest
import urllib.request

import end_to_end
import gateway
import peers
import pipeline

FOLDER = pathlib.Path(__file__).resolve().parent
PHOENIX = ("arize-phoenix==20.26.1",)
MLFLOW = ("mlflow==3.17.2",)
# The last versions carry the trace server no more.
WEAVE = ("weave==0.52.20", "opentelemetry-proto==1.45.2")
START_SECONDS_MAX = 300  # they import for minutes where the machine is busy
SKIPPED = 77

CHAT_ID = "sample-chat-json-000"
QUESTION = "Why do harbours dry out twice a day?"
ANSWER = "Because the Moon raises two bulges of water"
SPAN_KINDS = {0: "UNKNOWN", 1: "LLM", 2: "EMBEDDING", 3: "CHAIN", 4: "RETRIEVER", 5: "RERANKER", 6: "TOOL",
              7: "AGENT", 8: "GUARDRAIL", 9: "EVALUATOR", 10: "PROMPT"}
TRACE = {"trace_name": "a root", "feature": "tides"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.loads(answer.read())


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def python_of(test, name, requirements):
    try:
        return peers.python(name, *requirements)
    except peers.Unavailable as reason:
        if os.environ.get("SIDECAST_REQUIRE_ALL") == "1":
            test.fail(f"skipped, and SIDECAST_REQUIRE_ALL=1 forbids it: {reason}")
        test.skipTest(str(reason))


class ReaderTest(end_to_end.EndToEndTest):
    """A server, the engine before it, and the sample and one explicit span of each kind through both."""

    def start_server(self, command, name, health, environment):
        """Ready, or a failure with its last words. It and its children end with the test."""
        words = self.pipeline.folder / f"{name}.log"
        ours = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")  # none of theirs
        inherited = {key: value for key, value in os.environ.items() if key not in ours}
        with words.open("wb") as log:
            server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.pipeline.folder,
                                      env={**inherited, **environment}, start_new_session=True)

        def end():
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()

        self.addCleanup(end)

        def is_ready():
            if server.poll() is not None:
                raise pipeline.Failure(f"{name} ended\n{words.read_text(errors='replace')[-2000:]}")
            return answers(health)

        pipeline.wait_until(is_ready, f"{name} to start", START_SECONDS_MAX)

    def send(self, destination):
        self.pipeline.write_config([destination], batch_age_max="200ms")
        engine = self.pipeline.start_engine()
        self.pipeline.replay(end_to_end.SAMPLE, "--ids", self.ids, "--id-prefix", "gen")
        library = end_to_end.BINARIES.parent / "lib" / "libsidecast.so"
        writer = gateway.Gateway(library, self.pipeline.ring_dir, self.ids)
        for kind, name in SPAN_KINDS.items():
            status = writer.write_span(kind=kind, span_id=f"span-{name}", name=f"my {name}", user_id="user-7",
                                       session_id="session-9", input=f"input of {name}", output=f"output of {name}",
                                       trace_json=json.dumps({"trace_id": "explicit spans", **TRACE}))
            self.assertEqual(status, gateway.OK)
        written = len(self.logged_ids()) + len(SPAN_KINDS)
        pipeline.wait_until(lambda: self.pipeline.stats()["records"]["written"] == written, "the spans to be read")
        self.pipeline.wait_until_settled()
        self.assertEqual(self.pipeline.stats()["destinations"][0]["delivered"], written)
        self.assertEqual(engine.stop()[0], 0)

    def chat_of_sample(self):
        return next(each for each in end_to_end.read_exchanges(end_to_end.SAMPLE) if each["id"] == CHAT_ID)


class Phoenix(ReaderTest):
    def test_phoenix_gives_back_what_openinference_said(self):
        python = python_of(self, "phoenix", PHOENIX)
        port = free_port()
        address = f"http://127.0.0.1:{port}"
        self.start_server([python, "-m", "phoenix.server.main", "serve"], "phoenix", f"{address}/healthz", {
            "PHOENIX_HOST": "127.0.0.1", "PHOENIX_PORT": str(port), "PHOENIX_GRPC_PORT": str(free_port()),
            "PHOENIX_WORKING_DIR": str(self.pipeline.folder / "phoenix"), "PHOENIX_TELEMETRY_ENABLED": "false"})
        self.send({"name": "phoenix", "type": "phoenix", "endpoint": address, "project": "tides"})
        expected = len(self.logged_ids()) + len(SPAN_KINDS)

        def spans():  # inserted in the background, after the answer
            try:
                held = get(f"{address}/v1/projects/tides/spans?limit=1000")["data"]
            except OSError:
                return None
            return held if len(held) >= expected else None

        held = pipeline.wait_until(spans, "Phoenix to hold every span", START_SECONDS_MAX)
        self.check_chat(held)
        self.check_kinds(held)

    def check_chat(self, spans):
        chat, = [span for span in spans if ANSWER in json.dumps(span) and QUESTION in json.dumps(span)]
        attributes = flat(chat["attributes"])
        self.assertEqual(chat["span_kind"], "LLM")
        self.assertEqual(chat["status_code"], "OK")
        self.assertEqual(attributes["llm.input_messages.1.message.role"], "user")
        self.assertEqual(attributes["llm.input_messages.1.message.content"], QUESTION)
        self.assertIn(ANSWER, attributes["llm.output_messages.0.message.content"])
        usage = self.chat_of_sample()["response"]["usage"]
        self.assertEqual(attributes["llm.token_count.prompt"], usage["prompt_tokens"])
        self.assertEqual(attributes["llm.token_count.completion"], usage["completion_tokens"])
        self.assertEqual(attributes["session.id"], self.chat_of_sample()["session"])

    def check_kinds(self, spans):
        for name in SPAN_KINDS.values():
            span, = [each for each in spans if each["name"] in (f"my {name}", "CreateEmbeddings")
                     and f"input of {name}" in json.dumps(each)]
            attributes = flat(span["attributes"])
            self.assertEqual(span["span_kind"], name)
            self.assertEqual(attributes["input.value"], f"input of {name}")
            self.assertEqual(attributes["user.id"], "user-7")
            self.assertEqual(attributes["session.id"], "session-9")
            self.assertEqual(attributes["metadata.feature"], "tides")


class Mlflow(ReaderTest):
    TYPES = {"LLM": "CHAT_MODEL", "PROMPT": "PARSER"}  # all others have the same name

    def test_mlflow_gives_back_what_its_dialect_said(self):
        python = python_of(self, "mlflow", MLFLOW)
        port = free_port()
        address = f"http://127.0.0.1:{port}"
        folder = self.pipeline.folder / "mlflow"
        folder.mkdir()
        self.start_server([python, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder}/store.db",
                           "--artifacts-destination", str(folder), "--host", "127.0.0.1", "--port", str(port),
                           "--workers", "1"], "mlflow", f"{address}/health",
                          {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{python.parent}:{os.environ['PATH']}"})
        self.send({"name": "mlflow", "type": "mlflow", "endpoint": address, "experiment_id": "0"})
        read = subprocess.run([python, FOLDER / "read_mlflow.py", address], capture_output=True, text=True, check=False,
                              timeout=START_SECONDS_MAX)
        self.assertEqual(read.returncode, 0, read.stderr)
        traces = json.loads(read.stdout)
        self.assertEqual(len(traces), len(self.logged_ids()) + 1)
        self.check_chat(traces)
        self.check_kinds(traces)

    def check_chat(self, traces):
        trace, = [each for each in traces if ANSWER in json.dumps(each) and QUESTION in json.dumps(each)]
        span, = trace["spans"]
        self.assertEqual(trace["session"], self.chat_of_sample()["session"])
        usage = self.chat_of_sample()["response"]["usage"]
        self.assertEqual(trace["tokens"]["input_tokens"], usage["prompt_tokens"])
        self.assertEqual(trace["tokens"]["output_tokens"], usage["completion_tokens"])
        self.assertEqual(span["type"], "CHAT_MODEL")
        self.assertEqual(span["status"], "OK")
        self.assertEqual(span["inputs"]["messages"][1], {"role": "user", "content": QUESTION})
        self.assertIn(ANSWER, span["outputs"]["choices"][0]["message"]["content"])
        self.assertEqual(span["attributes"]["gen_ai.request.model"], self.chat_of_sample()["model"])

    def check_kinds(self, traces):
        trace, = [each for each in traces if len(each["spans"]) == len(SPAN_KINDS)]
        self.assertEqual((trace["user"], trace["session"]), ("user-7", "session-9"))
        for name in SPAN_KINDS.values():
            span, = [each for each in trace["spans"] if each["name"] == f"my {name}"]
            self.assertEqual(span["type"], self.TYPES.get(name, name))
            self.assertIn(f"input of {name}", json.dumps(span["inputs"]))
            self.assertEqual(span["attributes"]["metadata.feature"], "tides")


class Weave(unittest.TestCase):
    def test_weaves_ingestion_shows_a_generation(self):
        python = python_of(self, "weave", WEAVE)
        convert = [end_to_end.BINARIES / "sidecast", "convert", end_to_end.SAMPLE, "--id", CHAT_ID, "--type", "weave",
                   "--raw", "--user", "user-7", "--session", "session-9", "--trace", json.dumps({"feature": "tides"})]
        request = subprocess.run(convert, capture_output=True, check=True).stdout
        read = subprocess.run([python, FOLDER / "read_weave.py"], input=request, capture_output=True, check=False,
                              timeout=START_SECONDS_MAX)
        self.assertEqual(read.returncode, 0, read.stderr.decode())
        call, = json.loads(read.stdout)
        self.assertIn(QUESTION, json.dumps(call["inputs"]))
        self.assertIn(ANSWER, json.dumps(call["output"]))
        self.assertEqual(call["thread_id"], "session-9")
        self.assertTrue(call["turn_id"])
        self.assertEqual(call["attributes"]["kind"], "llm")
        self.assertEqual(call["attributes"]["user_id"], "user-7")
        self.assertEqual(call["attributes"]["feature"], "tides")
        model = call["attributes"]["model"]
        self.assertEqual(call["display_name"], f"chat {model}")
        usage = call["summary"]["usage"][model]
        self.assertEqual((usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]), (26, 24, 50))
        self.assertIsNone(usage.get("input_tokens"))
        self.assertIsNone(call["exception"])


def flat(value, prefix=""):
    """{"a.b.0": x} of {"a": {"b": [x]}}; what is flat already stays so. JSON texts of metadata are opened."""
    if prefix == "metadata" and isinstance(value, str):
        value = json.loads(value)
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value)
    else:
        return {prefix: value}
    return {key: each for name, below in pairs
            for key, each in flat(below, f"{prefix}.{name}" if prefix else str(name)).items()}


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    skipped_only = result.wasSuccessful() and result.skipped
    if skipped_only:
        print("skipped: " + "; ".join(reason for _, reason in result.skipped))
    sys.exit(SKIPPED if skipped_only else not result.wasSuccessful())
