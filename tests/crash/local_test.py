"""Destinations on this machine, `file` and `console`: every record once, through rotation, a kill in the middle
of a line, a full disk and a reader that stalls; nothing a tenant may name."""

import gzip
import json
import os
import stat
import subprocess
import time
import unittest

import end_to_end
import gateway
import pipeline

RECORDS = 400
CANARY = "canary-7f3a"


def to_file(path, **more):
    return {"name": "local", "type": "file", "path": str(path), **more}


class LocalTest(end_to_end.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.place = self.pipeline.folder / "traces"
        self.place.mkdir()
        self.file = self.place / "traces.jsonl"

    def lines(self):
        """Of the file and of all that were rotated out, each of which must be JSON."""
        for path in sorted(self.place.iterdir()):
            opened = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")
            with opened as text:
                for line in text:
                    self.assertTrue(line.endswith("\n"), f"{path}: {line[-40:]}")
                    yield json.loads(line)

    def ids_in_lines(self):
        ids = []
        for line in self.lines():
            found = {attribute["value"]["stringValue"] for resource in line["resourceSpans"]
                     for scope in resource["scopeSpans"] for span in scope["spans"]
                     for attribute in span["attributes"] if attribute["key"] == end_to_end.GENERATION_KEY}
            self.assertEqual(len(found), 1, "a line holds one record")
            ids += found
        return ids

    def replay(self, *more, records=RECORDS):
        self.pipeline.replay(self.exchanges, "--limit", str(records), "--ids", self.ids, *more)

    def tool(self, *arguments):
        done = subprocess.run([str(end_to_end.BINARIES / "sidecast"), *map(str, arguments)], capture_output=True,
                              text=True, check=False, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def gateway(self):
        return gateway.Gateway(end_to_end.BINARIES.parent / "lib" / "libsidecast.so", self.pipeline.ring_dir, self.ids)

    def test_every_record_is_one_line_through_rotation(self):
        self.pipeline.write_config([to_file(self.file, rotate_bytes="200KiB", keep_files=0, batch_bytes_max="64KiB")],
                                   batch_age_max="50ms")
        self.assertEqual(self.tool("test", "local", "--config", self.pipeline.config)[0], 0)
        engine = self.pipeline.start_engine()
        self.replay()
        self.pipeline.wait_until_settled()
        self.assert_ledger_exact(len(self.logged_ids()))
        self.assertEqual(engine.stop()[0], 0)
        self.assertGreater(len(list(self.place.glob("traces-*.jsonl.gz"))), 2, "nothing was rotated")
        self.assertEqual(sorted(self.ids_in_lines()), sorted(self.logged_ids()))
        for path in self.place.iterdir():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path)

    def test_an_engine_killed_within_a_line_leaves_no_broken_one(self):
        self.pipeline.write_config([to_file(self.file)], batch_age_max="50ms")
        command = [end_to_end.BINARIES / "sidecastd", "--config", self.pipeline.config]
        engine = self.pipeline.start(command, "killed", {"SIDECAST_KILL_AT": "file.half_written:2"})
        pipeline.wait_until(lambda: self.pipeline.stats_or_none(), "the engine's stats")
        self.replay()
        code, _ = engine.wait()
        if code == 0:
            self.skip_for_want_of("a build with test points")
        torn = self.file.read_bytes()
        self.assertFalse(torn.endswith(b"\n"), "the kill did not come within a line")
        engine = self.pipeline.start_engine()
        self.pipeline.wait_until_settled()
        self.assert_ledger_exact(len(self.logged_ids()))
        self.assertEqual(engine.stop()[0], 0)
        self.assertEqual(sorted(set(self.ids_in_lines())), sorted(self.logged_ids()))
        self.assertIn("its last line was cut off", engine.log.read_text())

    def test_a_full_disk_is_waited_for_and_said(self):
        disk = self.pipeline.folder / "disk"
        disk.mkdir()
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)],
                                               check=False, capture_output=True).returncode != 0:
            self.skip_for_want_of("the right to mount a small file system")
        self.addCleanup(subprocess.run, ["umount", "-l", str(disk)], check=False)
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(200 << 10))
        path = disk / "traces.jsonl"
        self.pipeline.write_config([to_file(path, batch_bytes_max="64KiB")], batch_age_max="50ms")
        engine = self.pipeline.start_engine()
        self.replay(records=60)

        def local():
            return self.pipeline.stats()["destinations"][0]

        pipeline.wait_until(lambda: "No space left on device" in local()["last_error"], "a word on the disk")
        self.assertGreater(local()["pending"], 0)
        self.assertEqual(sum(local()["rejected"].values()) + sum(local()["dropped"].values()), 0)
        self.assertTrue(path.read_text().endswith("\n") or path.stat().st_size == 0, "half a batch stayed")
        ballast.unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        self.pipeline.wait_until_settled()
        self.assertEqual(engine.stop()[0], 0)
        self.file = path
        self.place = disk
        self.assertEqual(sorted(self.ids_in_lines()), sorted(self.logged_ids()))

    def test_the_console_shows_a_line_per_record_and_no_escapes(self):
        self.pipeline.write_config([{"name": "screen", "type": "console"}], batch_age_max="50ms")
        engine = self.pipeline.start_engine()
        writer = self.gateway()
        body = json.dumps({"model": "a-model", "messages": [
            {"role": "user", "content": f"{CANARY} \x1b[31m\x9b2J‮ and\nanother line"}]})
        for number in range(20):
            self.assertEqual(writer.write_fields(generation_id=f"gen-{number}", account="acme", operation="chat",
                                                 request=body.encode()), gateway.OK)
        pipeline.wait_until(lambda: self.pipeline.stats()["records"]["read"] == 20, "all read")
        self.pipeline.wait_until_settled()
        code, output = engine.stop()
        self.assertEqual(code, 0)
        lines = output.splitlines()
        self.assertEqual(len(lines), 20, output)
        for number, line in enumerate(lines):
            self.assertIn(f"gen-{number}", line)
            self.assertIn("a-model", line)
            self.assertIn(CANARY, line)
            self.assertTrue(line.isprintable(), line)

    def test_privacy_mode_leaves_no_content_in_either(self):
        self.pipeline.write_config([to_file(self.file, privacy_mode=True),
                                    {"name": "screen", "type": "console", "stream": "stderr", "privacy_mode": True}],
                                   batch_age_max="50ms")
        engine = self.pipeline.start_engine()
        body = json.dumps({"model": "a-model", "messages": [{"role": "user", "content": CANARY}]}).encode()
        self.assertEqual(self.gateway().write_fields(generation_id="gen-1", operation="chat", request=body), gateway.OK)
        pipeline.wait_until(lambda: self.pipeline.stats()["records"]["read"] == 1, "all read")
        self.pipeline.wait_until_settled()
        self.assertEqual(engine.stop()[0], 0)
        log = engine.log.read_text()
        self.assertIn("gen-1", log)
        self.assertNotIn(CANARY, log + self.file.read_text())

    def test_a_console_that_nobody_reads_holds_up_nobody_else(self):
        self.pipeline.write_config([to_file(self.file), {"name": "screen", "type": "console", "timeout": "300ms"}],
                                   batch_age_max="50ms", shutdown_deadline="1s")
        engine = self.pipeline.start_engine()  # its output is a pipe that is read at the end
        for _ in range(3):
            self.replay(records=RECORDS)

        def stats():
            return {each["name"]: each for each in self.pipeline.stats()["destinations"]}

        pipeline.wait_until(lambda: stats()["local"]["delivered"] == len(self.logged_ids()), "the file to have all")
        pipeline.wait_until(lambda: "nobody reads" in stats()["screen"]["last_error"], "a word on the reader")
        self.assertGreater(stats()["screen"]["pending"], 0)
        start = time.monotonic()
        code, output = engine.stop()
        self.assertEqual(code, 0)
        self.assertLess(time.monotonic() - start, 30)
        self.assertGreater(len(output), 60_000, "the pipe was never full")
        self.pipeline.stats("--check")

    def test_a_tenant_may_not_write_to_this_machine(self):
        tenants = self.pipeline.folder / "tenants.d"
        tenants.mkdir()
        (tenants / "acme.yaml").write_text(json.dumps(
            {"account": "acme", "destinations": [to_file("/tmp/x.jsonl"), {"name": "screen", "type": "console"}]}))
        self.pipeline.write_config([], destinations_dir=str(tenants))
        code, output = self.tool("validate", self.pipeline.config)
        self.assertEqual(code, 2)
        self.assertIn("type 'file' writes to this machine; a tenant may not", output)
        self.assertIn("type 'console' writes to this machine; a tenant may not", output)

    def test_the_connection_test_says_what_to_mend(self):
        self.pipeline.write_config([to_file(self.place / "no" / "folder.jsonl")])
        code, output = self.tool("test", "local", "--config", self.pipeline.config)
        self.assertEqual(code, 1)
        self.assertIn("No such file or directory", output)
        self.pipeline.write_config([to_file(self.file), {"name": "screen", "type": "console"}])
        for arguments in (("local",), ("screen",), ("local", "--send-trace"), ("screen", "--send-trace")):
            code, output = self.tool("test", *arguments, "--config", self.pipeline.config)
            self.assertEqual(code, 0, output)
        self.assertEqual(len(self.file.read_text().splitlines()), 1)
        self.assertIn("sidecast-connection-test", output)


if __name__ == "__main__":
    unittest.main()
