"""Secrets, however they are given, reach their destination's requests and nothing else that lasts."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import unittest

import end_to_end
import pipeline

NOBODY = 65534
CANARIES = {"sealed": "canary-sealed-7f3a", "header": "canary-header-9b1c", "environment": "canary-environment-2d4e"}


class Secrets(end_to_end.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.spool = pathlib.Path(tempfile.mkdtemp(prefix="sidecast-spool-"))
        self.addCleanup(shutil.rmtree, self.spool, ignore_errors=True)

    def seal(self, secret):
        command = [end_to_end.BINARIES / "sidecast", "seal", "--key-file", self.key]
        return subprocess.run(command, input=secret, capture_output=True, text=True, check=True).stdout.strip()

    def write_config(self, taking, refusing):
        self.key = self.pipeline.folder / "seal-key"
        make = [end_to_end.BINARIES / "sidecast", "seal", "--new-key", self.key]
        subprocess.run(make, capture_output=True, check=True)
        common = {"type": "otlp", "encoding": "otlp_json", "compression": "none", "batch_records_max": 2,
                  "headers": {"x-sealed": self.seal(CANARIES["header"])}}
        self.pipeline.write_config(
            [{"name": "taking", "endpoint": f"http://{taking.address}", **common,
              "authorization": self.seal("Bearer " + CANARIES["sealed"])},
             {"name": "refusing", "endpoint": f"http://{refusing.address}", **common,
              "authorization": "Bearer ${env:SIDECAST_TEST_TOKEN}"}],
            seal_key_file=str(self.key), batch_age_max="50ms",
            # Not compressed: every byte of what is written there is looked at.
            spool={"dir": str(self.spool), "after": "0s"})

    def add_files(self, places, when=""):
        for folder in (self.pipeline.ring_dir, self.spool):
            for path in folder.rglob("*"):
                if path.is_file():
                    places[str(path) + when] = path.read_bytes()

    def test_no_secret_is_left_anywhere_but_in_requests(self):
        taking = self.pipeline.start_sink("taking")
        refusing = self.pipeline.start_sink("refusing", "--misbehave", "status=401")
        self.write_config(taking, refusing)
        environment = {"SIDECAST_TEST_TOKEN": CANARIES["environment"]}
        engine = self.pipeline.start([end_to_end.BINARIES / "sidecastd", "--config", self.pipeline.config],
                                     "engine", environment)
        pipeline.wait_until(lambda: self.pipeline.stats_or_none() is not None, "the engine's stats")
        tail = self.pipeline.start([end_to_end.BINARIES / "sidecast", "tail", "--ring-dir", self.pipeline.ring_dir,
                                    "--json", "--show-content"], "tail")
        self.pipeline.replay(end_to_end.SAMPLE, "--ids", self.ids)

        def has_happened():
            by_name = {each["name"]: each for each in self.pipeline.stats()["destinations"]}
            return (by_name["taking"]["pending"] == 0 and by_name["refusing"]["last_error"]
                    and by_name["refusing"]["spooled"] > 0)

        pipeline.wait_until(has_happened, "one destination to take all, and what the other refuses to be on disk")
        spans = list(pipeline.read_spans(taking.out))
        self.assertTrue(spans, "what follows would show nothing")
        self.assertIn("x-sealed", spans[0]["request"]["headers"])

        places = {"stats": json.dumps(self.pipeline.stats()).encode(), "log": engine.log.read_bytes()}
        self.assertTrue(list(self.pipeline.ring_dir.glob(".engine/stage/*.seg")), "the stage is looked at")
        self.add_files(places)
        self.assertGreater(len(places), 4)
        for command in (["explain", self.logged_ids()[0]], ["test", "taking"], ["test", "refusing"]):
            done = subprocess.run([end_to_end.BINARIES / "sidecast", *command, "--config", self.pipeline.config],
                                  capture_output=True, env=environment)
            places[" ".join(command)] = done.stdout + done.stderr
            self.assertIn(command[1].encode(), done.stdout + done.stderr, "it has said something of it")
        tail.stop()
        places["tail"] = tail.log.read_bytes()
        engine.stop()
        self.add_files(places, " at the end")
        spooled = b"".join(content for place, content in places.items() if ".spool" in place)
        self.assertIn(self.logged_ids()[0].encode(), spooled, "the spool is looked at, uncompressed")
        cat = [end_to_end.BINARIES / "sidecast", "spool", "cat", "--show-content", "--config", self.pipeline.config]
        places["spool cat"] = subprocess.run(cat, capture_output=True, env=environment, check=True).stdout
        places["log at the end"] = engine.log.read_bytes()
        validate = [end_to_end.BINARIES / "sidecast", "validate", "--json", self.pipeline.config]
        places["validate"] = subprocess.run(validate, capture_output=True, env=environment, check=True).stdout
        for place, content in places.items():
            for kind, canary in CANARIES.items():
                self.assertNotIn(canary.encode(), content, f"{kind} secret in {place}")

    def memory_of(self, **settings):
        """Of an engine that is not root: its limit of core dumps, and who owns what the kernel shows of its memory."""
        self.pipeline.write_config([{"name": "console", "type": "console"}], **settings)
        for path in [self.pipeline.folder, *self.pipeline.folder.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)
        # A sanitizer's own habit is no core dump, whatever the engine does.
        habit = "export {0}_OPTIONS=\"${0}_OPTIONS:disable_coredump=0\"; "
        engine = self.pipeline.start(
            ["sh", "-c", habit.format("ASAN") + habit.format("TSAN") + 'ulimit -c unlimited && exec setpriv --reuid "$1" --regid "$1" --clear-groups "$2" --config "$3"',
             "sh", str(NOBODY), end_to_end.BINARIES / "sidecastd", self.pipeline.config], "engine")
        pipeline.wait_until(lambda: (self.pipeline.stats_or_none() or {"engine": {}})["engine"].get("pid") == engine.pid,
                            "the engine's stats")
        limits = pathlib.Path(f"/proc/{engine.pid}/limits").read_text()
        core_bytes_max = next(line for line in limits.splitlines() if "core file" in line).split()[4]
        owner = os.stat(f"/proc/{engine.pid}/environ").st_uid
        self.assertEqual(engine.stop()[0], 0)
        return core_bytes_max, owner

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "this needs root, to be somebody else")
    def test_memory_is_dumped_and_traced_only_where_the_config_says_so(self):
        self.assertEqual(self.memory_of(), ("0", 0))
        self.assertEqual(self.memory_of(core_dumps=True), ("unlimited", NOBODY))

    def test_the_tool_that_opens_secrets_is_as_private(self):
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        port = silent.getsockname()[1]
        self.pipeline.write_config(
            [{"name": "silent", "type": "otlp", "endpoint": f"http://127.0.0.1:{port}", "timeout": "30s"}])
        test = subprocess.Popen(
            ["sh", "-c", 'ulimit -S -c 2048 && exec "$0" test silent --config "$1"', end_to_end.BINARIES / "sidecast",
             self.pipeline.config], stdout=subprocess.DEVNULL)
        self.addCleanup(test.wait)
        self.addCleanup(test.kill)
        self.addCleanup(silent.accept()[0].close)
        limits = pathlib.Path(f"/proc/{test.pid}/limits").read_text()
        self.assertEqual(next(line for line in limits.splitlines() if "core file" in line).split()[4], "0")


if __name__ == "__main__":
    unittest.main()
