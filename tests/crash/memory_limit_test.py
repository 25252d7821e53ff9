"""A dead destination and records of 1 MB as fast as they go: memory stays bounded, the living one loses nothing."""

import json
import re
import unittest

import end_to_end
import pipeline

MIB = 1 << 20
MEMORY_LIMIT = 64 * MIB
RING = 32 * MIB
# Beyond memory_limit and the rings, which the engine maps: its program and libraries, what a worker has in
# hand of one record, connections, and what the allocator keeps.
BESIDES = 48 * MIB
LOAD_S = 5


def peak_resident_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"^VmHWM:\s+(\d+) kB$", status.read(), re.MULTILINE)[1]) << 10


class MemoryLimit(end_to_end.EndToEndTest):
    def large_exchange(self):
        exchange = end_to_end.read_exchanges(end_to_end.SAMPLE)[0]
        exchange["request"]["messages"][-1]["content"] = "Twice a day the harbour falls dry. " * (MIB // 35)
        path = self.pipeline.folder / "large.jsonl"
        path.write_text(json.dumps(exchange) + "\n")
        return path

    def run_load(self, compression):
        dead = self.pipeline.start_sink("dead", "--misbehave", "status=503")
        alive = self.pipeline.start_sink("alive")
        self.pipeline.write_config(
            [end_to_end.generic_json(dead.address, name="dead", compression=compression),
             end_to_end.openinference_protobuf(alive.address, name="alive", compression=compression)],
            memory_limit="64MiB", workers=2, batch_age_max="100ms")
        engine = self.pipeline.start_engine()
        self.pipeline.replay(self.large_exchange(), "--repeat", "0", "--duration", LOAD_S, "--ring-bytes", RING)

        def alive_has_all():
            stats = self.pipeline.stats()
            living = {each["name"]: each for each in stats["destinations"]}["alive"]
            return stats["records"]["unread"] == 0 and living["pending"] == 0

        pipeline.wait_until(alive_has_all, "the living destination to get everything")
        peak = peak_resident_bytes(engine.pid)
        stats = self.pipeline.stats("--check")
        destinations = {each["name"]: each for each in stats["destinations"]}
        print(f"{compression}: {stats['records']['written']} records of 1 MB, resident at most {peak / MIB:.0f} MiB "
              f"with memory_limit {MEMORY_LIMIT // MIB} MiB and a ring of {RING // MIB} MiB; "
              f"dead: {destinations['dead']['dropped']['budget']} dropped, {destinations['dead']['pending']} pending")
        self.assertEqual(stats["engine"]["ledger_mismatches"], 0)
        self.assertEqual(destinations["alive"]["delivered"], stats["records"]["written"])
        self.assertGreater(destinations["dead"]["dropped"]["budget"], 0)
        self.assertLessEqual(stats["engine"]["stage_bytes"], MEMORY_LIMIT)
        self.assertLessEqual(peak, MEMORY_LIMIT + RING + BESIDES)

    def test_compressed_bodies_leave_the_stage_as_the_limit(self):
        self.run_load("zstd")

    def test_plain_bodies_are_bounded_too(self):
        self.run_load("none")


if __name__ == "__main__":
    unittest.main()
