"""A fixed rate for a long time, with faults at random at several destinations: exact sums and flat memory at the end.

SIDECAST_SOAK_SECONDS=600 plays for ten minutes; the default is short enough for every run of the tests.
"""

import os
import re
import statistics
import time
import unittest

import end_to_end
import faulty_receiver
import pipeline

SECONDS = int(os.environ.get("SIDECAST_SOAK_SECONDS", "40"))
RATE = 200
DESTINATIONS = 6
PHASE_S = 5  # each destination changes its manners so often
MANNERS = ("take", "take", "random", "status 503", "reset", "hang 2", "partial 1", "html 502")
SETTLED_S = 300  # the longest backoffs of our own, several times over
MIB = 1 << 20
STAGE_MAX = 16 * MIB  # of an idle engine: a segment in use and one to spare for each worker
GROWTH_MAX = 16 * MIB  # of the engine's memory, between the first and the last quarter


def resident_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"^VmRSS:\s+(\d+) kB$", status.read(), re.MULTILINE)[1]) << 10


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Soak(end_to_end.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.receivers = faulty_receiver.Receivers()
        self.addCleanup(self.receivers.close)
        self.seed = int(os.environ.get("SIDECAST_SOAK_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
        print(f"{SECONDS} s, SIDECAST_SOAK_SEED={self.seed}", flush=True)

    def start_engine(self):
        chance = faulty_receiver.random.Random(self.seed)
        self.backends = [self.receivers.start("take", chance.random()) for _ in range(DESTINATIONS)]
        # Two share a group, the others have bytes of their own.
        self.pipeline.write_config(
            [end_to_end.generic_json(backend.address, name=f"d{index}", timeout="2s", compression="gzip",
                                     batch_records_max=(64, 64, 7, 100, 512, 30)[index])
             for index, backend in enumerate(self.backends)],
            batch_age_max="200ms", memory_limit="256MiB")
        return chance, self.pipeline.start_engine()

    def stage_bytes(self):
        return self.pipeline.stats()["engine"]["stage_bytes"]

    def play(self, chance, engine):
        """Changes manners until the replay has ended; the engine's memory, a second at a time."""
        replay = self.pipeline.start_replay(end_to_end.SAMPLE, "--repeat", "0", "--rate", str(RATE), "--duration",
                                            str(SECONDS), "--ids", self.ids)
        resident = []
        change_at = time.monotonic()
        while replay.is_running():
            if time.monotonic() >= change_at:
                change_at += PHASE_S
                for backend in self.backends[1:]:  # the first is always well
                    backend.manner = chance.choice(MANNERS)
            resident.append(resident_bytes(engine.pid))
            time.sleep(1)
        self.assertEqual(replay.wait()[0], 0, replay.last_words())
        return resident

    def test_ends_with_exact_sums_and_as_much_memory_as_before(self):
        chance, engine = self.start_engine()
        idle = self.stage_bytes()
        files = open_files(engine.pid)
        resident = self.play(chance, engine)
        for backend in self.backends:
            backend.manner = "take"
        self.pipeline.wait_until_settled(SETTLED_S)

        written = self.logged_ids()
        self.assertGreaterEqual(len(written), RATE * SECONDS * 9 // 10, "the rate was not held")
        self.assertEqual(len(set(written)), len(written))
        stats = self.pipeline.stats("--check")
        self.assertEqual(stats["engine"]["ledger_mismatches"], 0)
        for backend, each in zip(self.backends, stats["destinations"]):
            self.assert_sums(backend, each, written)
        self.assertEqual(set(self.backends[0].taken), set(written), "the one that was always well")

        quarter = max(1, len(resident) // 4)
        early, late = statistics.median(resident[quarter:2 * quarter]), statistics.median(resident[-quarter:])
        pipeline.wait_until(lambda: self.stage_bytes() <= STAGE_MAX, "the stage to be given back")
        retries = sum(each["retries"] for each in stats["destinations"])
        print(f"{len(written)} records to {DESTINATIONS} destinations, {retries} retries; resident {early / MIB:.0f} MiB "
              f"in the second quarter, {late / MIB:.0f} MiB in the last, at most {max(resident) / MIB:.0f} MiB; stage "
              f"{idle / MIB:.0f} MiB before, {self.stage_bytes() / MIB:.0f} MiB after; {files} files before, "
              f"{open_files(engine.pid)} after", flush=True)
        self.assertLessEqual(late - early, GROWTH_MAX)
        self.assertEqual(engine.stop()[0], 0, engine.last_words())

    def assert_sums(self, backend, each, written):
        name = each["name"]
        rejected, dropped = sum(each["rejected"].values()), sum(each["dropped"].values())
        self.assertEqual(each["routed"], len(written), name)
        self.assertEqual(each["delivered"] + rejected, len(written), name)
        self.assertEqual(dropped, 0, f"{name}: no outage was long enough, and there is room")
        self.assertEqual(rejected, each["rejected"]["partial"], name)
        # What counts as rejected may have been stored before, when its answer was lost.
        self.assertGreaterEqual(len(backend.taken), each["delivered"], name)
        self.assertLessEqual(set(backend.taken), set(written), name)


if __name__ == "__main__":
    unittest.main()
