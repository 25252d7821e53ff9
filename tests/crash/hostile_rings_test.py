"""Forged, foreign and truncated rings beside an honest gateway: the engine says why, and goes on.

The offsets are those of shm/LAYOUT.md, written down a second time.
"""

import os
import signal
import struct
import subprocess
import sys
import unittest
import uuid

import end_to_end
import gateway
import pipeline

VERSION_AT, LANE_COUNT_AT, SIZE_AT, UUID_AT, EXTENTS_AT = 8, 12, 16, 32, 128
CONTROLS_AT, CONTROL_BYTES, TAIL_AT = 4096, 384, 128
LIBRARY = end_to_end.BINARIES.parent / "lib" / "libsidecast.so"
CROWD = 5000  # of each kind: ten thousand files


def set_u32(at, value):
    return lambda ring: struct.pack_into("<I", ring, at, value)


def set_u64(at, value):
    return lambda ring: struct.pack_into("<Q", ring, at, value)


FORGERIES = {
    "magic": set_u64(0, 1),
    "next-version": set_u32(VERSION_AT, 2),
    "no-lanes": set_u32(LANE_COUNT_AT, 0),
    "too-many-lanes": set_u32(LANE_COUNT_AT, 1 << 31),
    "size": set_u64(SIZE_AT, 1 << 40),
    "somebody-elses-name": set_u64(UUID_AT, 7),
    "lane-outside": set_u64(EXTENTS_AT, 1 << 50),
    "lane-wraps": set_u64(EXTENTS_AT + 8, (1 << 64) - 8),
    "head-far-ahead": set_u64(CONTROLS_AT, 1 << 40),
    "tail-ahead-of-head": set_u64(CONTROLS_AT + TAIL_AT, 1 << 40),
    "odd-head": set_u64(CONTROLS_AT, 3),
}


class HostileRings(end_to_end.EndToEndTest):
    def setUp(self):
        super().setUp()
        if b"__asan_init" in LIBRARY.read_bytes() or b"__tsan_init" in LIBRARY.read_bytes():
            self.skipTest("a sanitizer's library cannot be loaded into Python")
        self.sink = self.pipeline.start_sink("generic")
        self.pipeline.write_config([end_to_end.generic_json(self.sink.address)], batch_age_max="100ms")

    def start_gateway(self, ids):
        """Has written its records and lives on, idle, until the test ends."""
        process = subprocess.Popen(
            [sys.executable, "-B", gateway.__file__, LIBRARY, self.pipeline.ring_dir, ids, "wait_for_input"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (process.kill(), process.stdin.close(), process.stdout.close(), process.wait()))
        self.assertEqual(process.stdout.readline(), "written\n")
        return process

    def ring_files(self):
        return set(self.pipeline.ring_dir.glob("*.ring"))

    def ring_of_new_gateway(self, ids):
        before = self.ring_files()
        self.start_gateway(ids)
        ring, = self.ring_files() - before
        return ring

    def put_forged(self, ring, forge):
        """A copy under a name of its own, changed; no owner."""
        name = uuid.uuid4()
        copy = bytearray(ring)
        copy[UUID_AT:UUID_AT + 16] = name.bytes
        forge(copy)
        path = self.pipeline.ring_dir / f"{name}.ring"
        path.write_bytes(copy)
        return path

    def assert_the_honest_arrive(self, engine):
        pipeline.wait_until(lambda: set(self.logged_ids()) <= set(end_to_end.Received(self.sink.out).spans),
                            "the honest gateway's records")
        self.assertTrue(engine.is_running(), engine.last_words())

    def test_forged_and_foreign_files_are_explained_and_the_honest_ring_flows(self):
        self.let_the_engine_make_its_directory()
        honest = self.ring_of_new_gateway(self.ids)
        content = honest.read_bytes()
        set_aside = [self.put_forged(content, forge) for forge in FORGERIES.values()]
        ring_dir = self.pipeline.ring_dir
        (ring_dir / "text.ring").write_text("not a ring\n" * 1000)
        (ring_dir / "link.ring").symlink_to("/etc/passwd")
        (ring_dir / "directory.ring").mkdir()
        os.mkfifo(ring_dir / "pipe.ring")
        set_aside += [ring_dir / f"{name}.ring" for name in ("text", "link", "directory", "pipe")]
        engine = self.pipeline.start_engine()
        self.assert_the_honest_arrive(engine)
        pipeline.wait_until(lambda: all(path.name in engine.log.read_text() for path in set_aside), "a line for each")
        for path in set_aside:
            lines = [line for line in engine.log.read_text().splitlines() if path.name in line]
            self.assertEqual(len(lines), 1, lines)
            self.assertIn("set aside", lines[0])
        self.pipeline.wait_until_settled()
        self.pipeline.stats("--check")
        self.assertEqual(engine.stop()[0], 0)

    def test_rings_that_turn_hostile_under_the_engine_are_moved_aside(self):
        engine = self.pipeline.start_engine()
        others = self.pipeline.folder / "others.log"
        hostile = [self.ring_of_new_gateway(others) for _ in range(3)]
        pipeline.wait_until(lambda: set(pipeline.read_lines(others)) <= set(end_to_end.Received(self.sink.out).spans),
                            "what they wrote before")
        for path, attack in zip(hostile, (self.turn_back, self.run_ahead, lambda path: os.truncate(path, 0))):
            attack(path)
        pipeline.wait_until(lambda: not self.ring_files() & set(hostile), "the hostile rings to be moved aside")
        self.start_gateway(self.ids)
        self.assert_the_honest_arrive(engine)
        said = engine.log.read_text()
        for path in hostile:
            self.assertEqual(said.count(f"{path.name} of "), 2, "once found, once moved aside")
        self.assertEqual(engine.stop()[0], 0)

    def test_what_was_read_of_a_ring_stays_counted_when_it_turns_hostile_between_two_engines(self):
        engine = self.pipeline.start_engine()
        ring = self.ring_of_new_gateway(self.ids)
        self.assert_the_honest_arrive(engine)
        self.assertEqual(engine.stop()[0], 0)
        self.run_ahead(ring)
        self.assertEqual(self.pipeline.start_engine().stop()[0], 0)
        self.assert_sums_hold(len(self.logged_ids()))

    def test_a_hostile_ring_that_cannot_be_kept_is_removed_and_said(self):
        engine = self.pipeline.start_engine()
        (self.pipeline.ring_dir / ".engine" / "quarantine").write_text("in the way")
        ring = self.ring_of_new_gateway(self.ids)
        self.assert_the_honest_arrive(engine)
        self.run_ahead(ring)
        pipeline.wait_until(lambda: "cannot be kept" in engine.log.read_text(), "a word on the failure")
        self.assertFalse(ring.exists())
        self.assertEqual(engine.stop()[0], 0)
        self.assertEqual(self.pipeline.start_engine().stop()[0], 0)
        self.assert_sums_hold(len(self.logged_ids()))

    def test_a_flood_of_foreign_files_is_a_few_lines(self):
        self.let_the_engine_make_its_directory()
        for number in range(300):
            (self.pipeline.ring_dir / f"foreign-{number}.ring").touch()
        engine = self.pipeline.start_engine()
        pipeline.wait_until(lambda: "300 files in" in engine.log.read_text(), "the count")
        self.assertLess(engine.log.read_text().count("set aside"), 40)
        # Others in their place: the list of those set aside has shrunk meanwhile.
        for number in range(300):
            (self.pipeline.ring_dir / f"foreign-{number}.ring").unlink()
        for number in range(300):
            (self.pipeline.ring_dir / f"other-{number}.ring").touch()
        pipeline.wait_until(lambda: "600 files in" in engine.log.read_text(), "the others")
        self.assertEqual(engine.stop()[0], 0)

    def test_an_engine_killed_while_it_removes_a_ring_counts_it_once(self):
        engine = self.pipeline.start_engine()
        gateway_process = self.start_gateway(self.ids)
        self.assert_the_honest_arrive(engine)
        self.assertEqual(engine.stop()[0], 0)
        gateway_process.kill()
        gateway_process.wait()
        for point in ("redo.sealed", "redo.applying"):
            command = [end_to_end.BINARIES / "sidecastd", "--config", self.pipeline.config]
            killed = self.pipeline.start(command, "killed", {"SIDECAST_KILL_AT": point})
            if point == "redo.sealed":
                self.assertEqual(killed.wait()[0], -signal.SIGKILL)
            else:
                pipeline.wait_until(lambda: not self.ring_files(), "the ring to be gone")
                self.assertEqual(killed.stop()[0], 0)
        self.assert_sums_hold(len(self.logged_ids()))

    def assert_sums_hold(self, written):
        stats = self.pipeline.stats("--check")
        self.assertEqual(stats["records"]["written"], written)
        self.assertEqual(stats["records"]["read"], written)
        self.assertEqual(stats["engine"]["ledger_mismatches"], 0)

    @staticmethod
    def patch_used_lane(path, head):
        """Gives the lane that was written to another head."""
        with path.open("r+b") as ring:
            controls = ring.read(CONTROLS_AT + 16 * CONTROL_BYTES)
            lanes = struct.unpack_from("<I", controls, LANE_COUNT_AT)[0]
            used = max(range(lanes), key=lambda lane: struct.unpack_from("<Q", controls, CONTROLS_AT + lane * CONTROL_BYTES))
            at = CONTROLS_AT + used * CONTROL_BYTES
            ring.seek(at)
            ring.write(struct.pack("<Q", head(struct.unpack_from("<Q", controls, at)[0])))

    def turn_back(self, path):
        self.patch_used_lane(path, lambda head: 8)

    def run_ahead(self, path):
        self.patch_used_lane(path, lambda head: head + (1 << 40))

    def test_ten_thousand_files_do_not_keep_the_engine_from_the_honest(self):
        self.let_the_engine_make_its_directory()
        model = bytearray(self.empty_ring())
        for _ in range(CROWD):
            name = uuid.uuid4()
            model[UUID_AT:UUID_AT + 16] = name.bytes
            path = self.pipeline.ring_dir / f"{name}.ring"
            with path.open("wb") as ring:  # sparse: only the header is there
                ring.write(model)
                ring.truncate(struct.unpack_from("<Q", model, SIZE_AT)[0])
            (self.pipeline.ring_dir / f"foreign-{name}.ring").touch()
        engine = self.pipeline.start_engine()
        self.start_gateway(self.ids)
        self.assert_the_honest_arrive(engine)
        foreign = CROWD
        pipeline.wait_until(lambda: len(self.ring_files()) <= foreign + 1, "the rings without an owner to be removed")
        self.assertEqual(engine.stop()[0], 0)

    @staticmethod
    def empty_ring():
        """Header of a sound ring of one lane that nobody owns and nobody wrote to."""
        size, data_at = 256 << 10, 8192
        ring = bytearray(CONTROLS_AT)
        struct.pack_into("<QIIQ", ring, 0, 0x676E697274736163, 1, 1, size)
        struct.pack_into("<QQ", ring, EXTENTS_AT, data_at, size - data_at)
        return ring


if __name__ == "__main__":
    unittest.main()
