"""The Collector's otlpjsonfile receiver reads what the `file` destination writes, rotated files too, and holds
the same spans as the sink, field by field."""

import json
import sys
import unittest

import collector
import end_to_end
import pipeline

RECORDS_MAX = 400
SKIPPED = 77

BINARY = None  # the Collector's, set by main()


class FileTest(end_to_end.EndToEndTest):
    def test_the_collector_reads_the_same_spans_as_the_sink_got(self):
        place = self.pipeline.folder / "traces"
        place.mkdir()
        sink = self.pipeline.start_sink("sink")
        self.pipeline.write_config(
            [{"name": "local", "type": "file", "path": str(place / "traces.jsonl"), "rotate_bytes": "400KiB",
              "batch_bytes_max": "128KiB", "rotated_compression": "none", "keep_files": 0},
             {"name": "sink", "type": "otlp", "endpoint": f"http://{sink.address}"}], batch_age_max="100ms")
        engine = self.pipeline.start_engine()
        self.pipeline.replay(self.exchanges, "--limit", str(RECORDS_MAX), "--with-trace", "--ids", self.ids)
        self.pipeline.wait_until_settled()
        self.assert_ledger_exact(len(self.logged_ids()))
        self.assertEqual(engine.stop()[0], 0)
        self.assertGreater(len(list(place.iterdir())), 1, "nothing was rotated")
        sink.stop()
        wanted = {self.canonical(collector.as_held(span)) for span in pipeline.read_spans(sink.out)}
        reader = collector.Collector(self.pipeline, BINARY, files=str(place / "*.jsonl"))
        pipeline.wait_until(lambda: len(list(collector.read_spans(reader.out))) >= len(wanted), "the Collector to read")
        reader.stop()
        held = {self.canonical(span) for span in collector.read_spans(reader.out)}
        self.assertGreaterEqual(len(wanted), len(self.logged_ids()))
        self.assertFalse(bool(wanted ^ held), f"{len(wanted - held)} missing, {len(held - wanted)} other spans")

    @staticmethod
    def canonical(span):
        return json.dumps(span, sort_keys=True)


if __name__ == "__main__":
    try:
        BINARY = collector.build()
    except collector.Unavailable as reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    unittest.main()
