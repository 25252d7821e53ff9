"""What outlives memory waits on disk: outages, the end of an engine, a reboot, a full disk; nothing is lost."""

import itertools
import pathlib
import shutil
import tempfile
import time
import unittest

import end_to_end
import pipeline
import start_failures_test


class SpoolTest(end_to_end.EndToEndTest):
    """A pipeline with a spool, on a real disk where there is one."""

    def setUp(self):
        super().setUp()
        self.spool = pathlib.Path(tempfile.mkdtemp(prefix="sidecast-spool-"))
        self.addCleanup(shutil.rmtree, self.spool, ignore_errors=True)

    def write_config(self, destinations, spool=None, **settings):
        settings.setdefault("batch_age_max", "100ms")
        return self.pipeline.write_config(destinations, spool={"dir": str(self.spool), **(spool or {})}, **settings)

    def stats(self):
        return self.pipeline.stats()

    def destination(self, name="generic"):
        return {each["name"]: each for each in self.stats()["destinations"]}[name]

    def segments(self):
        return sorted(self.spool.glob("*.spool"))

    def play(self, *arguments):
        self.pipeline.replay(end_to_end.SAMPLE, "--ids", self.ids, *arguments)

    def assert_sums_hold(self):
        command = [str(end_to_end.BINARIES / "sidecast"), "stats", "--ring-dir", str(self.pipeline.ring_dir), "--check"]
        program = pipeline.Program(command, self.pipeline.folder / "check.log")
        self.assertEqual(program.wait()[0], 0, program.last_words())

    def spool_something(self, sink):
        """An engine that could not send and has ended; its records are on disk."""
        engine = self.pipeline.start_engine()
        self.play()
        written = len(self.logged_ids())
        pipeline.wait_until(lambda: self.stats()["records"]["read"] == written, "every record to be read")
        sink.kill()
        begun = time.monotonic()
        self.assertEqual(engine.stop()[0], 0, engine.last_words())
        self.assertLess(time.monotonic() - begun, 3 + 2)  # shutdown_deadline, and the process's own end
        return written


class SpoolAtTheEnd(SpoolTest):
    def test_sigterm_with_a_dead_backend_spools_and_the_next_start_delivers_all(self):
        dead = self.pipeline.start_sink("dead", "--misbehave", "delay=60s")
        self.write_config([end_to_end.generic_json(dead.address)], shutdown_deadline="3s")
        written = self.spool_something(dead)
        self.assertEqual(self.destination()["spooled"], written)
        self.assertEqual(self.destination()["pending"], 0)
        self.assert_sums_hold()
        again = self.pipeline.start_sink("again", listen=dead.address)
        self.assertEqual(self.pipeline.start_engine("--drain").wait()[0], 0)
        self.assert_all_arrived(end_to_end.Received(again.out), "generic")
        self.assert_ledger_exact(written)
        self.assertEqual(self.segments(), [])

    def test_after_a_reboot_the_spool_is_delivered_and_the_sums_close(self):
        dead = self.pipeline.start_sink("dead", "--misbehave", "delay=60s")
        self.write_config([end_to_end.generic_json(dead.address)], shutdown_deadline="3s")
        written = self.spool_something(dead)
        shutil.rmtree(self.pipeline.ring_dir)
        again = self.pipeline.start_sink("again", listen=dead.address)
        engine = self.pipeline.start_engine()
        self.pipeline.wait_until_settled()
        self.assertEqual(self.destination()["adopted"], written)
        self.assertEqual(self.destination()["delivered"], written)
        self.assert_sums_hold()
        self.assertEqual(engine.stop()[0], 0)
        self.assertIn(f"recovered: {written} spooled records", engine.log.read_text())
        self.assert_all_arrived(end_to_end.Received(again.out), "generic")


class SpoolInAnOutage(SpoolTest):
    def test_an_outage_under_load_with_little_memory_loses_nothing(self):
        dead = self.pipeline.start_sink("dead", "--misbehave", "status=503")
        alive = self.pipeline.start_sink("alive")
        self.write_config([end_to_end.generic_json(dead.address, name="dead", compression="none"),
                           end_to_end.openinference_protobuf(alive.address, name="alive")], memory_limit="32MiB")
        engine = self.pipeline.start_engine()
        self.play("--repeat", "20000", "--rate", "4000", "--duration", "5")
        written = len(self.logged_ids())
        pipeline.wait_until(lambda: self.destination("alive")["delivered"] == written, "the living one to have all")
        held = self.destination("dead")
        print(f"{written} records, {held['spooled']} of them spooled, {held['pending']} in memory")
        self.assertGreater(held["spooled"], 0)
        self.assertEqual(sum(held["dropped"].values()), 0, held)
        dead.stop()
        again = self.pipeline.start_sink("again", listen=dead.address)
        begun = time.monotonic()
        self.pipeline.wait_until_settled()
        print(f"drained in {time.monotonic() - begun:.1f} s")
        self.assert_ledger_exact(written)
        self.assert_all_arrived(end_to_end.Received(again.out), "dead")
        self.assertEqual(engine.stop()[0], 0)
        self.assertEqual(self.segments(), [])


class SpoolInAReload(SpoolTest):
    def reload(self, destinations, **settings):
        self.write_config(destinations, **settings)
        command = [end_to_end.BINARIES / "sidecast", "reload", "--ring-dir", self.pipeline.ring_dir]
        program = self.pipeline.start(command, "reload")
        self.assertEqual(program.wait()[0], 0, program.last_words())
        program.log.unlink()

    def spool_for_two(self, **spool):
        """An engine with all records on disk for `dead`, and delivered to `other`."""
        self.dead_sink = self.pipeline.start_sink("dead", "--misbehave", "status=503")
        other = self.pipeline.start_sink("other")
        self.staying = end_to_end.openinference_protobuf(other.address, name="other")
        self.dead = end_to_end.generic_json(self.dead_sink.address, name="dead", batch_records_max=2)
        self.spool_settings = {"after": "0s", **spool}
        self.write_config([self.staying, self.dead], spool=self.spool_settings)
        engine = self.pipeline.start_engine()
        self.play()
        written = len(self.logged_ids())
        # But for the one that is tried again and again.
        pipeline.wait_until(lambda: self.destination("dead")["spooled"] > 0
                            and self.destination("other")["delivered"] == written, "most to be spooled")
        return engine, written

    def test_what_is_spooled_for_a_destination_that_leaves_waits_and_is_delivered_when_it_is_back(self):
        engine, written = self.spool_for_two()
        for changed in ([self.staying], [self.staying, {**self.dead, "enabled": False}]):
            self.reload(changed, spool=self.spool_settings)
            pipeline.wait_until(lambda: self.destination("dead")["spooled"] + self.destination("dead")["pending"]
                                == written, "all of it to be kept")
            self.assertGreater(self.destination("dead")["spooled"], 0)
            self.assert_sums_hold()
        self.dead_sink.stop()
        again = self.pipeline.start_sink("again", listen=self.dead_sink.address)
        # In another group than the one that it was spooled from.
        self.reload([self.staying, {**self.dead, "sampling_rate": 0.5}], spool=self.spool_settings)
        self.pipeline.wait_until_settled()
        self.assertEqual(self.destination("dead")["delivered"], written)
        self.assert_sums_hold()
        self.assertEqual(len(end_to_end.Received(again.out).spans), written)
        pipeline.wait_until(lambda: not self.segments(), "the segment to be removed")
        self.assertEqual(engine.stop()[0], 0)

    def test_reloads_while_batches_move_lose_nothing(self):
        sink = self.pipeline.start_sink("dead", "--misbehave", "status=503:p=0.6")
        other = self.pipeline.start_sink("other")
        staying = end_to_end.openinference_protobuf(other.address, name="other")
        going = end_to_end.generic_json(sink.address, name="dead", batch_records_max=16)
        spool = {"after": "0s"}
        self.write_config([staying, going], spool=spool)
        engine = self.pipeline.start_engine()
        replay = self.pipeline.start_replay(end_to_end.SAMPLE, "--ids", self.ids, "--repeat", "1000000", "--rate", "400")
        for turn in range(12):
            pipeline.wait_until(lambda turn=turn: len(self.logged_ids()) >= 150 * (turn + 1), "records to be written")
            self.reload([staying] if turn % 2 == 0 else [staying, going], spool=spool)
        replay.stop()
        sink.stop()
        again = self.pipeline.start_sink("again", listen=sink.address)
        self.pipeline.wait_until_settled()
        self.assert_sums_hold()
        each = self.destination("dead")
        self.assertGreater(each["delivered"], 0)
        self.assertEqual(each["delivered"], each["routed"], each)
        received = end_to_end.Received(sink.out, again.out)
        self.assertEqual(len(received.spans), each["delivered"])
        self.assertFalse(received.unequal_repeats)
        self.assertEqual(self.stats()["engine"]["ledger_mismatches"], 0)
        self.assertEqual(engine.stop()[0], 0)
        self.assertNotIn(" error ", engine.log.read_text())

    def test_what_is_spooled_for_one_that_stays_away_is_dropped_and_counted(self):
        engine, written = self.spool_for_two(age_max="3s")
        self.reload([self.staying], spool=self.spool_settings)
        self.pipeline.wait_until_settled()
        dropped = self.destination("dead")["dropped"]
        self.assertEqual(dropped["policy_changed"] + dropped["expired"], written, dropped)
        self.assert_sums_hold()
        self.assertEqual(engine.stop()[0], 0)


class SpoolGivesUp(SpoolTest):
    def test_what_is_spooled_is_given_up_at_its_age_and_what_is_younger_is_delivered(self):
        """In the short what takes give_up_after, 24 hours by default with a spool."""
        dead = self.pipeline.start_sink("dead", "--misbehave", "status=503")
        alive = self.pipeline.start_sink("alive")
        self.write_config([end_to_end.generic_json(dead.address, name="dead", batch_records_max=2),
                           end_to_end.openinference_protobuf(alive.address, name="alive")],
                          spool={"after": "0s", "age_max": "4s"})
        engine = self.pipeline.start_engine()
        self.play("--id-prefix", "old-")
        old = len(self.logged_ids())
        pipeline.wait_until(lambda: self.destination("dead")["spooled"] > old // 2, "most of it to be on disk")
        pipeline.wait_until(lambda: self.destination("dead")["dropped"]["expired"] == old, "all of it to be given up")
        self.assert_sums_hold()
        pipeline.wait_until(lambda: not self.segments(), "its place on disk to be free")
        dead.stop()
        again = self.pipeline.start_sink("again", listen=dead.address)
        # It is asked again only when there is something to send, and after many a failure not at once.
        turns = itertools.count()

        def is_found_again():
            self.play("--id-prefix", f"probe-{next(turns)}-")
            time.sleep(1)
            return self.destination("dead")["state"] == "ok"

        pipeline.wait_until(is_found_again, "the receiver to be found again")
        self.play("--id-prefix", "young-")
        self.pipeline.wait_until_settled()
        self.assert_sums_hold()
        shown, received = self.destination("dead"), set(end_to_end.Received(again.out).spans)
        self.assertEqual({each for each in self.logged_ids() if each.startswith("young-")} - received, set())
        self.assertEqual({each for each in received if each.startswith("old-")}, set())
        self.assertEqual((shown["delivered"], shown["dropped"]["expired"]),
                         (len(received), len(self.logged_ids()) - len(received)))
        self.assertEqual(self.destination("alive")["delivered"], len(self.logged_ids()))
        self.assertEqual(engine.stop()[0], 0)
        self.assertIn("dropped(expired)", engine.log.read_text())


# $0 is the directory to mount a small file system at, $1 how.
WITH_A_SMALL_DISK = """
set -e
mount -t tmpfs -o "$1" tmpfs "$0"
set +e
exec "$SIDECASTD" --config "$CONFIG"
"""


class SpoolWithoutRoom(SpoolTest):
    def start_with_disk(self, options):
        if not start_failures_test.may_mount():
            self.skipTest("may not mount a small file system")
        environment = {"SIDECASTD": str(end_to_end.BINARIES / "sidecastd"), "CONFIG": str(self.pipeline.config)}
        command = ["unshare", "-rm", "sh", "-c", WITH_A_SMALL_DISK, str(self.spool), options]
        engine = self.pipeline.start(command, "engine", environment)
        pipeline.wait_until(lambda: self.pipeline.stats_or_none() is not None
                            and self.stats()["engine"]["pid"] == engine.pid, "the engine's stats")
        return engine

    def run_without_room(self, options, state):
        dead = self.pipeline.start_sink("dead", "--misbehave", "status=503")
        alive = self.pipeline.start_sink("alive")
        self.write_config([end_to_end.generic_json(dead.address, name="dead", compression="none"),
                           end_to_end.openinference_protobuf(alive.address, name="alive")],
                          memory_limit="16MiB", workers=1, shutdown_deadline="3s")
        engine = self.start_with_disk(options)
        self.play("--repeat", "1500", "--rate", "4000")
        written = len(self.logged_ids())
        pipeline.wait_until(lambda: self.destination("alive")["delivered"] == written, "the living one to have all")
        self.assertEqual(self.stats()["spool"]["state"], state)
        self.assertGreater(self.destination("dead")["dropped"]["budget"], 0)
        self.assert_sums_hold()
        self.assertEqual(engine.stop()[0], 0, engine.last_words())
        said = [line for line in engine.log.read_text().splitlines() if "takes nothing" in line]
        self.assertEqual(len(said), 1, said)
        return said[0]

    def test_a_full_disk_costs_the_spool_and_no_more(self):
        said = self.run_without_room("size=4m,mode=700", "full")
        self.assertIn("No space left on device", said)
        self.assertIn("free room", said)

    def test_a_read_only_disk_costs_the_spool_and_no_more(self):
        said = self.run_without_room("ro,size=4m,mode=700", "unusable")
        self.assertIn("Read-only file system", said)
        self.assertIn("may write to", said)


if __name__ == "__main__":
    unittest.main()
