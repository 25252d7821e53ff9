"""What a spool's directory may do to an engine: be late, be read-only, hang, hold pipes, other versions, too many files."""

import base64
import fcntl
import json
import os
import pathlib
import shutil
import signal
import stat
import struct
import subprocess
import tempfile
import time
import unittest

import end_to_end
import pipeline
import spool_test

# While the flag stands, a segment's file does not answer; FLAG.reached says that it was asked.
HANGS = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
static void wait_for(int fd) {
  char link[64], path[512] = {0};
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const char *flag = getenv("SIDECAST_SLOW_FLAG");
  if (readlink(link, path, sizeof path - 1) <= 0 || strstr(path, ".spool") == NULL || access(flag, F_OK) != 0) return;
  snprintf(path, sizeof path, "%s.reached", flag);
  close(open(path, O_CREAT | O_WRONLY, 0600));
  while (access(flag, F_OK) == 0) usleep(20000);
}
"""
HANGING_READ = HANGS + """
ssize_t pread(int fd, void *to, size_t count, off_t at) { wait_for(fd); return syscall(SYS_pread64, fd, to, count, at); }
ssize_t pread64(int fd, void *to, size_t count, off_t at) { return pread(fd, to, count, at); }
"""
# What is in the page cache can be read all the same.
HANGING_CHANGE = HANGS + """
int ftruncate(int fd, off_t size) { wait_for(fd); return syscall(SYS_ftruncate, fd, size); }
int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }
"""
SLOW_SYNC = """
#define _GNU_SOURCE
#include <unistd.h>
int fdatasync(int fd) { (void)fd; if (access(getenv("SIDECAST_SLOW_FLAG"), F_OK) == 0) sleep(60); return 0; }
"""


class SpoolDisk(spool_test.SpoolTest):
    def spool_all(self, **settings):
        """An engine whose receiver is dead has run and ended: every record is on disk."""
        self.dead = self.pipeline.start_sink("dead", "--misbehave", "status=503")
        self.settings = {"shutdown_deadline": "3s", "spool": {"after": "0s"}, **settings}
        self.destinations = [end_to_end.generic_json(self.dead.address, batch_records_max=20)]
        self.write_config(self.destinations, **self.settings)
        engine = self.pipeline.start_engine()
        self.play("--id-prefix", "first-")
        written = len(self.logged_ids())
        pipeline.wait_until(lambda: self.stats()["records"]["read"] == written, "every record to be read")
        self.assertEqual(engine.stop()[0], 0, engine.last_words())
        self.assertEqual(self.destination()["spooled"], written)
        return written

    def deliver_all(self):
        """The receiver is well: what there is goes out. Returns the engine's log, and what came."""
        self.dead.stop()
        again = self.pipeline.start_sink("again", listen=self.dead.address)
        engine = self.pipeline.start_engine("--drain")
        self.assertEqual(engine.wait()[0], 0, engine.last_words())
        return engine.log.read_text(), end_to_end.Received(again.out)

    def test_a_directory_that_can_be_used_late_is_taken_up_with_all_that_is_in_it(self):
        written = self.spool_all()
        with open(self.spool / "lock", "r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            engine = self.pipeline.start_engine()
        pipeline.wait_until(lambda: "can be used now" in engine.log.read_text(), "the directory to be tried again")
        self.play("--id-prefix", "second-")
        written = len(self.logged_ids())
        pipeline.wait_until(lambda: self.stats()["records"]["read"] == written, "every record to be read")
        # But for what it is tried with.
        pipeline.wait_until(lambda: self.destination()["spooled"] >= written // 2, "new ones to be on disk as well")
        self.assertEqual(engine.stop()[0], 0)
        log, received = self.deliver_all()
        self.assertNotIn("damaged", log)
        self.assertEqual(list(self.spool.glob("*.damaged")), [])
        self.assert_all_arrived(received, "generic")
        self.assert_ledger_exact(written)

    def test_what_is_spooled_again_at_an_end_grows_no_younger(self):
        """A batch that is read back at each start and spooled at each end is given up all the same."""
        written = self.spool_all(spool={"after": "0s", "age_max": "8s"})
        self.write_config([{**self.destinations[0], "batch_records_max": 1000}],
                          **{**self.settings, "spool": {"after": "1h", "age_max": "8s"}})
        begun = time.monotonic()
        while self.destination()["dropped"]["expired"] < written and time.monotonic() - begun < 60:
            engine = self.pipeline.start_engine()
            time.sleep(0.5)
            self.assertEqual(engine.stop()[0], 0)
        took = time.monotonic() - begun
        self.assertEqual(self.destination()["dropped"]["expired"], written)
        print(f"given up after {took:.1f} s and several starts")

    def frames(self):
        """Of each batch on disk, in the words of layout.h: when it was sealed, and its records' texts."""
        for path in self.segments():
            segment = path.read_bytes()
            at = 64  # kFramesAt
            while segment[at:at + 4] == b"FRAM":
                size, = struct.unpack_from("<I", segment, at + 4)
                sealed_ns, = struct.unpack_from("<q", segment, at + 32)
                records, destinations, text_bytes = struct.unpack_from("<III", segment, at + 56)
                texts = at + 120 + destinations * 160 + records * 72
                yield sealed_ns, segment[texts:texts + text_bytes]
                at += size

    def test_what_is_new_grows_no_older_with_what_was_read_back(self):
        """After a kill they share a batch; on disk each keeps its own age."""
        self.spool_all()
        self.write_config(self.destinations, **{**self.settings, "spool": {"after": "1h"}})
        engine = self.pipeline.start_engine()
        pipeline.wait_until(lambda: self.destination()["pending"] > 0, "some of it to be read back")
        fresh_ns = time.time_ns()
        self.play("--id-prefix", "fresh-")
        written = len(self.logged_ids())
        pipeline.wait_until(lambda: self.stats()["records"]["read"] == written, "every record to be read")
        engine.kill()
        # Batches that no longer end where the old ones did.
        self.write_config([{**self.destinations[0], "batch_records_max": 15}], **self.settings)
        engine = self.pipeline.start_engine()
        # But for what it is tried with.
        pipeline.wait_until(lambda: self.destination()["spooled"] >= written - 20, "the rest to be on disk")
        self.assertEqual(engine.stop()[0], 0, engine.last_words())
        self.assertEqual(self.destination()["spooled"], written)
        sealed = [sealed_ns for sealed_ns, texts in self.frames() if b"fresh-" in texts]
        self.assertNotEqual(sealed, [])
        self.assertGreaterEqual(min(sealed), fresh_ns)
        self.assertLess(min(sealed_ns for sealed_ns, texts in self.frames() if b"first-" in texts), fresh_ns)

    def test_a_record_larger_than_the_spool_costs_nothing_of_what_is_in_it(self):
        written = self.spool_all(spool={"after": "0s", "limit": "4MiB"}, memory_limit="256MiB",
                                 writers={"ring_size": "64MiB", "record_size_max": "32MiB"})
        with open(end_to_end.SAMPLE, encoding="utf-8") as sample:
            large = json.loads(sample.readline())
        large["request"]["messages"][-1]["content"] = base64.b64encode(os.urandom(6_500_000)).decode()
        exchange = self.pipeline.folder / "large.jsonl"
        exchange.write_text(json.dumps(large) + "\n")
        engine = self.pipeline.start_engine()
        self.pipeline.replay(exchange, "--ids", self.ids, "--id-prefix", "large-")
        pipeline.wait_until(lambda: "larger than the spool may be" in engine.log.read_text(), "it to be said")
        self.play("--id-prefix", "more-")
        pipeline.wait_until(lambda: self.destination()["spooled"] >= written, "others to go to disk all the same")
        self.assertEqual(sum(self.destination()["dropped"].values()), 0)
        self.assertEqual(self.stats()["spool"]["state"], "ok")
        self.assertEqual(engine.stop()[0], 0)
        self.assertNotIn("takes nothing", engine.log.read_text())
        _, received = self.deliver_all()
        self.assert_all_arrived(received, "generic")
        self.assert_sums_hold()

    def test_a_power_cut_after_a_kill_loses_nothing_of_what_was_read_back(self):
        written = self.spool_all()
        # It is read back to be tried again, and waits in memory.
        self.write_config([{**self.destinations[0], "batch_records_max": 1000}], **{**self.settings, "spool": {"after": "1h"}})
        engine = self.pipeline.start_engine()
        pipeline.wait_until(lambda: self.destination()["pending"] > 0, "some of it to be read back")
        engine.kill()
        engine = self.pipeline.start_engine()
        pipeline.wait_until(lambda: self.destination()["requests"] > 0, "the next engine to try")
        engine.kill()
        shutil.rmtree(self.pipeline.ring_dir)
        _, received = self.deliver_all()
        self.assert_all_arrived(received, "generic")
        self.assertGreaterEqual(self.destination()["delivered"], written)
        self.assert_sums_hold()

    def test_segments_of_another_version_are_left_where_they_are(self):
        self.spool_all()
        segment = self.segments()[0].read_bytes()
        others = []
        for index in range(30):
            other = bytearray(segment)
            struct.pack_into("<I", other, 8, 2)  # SegmentHeader.version
            others.append(self.spool / f"{index + 100:016x}-{index + 1:016x}.spool")
            others[-1].write_bytes(other)
        log, received = self.deliver_all()
        self.assert_all_arrived(received, "generic")
        self.assertEqual([other for other in others if not other.exists()], [])
        self.assertEqual(list(self.spool.glob("*.damaged")), [])
        said = [line for line in log.splitlines() if "left where they are" in line]
        self.assertEqual(len(said), 1, said)
        self.assertIn("30 segments", said[0])
        self.assertIn("version 2", said[0])

    def test_with_too_few_descriptors_nothing_is_thrown_away(self):
        written = self.spool_all()
        others = [f"other{index}" for index in range(50)]
        self.write_config([*self.destinations, *(end_to_end.generic_json(self.dead.address, name=name, accounts=["nobody"])
                                                 for name in others)], **self.settings)
        for name in others:  # a segment each
            replay = [end_to_end.BINARIES / "sidecast", "spool", "replay", "--config", self.pipeline.config, "--force",
                      "--from", "generic", "--to", name]
            subprocess.run(replay, check=True, capture_output=True)
        self.assertEqual(len(self.segments()), 1 + len(others))
        engine = self.pipeline.start(["prlimit", "--nofile=64:64", end_to_end.BINARIES / "sidecastd", "--config",
                                      self.pipeline.config], "few")
        pipeline.wait_until(lambda: " serves " in engine.log.read_text() or not engine.is_running(), "it to run")
        self.assertTrue(engine.is_running(), engine.log.read_text())
        time.sleep(1)
        engine.stop()
        log = engine.log.read_text()
        self.assertIn("in 51 segments", log)  # a segment takes no descriptor while it waits
        self.assertNotIn("does not add up", log)
        self.assertNotIn("damaged", log)
        self.assertEqual(list(self.spool.glob("*.damaged")), [])
        _, received = self.deliver_all()
        self.assert_all_arrived(received, "generic")
        self.assert_sums_hold()
        for name in ("generic", *others):
            self.assertEqual(self.destination(name)["delivered"], written, name)

    def test_pipes_with_the_names_of_its_files_stop_neither_a_start_nor_the_tool(self):
        written = self.spool_all()
        os.mkfifo(self.segments()[0].with_suffix(".done"))
        os.mkfifo(self.spool / "0000000000000000-0000000000000000.spool")
        for command in ("ls", "check", "cat"):
            program = self.pipeline.start([end_to_end.BINARIES / "sidecast", "spool", command, "--config",
                                           self.pipeline.config], "tool")
            program.wait(20)
        _, received = self.deliver_all()
        self.assert_all_arrived(received, "generic")
        self.assert_ledger_exact(written)

    def test_the_directory_is_made_for_the_engine_alone_and_refused_when_others_may_write(self):
        made = self.spool / "made" / "here"
        sink = self.pipeline.start_sink("sink")
        self.pipeline.write_config([end_to_end.generic_json(sink.address)], spool={"dir": str(made)})
        before = os.umask(0)
        try:
            engine = self.pipeline.start_engine()
        finally:
            os.umask(before)
        self.assertEqual(stat.S_IMODE(made.stat().st_mode), 0o700)
        self.assertEqual(engine.stop()[0], 0)
        made.chmod(0o770)
        engine = self.pipeline.start_engine()
        self.assertEqual(self.stats()["spool"]["state"], "unusable")
        self.assertEqual(engine.stop()[0], 0)
        self.assertIn("may be written to by others", engine.log.read_text())

    def start_with_disk(self, manner):
        """An engine whose disk has that manner while the flag, which is returned too, stands."""
        folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        (folder / "slow.c").write_text("#include <stdlib.h>\n" + manner)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "slow.so", folder / "slow.c"], check=True)
        flag = folder / "hangs"

        def start(*arguments):
            engine = self.pipeline.start([end_to_end.BINARIES / "sidecastd", "--config", self.pipeline.config, *arguments], "engine",
                                         {"LD_PRELOAD": str(folder / "slow.so"), "SIDECAST_SLOW_FLAG": str(flag)})
            pipeline.wait_until(lambda: self.pipeline.stats_or_none() is not None
                                and self.stats()["engine"]["pid"] == engine.pid, "the engine's stats")
            return engine

        return start, flag

    def test_a_disk_that_hangs_at_a_start_holds_up_nobody(self):
        written = self.spool_all()
        alive = self.pipeline.start_sink("alive")
        self.write_config([*self.destinations, end_to_end.openinference_protobuf(alive.address, name="alive")], **self.settings)
        start, flag = self.start_with_disk(HANGING_READ)
        flag.touch()
        engine = start()
        self.assertIn("the engine starts without it", engine.log.read_text())
        self.assertEqual(self.stats()["spool"]["state"], "unusable")
        self.play("--id-prefix", "second-")
        added = len(self.logged_ids()) - written
        pipeline.wait_until(lambda: self.destination("alive")["delivered"] == added, "the living one to have all")
        begun = time.monotonic()
        self.assertEqual(engine.stop()[0], 0, engine.last_words())
        took = time.monotonic() - begun
        print(f"ended {took:.1f} s after SIGTERM")
        self.assertLess(took, 3 + 1 + 2)  # the deadline, its grace, and the process's own end
        engine = start()
        flag.unlink()
        pipeline.wait_until(lambda: "can be used now" in engine.log.read_text(), "it to be taken up")
        self.dead.stop()
        again = self.pipeline.start_sink("again", listen=self.dead.address)
        pipeline.wait_until(lambda: self.destination()["delivered"] == written + added, "the backlog to be delivered")
        self.assertEqual(engine.stop()[0], 0, engine.last_words())
        self.assert_all_arrived(end_to_end.Received(again.out), "generic")
        self.assert_sums_hold()

    def test_a_disk_that_only_reads_at_a_start_holds_up_nobody(self):
        self.dead = self.pipeline.start_sink("dead", "--misbehave", "status=503")
        self.write_config([end_to_end.generic_json(self.dead.address, batch_records_max=2)], shutdown_deadline="3s",
                          spool={"after": "0s"})
        engine = self.pipeline.start_engine()
        self.play()
        pipeline.wait_until(lambda: self.destination()["spooled"] > 3, "some of it to be on disk")
        engine.kill()  # the room behind what was written is not cut off: the next start has to
        start, flag = self.start_with_disk(HANGING_CHANGE)
        flag.touch()
        engine = start()
        self.assertIn("the engine starts without it", engine.log.read_text())
        begun = time.monotonic()
        self.assertEqual(engine.stop()[0], 0, engine.last_words())
        self.assertLess(time.monotonic() - begun, 3 + 1 + 2)
        _, received = self.deliver_all()
        self.assert_all_arrived(received, "generic")
        self.assert_ledger_exact(len(self.logged_ids()))

    def test_a_drain_does_not_take_a_disk_that_hangs_for_an_empty_one(self):
        self.spool_all()
        shutil.rmtree(self.pipeline.ring_dir)  # as a reboot does: only the disk knows
        start, flag = self.start_with_disk(HANGING_READ)
        flag.touch()
        self.assertNotEqual(start("--drain").wait()[0], 0)
        _, received = self.deliver_all()
        self.assert_all_arrived(received, "generic")

    def test_a_directory_that_comes_late_and_hangs_holds_up_nobody(self):
        written = self.spool_all()
        start, flag = self.start_with_disk(HANGING_READ)
        with open(self.spool / "lock", "r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            engine = start()
            flag.touch()
        pipeline.wait_until(flag.with_suffix(".reached").exists, "it to hang")
        reload = subprocess.run([end_to_end.BINARIES / "sidecast", "reload", "--config", self.pipeline.config],
                                capture_output=True, text=True, timeout=20, check=False)
        self.assertEqual(reload.returncode, 0, reload.stderr)
        begun = time.monotonic()
        self.assertEqual(engine.stop()[0], 0, engine.last_words())
        took = time.monotonic() - begun
        print(f"ended {took:.1f} s after SIGTERM")
        self.assertLess(took, 3 + 1 + 2)
        _, received = self.deliver_all()
        self.assert_all_arrived(received, "generic")
        self.assert_ledger_exact(written)

    def test_a_disk_that_does_not_answer_does_not_hold_up_the_end(self):
        start, flag = self.start_with_disk(SLOW_SYNC)
        dead = self.pipeline.start_sink("dead", "--misbehave", "status=503")
        alive = self.pipeline.start_sink("alive")
        self.write_config([end_to_end.generic_json(dead.address, name="dead", batch_records_max=2),
                           end_to_end.openinference_protobuf(alive.address, name="alive")],
                          spool={"after": "0s", "sync": "interval"}, shutdown_deadline="3s")
        engine = start()
        flag.touch()
        self.play()
        written = len(self.logged_ids())
        pipeline.wait_until(lambda: self.destination("alive")["delivered"] == written, "the living one to have all")
        pipeline.wait_until(lambda: self.destination("dead")["spooled"] > 0, "something to be written")
        time.sleep(1)  # the next sync comes within half a second
        begun = time.monotonic()
        self.assertEqual(engine.stop()[0], 0, engine.last_words())
        took = time.monotonic() - begun
        print(f"ended {took:.1f} s after SIGTERM")
        self.assertLess(took, 3 + 1 + 2)  # the deadline, its grace, and the process's own end
        self.assertIn("does not answer", engine.log.read_text())
        self.assert_sums_hold()
        dead.stop()
        again = self.pipeline.start_sink("again", listen=dead.address)
        engine = self.pipeline.start_engine("--drain")
        self.assertEqual(engine.wait()[0], 0, engine.last_words())
        self.assert_all_arrived(end_to_end.Received(again.out), "dead")
        self.assert_sums_hold()

    def test_what_a_sync_promises_is_asked_of_the_disk(self):
        """`interval`: sealed segments, the directory and the last words as well."""
        trace = self.pipeline.folder / "trace"
        if shutil.which("strace") is None:
            self.skip_for_want_of("strace")
        dead = self.pipeline.start_sink("dead", "--misbehave", "status=503")
        self.write_config([end_to_end.generic_json(dead.address)], spool={"after": "1h", "sync": "interval"},
                          shutdown_deadline="3s")
        command = ["strace", "-f", "-y", "-e", "trace=fdatasync,fsync,pwrite64", "-o", trace,
                   end_to_end.BINARIES / "sidecastd", "--config", self.pipeline.config]
        engine = self.pipeline.start(command, "engine")
        pipeline.wait_until(lambda: self.pipeline.stats_or_none() is not None, "the engine's stats")
        self.play()
        written = len(self.logged_ids())
        pipeline.wait_until(lambda: self.stats()["records"]["read"] == written, "every record to be read")
        os.kill(self.stats()["engine"]["pid"], signal.SIGTERM)
        self.assertEqual(engine.wait()[0], 0, engine.last_words())
        self.assertEqual(self.destination()["spooled"], written)
        calls = [line for line in trace.read_text().splitlines() if str(self.spool) in line]
        self.assertTrue(any("fsync" in call and f"<{self.spool}>" in call for call in calls), calls)
        writes = [index for index, call in enumerate(calls) if "pwrite64" in call and ".spool" in call]
        syncs = [index for index, call in enumerate(calls) if "fdatasync" in call]
        self.assertGreater(max(syncs), max(writes), "the last words are synced")


if __name__ == "__main__":
    unittest.main()
