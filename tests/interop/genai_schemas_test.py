"""GenAI messages follow their published schemas: those of OpenTelemetry's own package (opentelemetry-util-genai, whose
models are the convention's), over every recorded exchange."""

import json
import os
import pathlib
import subprocess
import sys
import unittest

import end_to_end
import peers

REQUIREMENTS = ("opentelemetry-util-genai==1.3b0", "pydantic==2.12.5", "jsonschema==4.25.1")
CHECK = pathlib.Path(__file__).resolve().parent / "check_genai_messages.py"
SKIPPED = 77

PYTHON = None  # set by main()


class GenAiSchemas(unittest.TestCase):
    def check(self, dialect, *options):
        recorded = end_to_end.recorded_exchanges()
        files = [recorded, recorded.with_name("responses_only.jsonl.gz")]
        convert = [end_to_end.BINARIES / "sidecast", "convert", *filter(pathlib.Path.is_file, files), "--dialect", dialect,
                   "--encoding", "otlp_json", "--lines", "--set", "attribute_bytes_max=0", *options]
        with subprocess.Popen(convert, stdout=subprocess.PIPE) as spans:
            done = subprocess.run([PYTHON, "-B", CHECK], stdin=spans.stdout, capture_output=True, text=True, check=False,
                                  timeout=1200, env={**os.environ, "PYTHONPATH": ""})
        self.assertEqual(spans.returncode, 0)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        answer = json.loads(done.stdout)
        print(dialect, *options, answer["counts"], flush=True)
        self.assertEqual(answer["complaints"][:20], [], f"{len(answer['complaints'])} complaints")
        for name in ("gen_ai.input.messages", "gen_ai.output.messages", "part text", "part tool_call", "part tool_call_response"):
            self.assertGreater(answer["counts"].get(name, 0), 0, name)
        return answer

    def test_messages_of_every_recorded_exchange_follow_the_schemas(self):
        for dialect in ("sentry", "datadog"):
            with self.subTest(dialect=dialect):
                self.check(dialect)


if __name__ == "__main__":
    try:
        PYTHON = peers.python("genai", *REQUIREMENTS)
    except peers.Unavailable as unavailable:
        print(f"skipped: {unavailable}")
        sys.exit(1 if os.environ.get("SIDECAST_REQUIRE_ALL") == "1" else SKIPPED)
    unittest.main()
