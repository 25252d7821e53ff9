"""A real Jaeger receives both encodings over HTTP and protobuf over gRPC, and its query interface gives back the
same spans as the sink holds, field by field."""

import json
import os
import sys
import unittest
import urllib.request

import collector
import end_to_end
import go_peers
import pipeline

RECORDS_MAX = 100
SKIPPED = 77
# Version 2 is a Collector over the same storage and query; its module is not to be had by a version of its own.
VERSION = "v1.76.0"

BINARY = None  # Jaeger's, set by main()


class Jaeger:
    """All in one process, everything in memory."""

    def __init__(self, run, name):
        ports = [collector.free_port() for _ in range(7)]
        self.http, self.grpc, self.query = (f"http://127.0.0.1:{port}" for port in ports[:3])
        places = ("collector.otlp.http", "collector.otlp.grpc", "query.http-server", "query.grpc-server", "admin.http",
                  "collector.http-server", "collector.grpc-server")
        flags = [f"--{place}.host-port=127.0.0.1:{port}" for place, port in zip(places, ports)]
        self.program = run.start([BINARY, "--collector.otlp.enabled", *flags], name, {"SPAN_STORAGE_TYPE": "memory"})
        pipeline.wait_until(self._is_ready, "Jaeger to start")

    def _is_ready(self):
        if not self.program.is_running():
            raise pipeline.Failure(f"Jaeger ended\n{self.program.last_words()}")
        try:
            return self.get("/api/services")
        except OSError:
            return None

    def get(self, path):
        with urllib.request.urlopen(self.query + path, timeout=30) as answer:
            return json.load(answer)

    def spans_of(self, trace_id):
        return list(collector.spans_of(self.get(f"/api/v3/traces/{trace_id}")["result"]))


class JaegerTest(end_to_end.EndToEndTest):
    def test_jaeger_holds_what_the_sink_holds(self):
        sink = self.pipeline.start_sink("sink")
        # One each, since spans of the same ids are one trace to it.
        settings = {"protobuf": {}, "json": {"encoding": "otlp_json", "compression": "none"}, "grpc": {"protocol": "grpc"},
                    "zstd": {"compression": "zstd"}}
        jaegers = {name: Jaeger(self.pipeline, f"jaeger-{name}") for name in settings}
        destinations = [{"name": name, "type": "jaeger", **more,
                         "endpoint": jaegers[name].grpc if name == "grpc" else jaegers[name].http}
                        for name, more in settings.items()]
        self.pipeline.write_config(
            [*destinations, {"name": "sink", "type": "otlp", "endpoint": f"http://{sink.address}"}],
            batch_age_max="100ms")
        engine = self.pipeline.start_engine()
        self.pipeline.replay(self.exchanges, "--limit", str(RECORDS_MAX), "--with-trace", "--ids", self.ids)
        self.pipeline.wait_until_settled()
        self.assert_ledger_exact(len(self.logged_ids()))
        self.assertEqual(engine.stop()[0], 0)
        sink.stop()
        wanted = [collector.as_held(span) for span in pipeline.read_spans(sink.out)]
        self.assertGreaterEqual(len(wanted), len(self.logged_ids()))
        expected = {self.as_stored(span) for span in wanted}
        for name, jaeger in jaegers.items():
            with self.subTest(name):
                spans = {self.canonical(span) for trace_id in {span["traceId"] for span in wanted}
                         for span in jaeger.spans_of(trace_id)}
                missing, more = sorted(expected - spans), sorted(spans - expected)
                self.assertFalse(bool(missing or more), f"{len(missing)} missing, {len(more)} other spans:\n"
                                 f"{missing[:1]}\n{more[:1]}")

    def as_stored(self, span):
        """Jaeger's storage has no place for flags, and keeps a list as JSON text."""
        attributes = {key: json.dumps(value, separators=(",", ":")) if isinstance(value, list) else value
                      for key, value in span["attributes"].items()}
        return self.canonical({**span, "flags": 0, "attributes": attributes})

    @staticmethod
    def canonical(span):
        return json.dumps(span, sort_keys=True)


if __name__ == "__main__":
    try:
        BINARY = go_peers.build("jaeger", "github.com/jaegertracing/jaeger", VERSION, "./cmd/all-in-one")
    except collector.Unavailable as reason:
        print(f"skipped: {reason}")
        sys.exit(1 if os.environ.get("SIDECAST_REQUIRE_ALL") == "1" else SKIPPED)
    unittest.main()
