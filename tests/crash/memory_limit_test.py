"""A dead destination and large records as fast as they go: memory stays bounded, the living one loses nothing.

SIDECAST_MEMORY_SECONDS=600 keeps the outage up for ten minutes.
"""

import json
import os
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
LOAD_S = int(os.environ.get("SIDECAST_MEMORY_SECONDS", "5"))


def peak_resident_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"^VmHWM:\s+(\d+) kB$", status.read(), re.MULTILINE)[1]) << 10


class MemoryLimit(end_to_end.EndToEndTest):
    def large_exchange(self, content):
        exchange = end_to_end.read_exchanges(end_to_end.SAMPLE)[0]
        exchange["request"]["messages"][-1]["content"] = "Twice a day the harbour falls dry. " * (content // 35)
        path = self.pipeline.folder / "large.jsonl"
        path.write_text(json.dumps(exchange) + "\n")
        return path

    def run_load(self, compression, content=MIB, ring=RING, limit=MEMORY_LIMIT, besides=BESIDES):
        dead = self.pipeline.start_sink("dead", "--misbehave", "status=503")
        alive = self.pipeline.start_sink("alive")
        self.pipeline.write_config(
            [end_to_end.generic_json(dead.address, name="dead", compression=compression),
             end_to_end.openinference_protobuf(alive.address, name="alive", compression=compression)],
            memory_limit=f"{limit // MIB}MiB", workers=2, batch_age_max="100ms", give_up_after="1h")
        engine = self.pipeline.start_engine()
        self.pipeline.replay(self.large_exchange(content), "--repeat", "0", "--duration", LOAD_S, "--ring-bytes", ring,
                             seconds=LOAD_S + pipeline.WATCHDOG_S)

        def alive_has_all():
            stats = self.pipeline.stats()
            living = {each["name"]: each for each in stats["destinations"]}["alive"]
            return stats["records"]["unread"] == 0 and living["pending"] == 0

        pipeline.wait_until(alive_has_all, "the living destination to get everything")
        peak = peak_resident_bytes(engine.pid)
        stats = self.pipeline.stats("--check")
        destinations = {each["name"]: each for each in stats["destinations"]}
        print(f"{compression}: {stats['records']['written']} records of {content // MIB} MB, resident at most "
              f"{peak / MIB:.0f} MiB with memory_limit {limit // MIB} MiB and a ring of {ring // MIB} MiB; "
              f"dead: {destinations['dead']['dropped']['budget']} dropped, {destinations['dead']['pending']} pending")
        self.assertEqual(stats["engine"]["ledger_mismatches"], 0)
        self.assertEqual(destinations["alive"]["delivered"], stats["records"]["written"])
        self.assertGreater(destinations["dead"]["dropped"]["budget"], 0)
        self.assertLessEqual(stats["engine"]["stage_bytes"], limit)
        self.assertLessEqual(peak, limit + ring + besides)

    def test_compressed_bodies_leave_the_stage_as_the_limit(self):
        self.run_load("zstd")

    def test_plain_bodies_are_bounded_too(self):
        self.run_load("none")

    def test_records_of_10_mb_stay_below_the_cap(self):
        """Each worker has a few copies of one in hand: as read, as parsed, as written, as framed."""
        self.run_load("gzip", content=10 * MIB, ring=64 * MIB, limit=256 * MIB, besides=BESIDES + 2 * 4 * 10 * MIB)


if __name__ == "__main__":
    unittest.main()
