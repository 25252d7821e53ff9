"""`sidecast tail`: records as they pass, without their content, and without anybody waiting for who watches."""

import json
import os
import select
import signal
import subprocess
import time
import unittest

import end_to_end
import gateway
import pipeline

LIBRARY = end_to_end.BINARIES.parent / "lib" / "libsidecast.so"
CANARY = "CANARY"
REQUEST = json.dumps({"model": "openai/gpt-4o", "messages": [{"role": "user", "content": f"{CANARY} question"}],
                      "unheard_of": f"{CANARY} unknown"}).encode()


class Tail(end_to_end.EndToEndTest):
    def start(self, *destinations, **settings):
        self.sink = self.pipeline.start_sink("sink")
        self.pipeline.write_config([end_to_end.generic_json(self.sink.address, **each) for each in destinations],
                                   batch_age_max="50ms", **settings)
        self.engine = self.pipeline.start_engine()
        self.writer = gateway.Gateway(LIBRARY, self.pipeline.ring_dir, self.ids)

    def watch(self, *options):
        """A running tail whose wish the engine has heard: it has shown a first record."""
        command = [end_to_end.BINARIES / "sidecast", "tail", "--ring-dir", self.pipeline.ring_dir, "--json", *options]
        tail = self.pipeline.start(command, f"tail-{len(os.listdir(self.pipeline.folder))}")
        tail.bytes = b""

        def is_shown():
            self.write("hello")
            time.sleep(0.05)
            return self.packets(tail)

        pipeline.wait_until(is_shown, "the tail to show something")
        return tail

    def packets(self, tail):
        """What it has shown so far."""
        output = tail.process.stdout.fileno()
        while select.select([output], [], [], 0)[0]:
            piece = os.read(output, 1 << 16)
            if not piece:
                break
            tail.bytes += piece
        tail.text = tail.bytes.decode()
        return [json.loads(line) for line in tail.text.split("\n")[:-1]]

    def write(self, name, **fields):
        fields = {"account": "acme", "session_id": "session-1", "api_key_name": "team-a", **fields}
        self.assertEqual(self.writer.write_fields(request=REQUEST, generation_id=name, operation="chat", **fields), gateway.OK)

    def find(self, tail, name):
        return pipeline.wait_until(
            lambda: next((each for each in self.packets(tail) if self.name_of(each) == name), None), f"{name} to be shown")

    @staticmethod
    def name_of(packet):
        return packet["record"]["observations"][0]["id"]

    def test_a_record_is_shown_as_it_passes_without_its_content(self):
        self.start({"name": "all"}, {"name": "nobody", "api_keys": {"include": ["other"]}})
        tail = self.watch()
        self.write("gen-1", error_message=f"{CANARY} in an error", error_type="timeout",
                   attributes_json=json.dumps({"note": f"{CANARY} attribute"}), trace_json=json.dumps({"feature": "kept"}))
        shown = self.find(tail, "gen-1")
        self.assertEqual(shown["destinations"], [{"name": "all", "fate": "routed"}, {"name": "nobody", "fate": "filtered"}])
        self.assertEqual((shown["account"], shown["http_status"], shown["failed"]), ("acme", 200, True))
        self.assertEqual(shown["record"]["observations"][0]["model"], "openai/gpt-4o")
        self.assertEqual(shown["record"]["sessionId"], "session-1")
        self.assertEqual(shown["record"]["metadata"]["feature"], "kept")
        self.assertNotIn(CANARY, tail.text)
        self.assertEqual(tail.stop()[0], 0)

    def test_content_is_shown_on_request_but_not_what_privacy_mode_covers(self):
        self.start({"name": "open"}, {"name": "closed", "privacy_mode": True, "accounts": ["secretive"]})
        tail = self.watch("--show-content")
        self.write("gen-open")
        self.assertIn(f"{CANARY} question", json.dumps(self.find(tail, "gen-open")))
        self.write("gen-closed", account="secretive")
        closed = self.find(tail, "gen-closed")
        self.assertEqual(closed["content"], "redacted")
        self.assertNotIn(CANARY, json.dumps(closed))
        # As one destination gets it.
        at_open = self.watch("--show-content", "--destination", "open")
        self.write("gen-both", account="secretive")
        self.assertIn(CANARY, json.dumps(self.find(at_open, "gen-both")))
        self.assertNotIn(CANARY, json.dumps(self.find(tail, "gen-both")))

    def test_only_what_is_asked_for_is_shown(self):
        self.start({"name": "all"}, {"name": "failures", "api_keys": {"include": ["team-b"]}})
        by_account = self.watch("--account", "acme")
        by_model = self.watch("--model", "openai/")
        failed = self.pipeline.start([end_to_end.BINARIES / "sidecast", "tail", "--ring-dir", self.pipeline.ring_dir,
                                      "--json", "--failed", "--count", "1"], "failed")
        self.write("gen-other", account="other")
        self.write("gen-acme")
        self.find(by_account, "gen-acme")
        self.find(by_model, "gen-acme")
        self.assertNotIn("gen-other", by_account.text)
        self.find(by_model, "gen-other")

        def has_failed():
            self.write("gen-late", error_type="timeout")
            time.sleep(0.05)
            return not failed.is_running()

        pipeline.wait_until(has_failed, "the failure to be shown")
        code, output = failed.wait()
        self.assertEqual(code, 0)
        self.assertEqual([self.name_of(json.loads(line)) for line in output.splitlines()], ["gen-late"])

    def test_a_destination_that_is_not_there_is_named(self):
        self.start({"name": "all"})
        command = [end_to_end.BINARIES / "sidecast", "tail", "--ring-dir", self.pipeline.ring_dir, "--destination", "al"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=pipeline.WATCHDOG_S)
        self.assertEqual(done.returncode, 2)
        self.assertIn("no destination is called al; there are: all", done.stderr)

    def test_without_an_engine_it_says_so(self):
        self.let_the_engine_make_its_directory_first()
        command = [end_to_end.BINARIES / "sidecast", "tail", "--ring-dir", self.pipeline.ring_dir]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=pipeline.WATCHDOG_S)
        self.assertEqual(done.returncode, 1)
        self.assertIn("start sidecastd", done.stderr)

    def let_the_engine_make_its_directory_first(self):
        self.pipeline.write_config([])
        self.let_the_engine_make_its_directory()

    def test_a_tail_that_reads_nothing_or_dies_harms_nobody(self):
        self.start({"name": "all"})
        stopped = self.watch("--rate", "1000", "--show-content")
        os.kill(stopped.pid, signal.SIGSTOP)
        killed = self.watch()
        killed.kill()
        for number in range(3000):
            status = None
            while status != gateway.OK:  # the ring is a small one; waiting here is the test's, not the engine's
                status = self.writer.write_fields(request=REQUEST, generation_id=f"many-{number}", operation="chat")
        self.pipeline.wait_until_settled()
        stats = self.pipeline.stats("--check")
        self.assertEqual(stats["destinations"][0]["delivered"], stats["records"]["written"])
        self.assertGreaterEqual(stats["records"]["written"], 3000)
        os.kill(stopped.pid, signal.SIGCONT)

        def is_with_us_again():  # until it has read what waits for it, it misses more
            self.write("at the end")
            return any(self.name_of(each) == "at the end" for each in self.packets(stopped))

        pipeline.wait_until(is_with_us_again, "a record to be shown to who was stopped")
        self.assertGreater(self.packets(stopped)[-1]["missed"], 0)

    def test_it_ends_with_the_engine_and_survives_a_reload(self):
        self.start({"name": "all"})
        tail = self.watch("--destination", "all")
        self.pipeline.write_config([end_to_end.generic_json(self.sink.address, name="before"),
                                    end_to_end.generic_json(self.sink.address, name="all")], batch_age_max="50ms")
        reload = [end_to_end.BINARIES / "sidecast", "reload", "--ring-dir", self.pipeline.ring_dir]
        self.assertEqual(subprocess.run(reload, capture_output=True, check=False, timeout=pipeline.WATCHDOG_S).returncode, 0)

        def names_shown():
            self.write("after")
            time.sleep(0.05)
            return {each["name"] for packet in self.packets(tail) for each in packet["destinations"]}

        pipeline.wait_until(lambda: names_shown() == {"all", "before"}, "the new destination to be named")
        self.assertEqual(self.engine.stop()[0], 0)
        pipeline.wait_until(lambda: not tail.is_running(), "the tail to end")
        self.assertEqual(tail.process.returncode, 1)
        self.assertIn("the engine has ended", tail.last_words())


if __name__ == "__main__":
    unittest.main()
