"""A real OpenTelemetry Collector receives both encodings, with every compression, over HTTP/1.1, HTTP/2
and gRPC, and holds the same spans as the sink, field by field."""

import itertools
import json
import sys
import unittest

import collector
import end_to_end
import pipeline

ENCODINGS = ("otlp_protobuf", "otlp_json")
COMPRESSIONS = ("none", "gzip", "zstd")
DIALECTS = ("generic", "openinference")
RECORDS_MAX = 400
SKIPPED = 77

BINARY = None  # the Collector's, set by main()


def canonical(span):
    """Equal for equal spans only; an integer differs from a double of the same value."""
    return json.dumps(span, sort_keys=True)


class CollectorTest(end_to_end.EndToEndTest):
    def destination(self, name, address, dialect, encoding, compression, **more):
        return {"name": name, "type": "otlp", "endpoint": address, "dialect": dialect, "encoding": encoding,
                "compression": compression, "service_name": name, **more}

    def test_the_collector_holds_what_the_sink_holds(self):
        real = collector.Collector(self.pipeline, BINARY)
        sink = self.pipeline.start_sink("sink")
        # One destination for each combination; the resource's service.name tells them apart afterwards.
        destinations, expected = [], {}
        for dialect in DIALECTS:
            reference = f"sink {dialect}"
            destinations.append(self.destination(reference, f"http://{sink.address}", dialect, "otlp_protobuf", "none"))
        combinations = itertools.product(ENCODINGS, COMPRESSIONS, (real.plain, real.tls))
        for number, (encoding, compression, address) in enumerate(combinations):
            # Each dialect meets each encoding, compression and transport, though not each triple of them.
            dialect = DIALECTS[number % 2 ^ number // 2 % 2]
            name = f"{dialect} {encoding} {compression} {address.split(':')[0]}"
            expected[name] = f"sink {dialect}"
            authority = {"ca_file": str(real.certificate)} if address == real.tls else {}
            destinations.append(self.destination(name, address, dialect, encoding, compression, **authority))
        for compression, address in itertools.product(COMPRESSIONS, (real.grpc_plain, real.grpc_tls)):
            dialect = DIALECTS[len(destinations) % 2]
            name = f"{dialect} grpc {compression} {address.split(':')[0]}"
            expected[name] = f"sink {dialect}"
            authority = {"ca_file": str(real.certificate)} if address == real.grpc_tls else {}
            destinations.append(self.destination(name, address, dialect, "otlp_protobuf", compression,
                                                 protocol="grpc", **authority))
        self.pipeline.write_config(destinations, batch_age_max="200ms")

        engine = self.pipeline.start_engine()
        self.pipeline.replay(self.exchanges, "--limit", str(RECORDS_MAX), "--with-trace", "--ids", self.ids)
        self.pipeline.wait_until_settled()
        stats = self.assert_ledger_exact(len(self.logged_ids()))
        self.assertEqual(engine.stop()[0], 0)
        # A TLS client that offers HTTP/2 gets it from this server; the plain one stays with HTTP/1.1.
        self.assertEqual({version.split(".")[0] for version in real.http_versions()}, {"1", "2"})
        real.stop()
        sink.stop()
        self.compare(real, sink, expected)
        self.check_compression(stats)

    def compare(self, real, sink, expected):
        spans = {}  # service.name -> canonical spans, the name itself left out
        for span in itertools.chain(map(collector.as_held, pipeline.read_spans(sink.out)), collector.read_spans(real.out)):
            name = span["resource"].pop("service.name")
            spans.setdefault(name, set()).add(canonical(span))
        for name, reference in expected.items():
            with self.subTest(name):
                wanted, held = spans[reference], spans.get(name, set())
                self.assertGreaterEqual(len(wanted), len(self.logged_ids()))
                missing = sorted(wanted - held)
                more = sorted(held - wanted)
                self.assertFalse(missing or more, f"{len(missing)} missing, {len(more)} other spans:\n"
                                 f"{missing[:1]}\n{more[:1]}")

    def check_compression(self, stats):
        for destination in stats["destinations"]:
            compressed = destination["bytes_sent"] < destination["bytes_uncompressed"] / 2
            self.assertEqual(compressed, " none" not in destination["name"] and "sink" not in destination["name"],
                             destination["name"])


if __name__ == "__main__":
    try:
        BINARY = collector.build()
    except collector.Unavailable as reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    unittest.main()
