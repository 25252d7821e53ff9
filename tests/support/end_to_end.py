"""What the end-to-end tests share: real programs, real exchanges, and how loss is judged.

Loss is judged by ids: what the writer logged after each write returned, against the distinct ids an
independent receiver holds. A record may arrive more than once (a retry, a restart), but then as the
same span to the last attribute.

To run one by hand: PYTHONPATH=tests/support:tools python3 tests/crash/main_job_test.py
"""

import gzip
import hashlib
import json
import os
import pathlib
import unittest

import pipeline

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = pathlib.Path(os.environ.get("SIDECAST_BINARIES") or ROOT / "build" / "dev" / "bin")
DATA = pathlib.Path(os.environ.get("SIDECAST_DATA") or ROOT.parent / "shared" / "data")
SAMPLE = ROOT / "tools" / "sample" / "exchanges.jsonl"

GENERATION_KEY = "trace.metadata.gateway.generation_id"  # where the generic dialect puts it


def recorded_exchanges():
    """The file of recorded exchanges, or our own sample, said loudly."""
    recorded = DATA / "exchanges.jsonl.gz"
    if recorded.is_file():
        return recorded
    print(f"!!!! no {recorded}: using the small sample; say where the data is with SIDECAST_DATA", flush=True)
    return SAMPLE


def read_exchanges(path):
    opened = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")
    with opened as lines:
        return [json.loads(line) for line in lines]


def generic_json(address, **more):
    """A destination of the generic dialect, JSON and zstd."""
    return {"name": "generic", "type": "otlp", "endpoint": f"http://{address}", "dialect": "generic",
            "encoding": "otlp_json", "compression": "zstd", **more}


def openinference_protobuf(address, **more):
    """A destination of the openinference dialect, protobuf and gzip."""
    return {"name": "openinference", "type": "otlp", "endpoint": f"http://{address}", "dialect": "openinference",
            "encoding": "otlp_protobuf", "compression": "gzip", **more}


def generation_id(span):
    """The gateway's id of the record, in either dialect; None in a span that is not a generation."""
    attributes = span["attributes"]
    if GENERATION_KEY in attributes:
        return attributes[GENERATION_KEY]
    metadata = json.loads(attributes.get("metadata", "{}"))
    for place in ("sidecast", "gateway"):  # the first is used when the user's own metadata has the second
        facts = metadata.get(place)
        if isinstance(facts, dict) and "generation_id" in facts:
            return facts["generation_id"]
    return None


def span_id_of(generation):
    """Ids are functions of the record: the reference's rule, written a second time."""
    return hashlib.sha256(generation.encode()).hexdigest()[:16]


class Received:
    """What one receiver holds: generations by id, and the spans that came more than once."""

    def __init__(self, *paths):
        self.spans = {}  # generation id -> span
        self.lines = 0
        self.repeats = 0
        self.unequal_repeats = []
        fingerprints = {}
        for path in paths:
            for span in pipeline.read_spans(path):
                self.lines += 1
                request = span.pop("request", None)
                key = (span["traceId"], span["spanId"])
                fingerprint = hashlib.sha256(json.dumps(span, sort_keys=True).encode()).digest()
                if key in fingerprints:
                    self.repeats += 1
                    if fingerprints[key] != fingerprint:
                        self.unequal_repeats.append(key)
                    continue
                fingerprints[key] = fingerprint
                generation = generation_id(span)
                if generation is not None:
                    span["request"] = request
                    self.spans.setdefault(generation, []).append(span)


class EndToEndTest(unittest.TestCase):
    """A test with a pipeline of its own."""

    def setUp(self):
        self.pipeline = pipeline.Pipeline(BINARIES)
        self.addCleanup(self.pipeline.close)
        self.exchanges = recorded_exchanges()
        self.ids = self.pipeline.folder / "ids.log"

    def run(self, result=None):
        try:
            return super().run(result)
        except pipeline.Failure as failure:
            self.fail(str(failure))

    def let_the_engine_make_its_directory(self):
        """As after an installation: it ran once and is gone. Gateways may write, nobody reads."""
        self.assertEqual(self.pipeline.start_engine().stop()[0], 0)

    def skip_for_want_of(self, what):
        """Ends the test here, as skipped; where everything must be had, as failed."""
        if os.environ.get("SIDECAST_REQUIRE_ALL") == "1":
            self.fail(f"skipped, and SIDECAST_REQUIRE_ALL=1 forbids it: this needs {what}")
        self.skipTest(f"this needs {what}")

    def logged_ids(self):
        return pipeline.read_lines(self.ids)

    def assert_all_arrived(self, received, name):
        """Exactly the logged ids, each as one span with the id it must have."""
        logged = set(self.logged_ids())
        self.assertGreater(len(logged), 0, "the writer logged nothing")
        missing, unknown = logged - set(received.spans), set(received.spans) - logged
        self.assertFalse(len(missing), f"{name}: {len(missing)} of {len(logged)} written records did not arrive")
        self.assertFalse(unknown, f"{name}: {len(unknown)} records arrived that nobody wrote")
        self.assertFalse(received.unequal_repeats, f"{name}: repeats that are not the same span")
        for generation, spans in received.spans.items():
            self.assertEqual([span["spanId"] for span in spans], [span_id_of(generation)], generation)

    def assert_ledger_exact(self, written):
        """The identities hold, and the numbers are those of this run. Needs a settled pipeline."""
        stats = self.pipeline.stats("--check")
        records = stats["records"]
        self.assertEqual(records["written"], written)
        self.assertEqual(records["read"], written)
        self.assertEqual(records["routable"], written)
        for destination in stats["destinations"]:
            for column in ("matched", "routed", "delivered"):
                self.assertEqual(destination[column], written, f"{destination['name']}: {column}")
        command = [str(BINARIES / "sidecast"), "stats", "--ring-dir", str(self.pipeline.ring_dir), "--check"]
        self.assertEqual(pipeline.Program(command, self.pipeline.folder / "check.log").wait()[0], 0, "stats --check")
        return stats
