"""A fixed rate for a long time, with faults at random at several destinations: exact sums and flat memory at the end.

SIDECAST_SOAK_SECONDS=600 plays for ten minutes, as tools/test does beside its later presets; CTest's own run is short.
"""

import os
import pathlib
import re
import shutil
import tempfile
import time
import unittest

import end_to_end
import faulty_receiver
import pipeline

SECONDS = int(os.environ.get("SIDECAST_SOAK_SECONDS", "20"))
RATE = 200
DESTINATIONS = 6
PHASE_S = 5  # each destination changes its manners so often
MANNERS = ("take", "take", "random", "status 503", "reset", "hang 2", "partial 1", "html 502")
SETTLED_S = 300  # the longest backoffs of our own, several times over
MIB = 1 << 20
STAGE_MAX = 16 * MIB  # of an idle engine: a segment in use and one to spare for each worker
GROWTH_MAX = 16 * MIB  # of the engine's memory in the second half, once nothing waits any more


def resident_bytes(pid):
    """Its own, without what it maps: how much of the stage is in use is looked at by itself."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"^RssAnon:\s+(\d+) kB$", status.read(), re.MULTILINE)[1]) << 10


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Soak(end_to_end.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.spool = pathlib.Path(tempfile.mkdtemp(prefix="sidecast-spool-"))
        self.addCleanup(shutil.rmtree, self.spool, ignore_errors=True)
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
                                     batch_records_max=(64, 64, 40, 100, 512, 200)[index])
             for index, backend in enumerate(self.backends)],
            # A few bad phases in a row, and waits that grew meanwhile, may be more than memory holds.
            batch_age_max="200ms", spool={"dir": str(self.spool), "age_max": "2h"})
        return chance, self.pipeline.start_engine()

    def stage_bytes(self):
        return self.pipeline.stats()["engine"]["stage_bytes"]

    def unsettled(self):
        """Who still has what, and what its receiver saw last."""
        stats = self.pipeline.stats()
        lines = [f"records: {stats['records']}, engine: {stats['engine']}"]
        for backend, each in zip(self.backends, stats["destinations"]):
            shown = {key: each[key] for key in ("name", "state", "delivered", "pending", "spooled", "requests", "retries",
                                                "last_error")}
            lines.append(f"{shown}, open at the receiver: {backend.open}, its last requests: {backend.requests[-3:]}, "
                         f"now {time.time():.1f}")
        return "\n".join(lines)

    def play_half(self, chance, name):
        """Changes manners until the replay has ended, then lets everything be delivered."""
        replay = self.pipeline.start_replay(end_to_end.SAMPLE, "--repeat", "0", "--rate", str(RATE), "--duration",
                                            str(SECONDS / 2), "--ids", self.ids, "--id-prefix", name, name=name)
        change_at = time.monotonic()
        while replay.is_running():
            if time.monotonic() >= change_at:
                change_at += PHASE_S
                for backend in self.backends[1:]:  # the first is always well
                    backend.manner = chance.choice(MANNERS)
            time.sleep(0.2)
        self.assertEqual(replay.wait()[0], 0, replay.last_words())
        for backend in self.backends:
            backend.manner = "take"
        try:
            self.pipeline.wait_until_settled(SETTLED_S)
        except pipeline.Failure as failure:
            raise pipeline.Failure(f"{failure}\n{self.unsettled()}") from None
        pipeline.wait_until(lambda: self.stage_bytes() <= STAGE_MAX, "the stage to be given back")

    def test_ends_with_exact_sums_and_as_much_memory_as_before(self):
        chance, engine = self.start_engine()
        self.play_half(chance, "first-half")
        early, files = resident_bytes(engine.pid), open_files(engine.pid)
        self.play_half(chance, "second-half")
        late = resident_bytes(engine.pid)

        written = self.logged_ids()
        self.assertGreaterEqual(len(written), RATE * SECONDS * 9 // 10, "the rate was not held")
        self.assertEqual(len(set(written)), len(written))
        stats = self.pipeline.stats("--check")
        self.assertEqual(stats["engine"]["ledger_mismatches"], 0)
        for backend, each in zip(self.backends, stats["destinations"]):
            self.assert_sums(backend, each, written)
        self.assertEqual(set(self.backends[0].taken), set(written), "the one that was always well")

        retries = sum(each["retries"] for each in stats["destinations"])
        print(f"{len(written)} records to {DESTINATIONS} destinations, {retries} retries; settled, after the first and "
              f"the second half: resident {early / MIB:.0f} and {late / MIB:.0f} MiB, {files} and "
              f"{open_files(engine.pid)} files; stage {self.stage_bytes() / MIB:.0f} MiB", flush=True)
        self.assertLessEqual(late - early, GROWTH_MAX)
        self.assertEqual(engine.stop()[0], 0, engine.last_words())

    def assert_sums(self, backend, each, written):
        name = each["name"]
        rejected, dropped = sum(each["rejected"].values()), sum(each["dropped"].values())
        self.assertEqual(each["routed"], len(written), name)
        self.assertEqual(dropped, 0, f"{name}: nothing is given up so soon, and there is a spool: {each['dropped']}")
        self.assertEqual(each["delivered"] + rejected, len(written), f"{name}: {each}")
        self.assertEqual(rejected, each["rejected"]["partial"], name)
        # What counts as rejected may have been stored before, when its answer was lost.
        self.assertGreaterEqual(len(backend.taken), each["delivered"], name)
        self.assertLessEqual(set(backend.taken), set(written), name)


if __name__ == "__main__":
    unittest.main()
