"""Incidents that other exporters are known for, one test each, seen as an operator sees them.

Elsewhere: the sums of splits (tests/unit/engine), power cuts at every write (tests/unit/spool), reloads,
thousands of destinations.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import unittest

import end_to_end
import faulty_receiver
import oversize_test
import pipeline

HOSTS = pathlib.Path("/etc/hosts")
NAME = "collector.sidecast.test"


class Incidents(end_to_end.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.receivers = faulty_receiver.Receivers()
        self.addCleanup(self.receivers.close)

    def start(self, *destinations, **settings):
        self.pipeline.write_config(list(destinations), **{"batch_age_max": "100ms", **settings})
        return self.pipeline.start_engine()

    def play(self, *arguments):
        self.pipeline.replay(end_to_end.SAMPLE, "--ids", self.ids, *arguments)
        return len(self.logged_ids())

    def destination(self):
        return self.pipeline.stats()["destinations"][0]

    def wait_for_state(self, state):
        pipeline.wait_until(lambda: self.destination()["state"] == state, f"the destination to be {state}")
        return self.destination()

    def plain(self, receiver, **more):
        return end_to_end.generic_json(receiver.address, name="backend", compression="gzip", **more)

    def test_counters_in_an_outage_are_those_of_the_receiver(self):
        """An exporter counted as sent what had been given up, and lost what an outage swallowed without a word."""
        receiver = self.receivers.start()
        engine = self.start(self.plain(receiver, batch_records_max=7), give_up_after="3s")
        first = self.play("--id-prefix", "before")
        pipeline.wait_until(lambda: self.destination()["delivered"] == first, "the first part to arrive")
        # Some answers are lost though the spans were stored; then nothing is taken any more.
        receiver.manner = "lose"
        self.play("--id-prefix", "lost-answers")
        self.wait_for_state("backing off")
        receiver.manner = "status 503"
        self.play("--id-prefix", "outage")
        pipeline.wait_until(lambda: self.destination()["dropped"]["expired"] > 0, "something to be given up")
        receiver.manner = "take"
        self.play("--id-prefix", "after")
        self.pipeline.wait_until_settled()
        written, now = self.logged_ids(), self.destination()
        self.assertEqual(now["routed"], len(written))
        self.assertEqual(now["delivered"] + now["dropped"]["expired"], len(written))
        self.assertEqual(sum(now["dropped"].values()), now["dropped"]["expired"])
        # Every record that counts as delivered is there; so may be some whose answer never came.
        self.assertGreaterEqual(len(receiver.taken), now["delivered"])
        missing = set(written) - set(receiver.taken)
        self.assertLessEqual(len(missing), now["dropped"]["expired"])
        self.assertFalse([each for each in missing if each.startswith(("before", "after"))])
        self.assertEqual(engine.stop()[0], 0)

    def test_sigterm_with_a_dead_backend_ends_by_its_deadline_and_loses_nothing(self):
        """A pod hung in its shutdown until it was killed, and its queue was gone."""
        for manner in ("hang", "status 503", "flood"):
            with self.subTest(manner):
                receiver = self.receivers.start(manner)
                engine = self.start(self.plain(receiver), shutdown_deadline="1s")
                before = len(self.logged_ids())
                self.play("--id-prefix", manner.split()[0])
                pipeline.wait_until(lambda: receiver.requests or receiver.open, "the backend to be asked")
                engine.process.send_signal(signal.SIGTERM)
                self.assertEqual(engine.wait()[0], 0, engine.last_words())
                receiver.manner = "take"
                drained = self.pipeline.start_engine("--drain")
                self.assertEqual(drained.wait()[0], 0, drained.last_words())
                # A body without end is cut, and its status counts: what the flood got was delivered.
                if manner != "flood":
                    self.assertEqual(set(receiver.taken), set(self.logged_ids()[before:]))
                self.pipeline.stats("--check")

    def test_an_error_page_is_no_receipt(self):
        """A login page answered 200 to everything for a weekend: all was counted as sent."""
        receiver = self.receivers.start("html 200")
        engine = self.start(self.plain(receiver))
        written = self.play()
        now = self.wait_for_state("paused")
        self.assertEqual((now["delivered"], now["pending"]), (0, written))
        self.assertIn("check the endpoint: a web page answered", now["last_error"])
        self.assertEqual(engine.log.read_text().count("a web page answered"), 1)
        self.assertNotIn("Sorry", engine.log.read_text())
        receiver.manner = "take"
        self.assertEqual(engine.stop()[0], 0)
        self.assertEqual(self.pipeline.start_engine("--drain").wait()[0], 0)
        self.assertEqual(set(receiver.taken), set(self.logged_ids()))

    def test_error_pages_of_a_gateway_are_outages_and_refusals_by_their_status(self):
        """A proxy's pages in place of protobuf broke the exporter's reading of answers."""
        receiver = self.receivers.start("html 502")
        engine = self.start(self.plain(receiver))
        written = self.play("--id-prefix", "proxy")
        self.wait_for_state("backing off")
        receiver.manner = "take"
        self.pipeline.wait_until_settled()
        self.assertEqual(self.destination()["delivered"], written)
        receiver.manner = "html 400"
        refused = self.play("--id-prefix", "refused") - written
        self.pipeline.wait_until_settled()
        now = self.destination()
        self.assertEqual((now["delivered"], sum(now["rejected"].values())), (written, refused))
        self.assertEqual(engine.stop()[0], 0)

    def test_retry_after_of_3120_seconds_is_kept_in_full_and_said_once(self):
        """A backend asked for 52 minutes and was asked again every 30 seconds."""
        receiver = self.receivers.start("status 429")
        receiver.headers["Retry-After"] = "3120"
        engine = self.start(self.plain(receiver, batch_records_max=5), give_up_after="2h", shutdown_deadline="1s")
        self.play("--id-prefix", "first")
        self.wait_for_state("backing off")
        asked = len(receiver.requests)
        receiver.manner = "take"  # it would be glad to, but it asked for the wait
        self.play("--id-prefix", "second")
        pipeline.wait_until(lambda: self.destination()["pending"] == len(self.logged_ids()), "all to be kept")
        time.sleep(3)  # several backoffs of our own
        self.assertEqual(len(receiver.requests), asked, "asked again before its time")
        now = self.destination()
        self.assertEqual((now["delivered"], now["state"]), (0, "backing off"))
        for place, text in (("stats", now["last_error"]), ("log", engine.log.read_text())):
            self.assertEqual(len(re.findall(r"HTTP 429; asks to wait 3120 s", text)), 1, f"{place}: {text}")
        self.assertEqual(engine.stop()[0], 0)

    def test_trace_ids_of_64_bits_become_valid_ones_that_stay_the_same(self):
        """Ids of 16 hex digits, as older tracers make them, were refused by backends, a batch at a time."""
        short = "463ac35c9f6413ad"
        exchange = end_to_end.read_exchanges(end_to_end.SAMPLE)[0]
        path = self.pipeline.folder / "short.jsonl"
        path.write_text(json.dumps({**exchange, "session": short}) + "\n")
        sink = self.pipeline.start_sink("generic")  # refuses ids that are not valid
        engine = self.start(end_to_end.generic_json(sink.address))
        for prefix in ("one", "two"):
            self.pipeline.replay(path, "--with-trace", "--ids", self.ids, "--id-prefix", prefix)
        self.pipeline.wait_until_settled()
        received = end_to_end.Received(sink.out)
        self.assertEqual(set(received.spans), set(self.logged_ids()))
        ids = {span["traceId"] for spans in received.spans.values() for span in spans}
        self.assertEqual(len(ids), 1, "two requests of one trace stay in one trace")
        self.assertRegex(ids.pop(), "^(?!0{32})[0-9a-f]{32}$")
        self.assertEqual(self.destination()["delivered"], 2)
        self.assertEqual(engine.stop()[0], 0)

    def test_an_item_larger_than_every_limit_is_shortened_and_holds_up_nobody(self):
        """An item larger than the batch limit was split for ever, and all behind it waited."""
        receiver = oversize_test.Receiver(oversize_test.PLAIN_413)
        self.addCleanup(receiver.close)
        # Larger than a batch, than what memory has for one record, than the receiver takes, than a record in the ring.
        engine = self.start(end_to_end.generic_json(receiver.address, compression="none", batch_bytes_max="1MiB"),
                            memory_limit="48MiB", workers=1, writers={"ring_size": "96MiB", "record_size_max": "32MiB"})
        sizes = {"stage": 24_000_000, "receiver": 6_000_000, "batch": 2_000_000, "ring": 60_000_000}
        path = self.pipeline.folder / "items.jsonl"
        with path.open("w", encoding="utf-8") as out:
            for name, size in sizes.items():
                for index in range(50):
                    out.write(json.dumps(oversize_test.exchange(f"{name}-{index}", f"question {index} " * 20)) + "\n")
                out.write(json.dumps(oversize_test.exchange(name, "once upon a time " * (size // 17))) + "\n")
        self.pipeline.replay(path, "--ids", self.ids, "--no-wait", "--rate", "200")
        self.pipeline.wait_until_settled()
        stats = self.assert_ledger_exact(51 * len(sizes))
        self.assertEqual(set(receiver.spans), set(self.logged_ids()))
        self.assertEqual((stats["records"]["shed"], stats["records"]["oversized"]), (1, 0))
        self.assertEqual(stats["destinations"][0]["shrunk"], 2)
        marked = {re.search(r"\[shortened from ([\d,]+) bytes\]", json.dumps(span))[1]
                  for span in receiver.spans.values() if "[shortened from " in json.dumps(span)}
        self.assertEqual(marked, {f"{sizes[name] // 17 * 17:,}" for name in ("stage", "receiver")})
        self.assertEqual(engine.stop()[0], 0)

    def test_a_name_that_moves_to_another_address_is_followed(self):
        """An exporter held on to the address of a backend that had moved, until it was restarted."""
        hosts = self.pipeline.folder / "hosts"
        enter = ["unshare", "--map-root-user", "--mount"] if os.getuid() else ["unshare", "--mount"]
        if not shutil.which("unshare") or subprocess.run([*enter, "true"], capture_output=True, check=False).returncode:
            self.skip_for_want_of("a mount namespace of its own, to give a name another address")
        before, after = self.receivers.start(), faulty_receiver.Receiver()
        after.port = before.port
        after.host = "127.0.0.2"
        self.receivers.listen(after)
        hosts.write_text(f"127.0.0.1 localhost {NAME}\n")
        self.pipeline.write_config([self.plain(before, endpoint=f"http://{NAME}:{before.port}")], batch_age_max="100ms")
        script = f'mount --bind "{hosts}" {HOSTS} && exec "$0" "$@"'
        engine = self.pipeline.start([*enter, "sh", "-c", script, str(end_to_end.BINARIES / "sidecastd"), "--config",
                                      str(self.pipeline.config)], "engine")
        pipeline.wait_until(lambda: self.pipeline.stats_or_none() is not None, "the engine's stats")
        first = self.play("--id-prefix", "before")
        pipeline.wait_until(lambda: len(before.taken) == first, "the first address to get everything")
        hosts.write_text(f"127.0.0.1 localhost\n127.0.0.2 {NAME}\n")
        self.receivers.go_away(before)
        self.play("--id-prefix", "after")
        self.pipeline.wait_until_settled()
        self.assertEqual(set(before.taken) | set(after.taken), set(self.logged_ids()))
        self.assertGreater(len(after.taken), 0)
        self.assertEqual(engine.stop()[0], 0)


if __name__ == "__main__":
    unittest.main()
