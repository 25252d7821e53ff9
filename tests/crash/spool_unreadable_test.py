"""A disk that gives no byte of what is spooled at a start: it is left in place, said once, and delivery goes on."""

import json
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import end_to_end
import pipeline
import spool_test

# Reads of a segment fail as those of a dying disk do, from that offset on, while the flag lies there.
BAD_READ = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int is_bad(int fd, off_t at) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 6 || at < atol(getenv("SIDECAST_BAD_FROM"))) return 0;
  path[size] = 0;
  return strcmp(path + size - 6, ".spool") == 0 && access(getenv("SIDECAST_BAD_FLAG"), F_OK) == 0;
}
#define WRAP(name)                                                      \
  ssize_t name(int fd, void* to, size_t size, off_t at) {               \
    ssize_t (*real)(int, void*, size_t, off_t) = dlsym(RTLD_NEXT, #name); \
    if (!is_bad(fd, at)) return real(fd, to, size, at);                 \
    errno = EIO;                                                        \
    return -1;                                                          \
  }
WRAP(pread)
WRAP(pread64)
"""


def bad_disk(test):
    """The library, and the flag."""
    folder = pathlib.Path(tempfile.mkdtemp())
    test.addCleanup(shutil.rmtree, folder, ignore_errors=True)
    (folder / "bad.c").write_text(BAD_READ)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "bad.so", folder / "bad.c", "-ldl"], check=True)
    return folder / "bad.so", folder / "bad"


class SpoolUnreadable(spool_test.SpoolTest):
    def setUp(self):
        super().setUp()
        self.library, self.flag = bad_disk(self)

    def spool_all(self):
        """An engine whose receiver is dead has run and ended: every record is on disk."""
        self.dead = self.pipeline.start_sink("dead", "--misbehave", "status=503")
        self.write_config([end_to_end.generic_json(self.dead.address, batch_records_max=20)], spool={"after": "0s"},
                          shutdown_deadline="3s")
        engine = self.pipeline.start_engine()
        self.play("--id-prefix", "first-")
        written = len(self.logged_ids())
        pipeline.wait_until(lambda: self.stats()["records"]["read"] == written, "every record to be read")
        self.assertEqual(engine.stop()[0], 0, engine.last_words())
        self.assertEqual(self.destination()["spooled"], written)
        engine.log.unlink()
        return written

    def start_on_the_bad_disk(self, begins_at):
        self.flag.touch()
        engine = self.pipeline.start(
            [end_to_end.BINARIES / "sidecastd", "--config", self.pipeline.config], "engine",
            {"LD_PRELOAD": str(self.library), "SIDECAST_BAD_FLAG": str(self.flag), "SIDECAST_BAD_FROM": str(begins_at)})
        pipeline.wait_until(lambda: self.pipeline.stats_or_none() is not None
                            and self.stats()["engine"]["pid"] == engine.pid, "the engine's stats")
        return engine

    def check(self, begins_at, is_reboot):
        written = self.spool_all()
        before = {segment: segment.read_bytes() for segment in self.segments()}
        if is_reboot:
            shutil.rmtree(self.pipeline.ring_dir)
        self.dead.stop()
        again = self.pipeline.start_sink("again", listen=self.dead.address)
        engine = self.start_on_the_bad_disk(begins_at)
        self.play("--id-prefix", "second-")
        second = len(self.logged_ids()) - written
        pipeline.wait_until(lambda: self.destination()["delivered"] == second, "what is new to be delivered")
        self.assert_sums_hold()
        self.assertEqual(self.destination()["spooled"], 0 if is_reboot else written)
        self.assertEqual(engine.stop()[0], 0, engine.last_words())
        log = engine.log.read_text()
        said = [line for line in log.splitlines() if "cannot be read and are left where they are" in line]
        self.assertEqual(len(said), 1, log)
        self.assertIn("Input/output error", said[0])
        self.assertNotIn("damaged", log)
        self.assertEqual({segment: segment.read_bytes() for segment in before}, before)
        self.assertEqual(list(self.spool.glob("*.damaged")), [])
        # The disk is well again.
        self.flag.unlink()
        drained = self.pipeline.start_engine("--drain")
        self.assertEqual(drained.wait()[0], 0, drained.last_words())
        self.assert_all_arrived(end_to_end.Received(again.out), "generic")
        self.assertEqual(sum(self.destination()["dropped"].values()), 0)
        self.assert_sums_hold()

    def test_after_a_restart(self):
        self.check(0, is_reboot=False)

    def test_after_a_restart_behind_the_header(self):
        self.check(64, is_reboot=False)

    def test_after_a_reboot(self):
        self.check(0, is_reboot=True)

    def test_after_a_reboot_behind_the_header(self):
        self.check(64, is_reboot=True)

    def test_a_repair_leaves_it_too(self):
        written = self.spool_all()
        before = {segment: segment.read_bytes() for segment in self.segments()}
        tool = [end_to_end.BINARIES / "sidecast", "spool"]
        self.flag.touch()
        for begins_at in (0, 64, 64 + 120 + 160 + 1):  # the segment, its frames, the frames' rest
            program = self.pipeline.start(
                [*tool, "check", "--repair", "--config", self.pipeline.config], "bad",
                {"LD_PRELOAD": str(self.library), "SIDECAST_BAD_FLAG": str(self.flag), "SIDECAST_BAD_FROM": str(begins_at)})
            code, output = program.wait()
            self.assertEqual(code, 1)
            self.assertIn("it may be sound", output)
        self.flag.unlink()
        self.assertEqual({segment: segment.read_bytes() for segment in self.segments()}, before)
        code, output = self.pipeline.start([*tool, "ls", "--json", "--config", self.pipeline.config], "ls").wait()
        self.assertEqual((code, json.loads(output)["destinations"][0]["records"]), (0, written))


if __name__ == "__main__":
    unittest.main()
