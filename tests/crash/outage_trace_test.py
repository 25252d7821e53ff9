"""A receiver is gone for a while under a recorded production trace: nothing is lost, the backlog is drained, and the
receiver is not flooded when it is back.

The trace (ServeGen, the peak of a platform, 7,000 requests a second) is played again and again. The default is an
outage of seconds at a seventh of its speed; SIDECAST_OUTAGE_SECONDS=60 SIDECAST_OUTAGE_SPEED=1 is the real one, and
needs two cores to itself.
"""

import os
import threading
import time
import unittest

import end_to_end
import faulty_receiver
import pipeline

TRACE = end_to_end.DATA / "arrivals" / "servegen_platform_peak45s.csv.gz"
SECONDS = float(os.environ.get("SIDECAST_OUTAGE_SECONDS", "8"))
SPEED = float(os.environ.get("SIDECAST_OUTAGE_SPEED", "0.15"))
CALM_S = max(3, SECONDS / 4)  # before and after
CONNECTIONS = 4
FIRST_S = 5  # what counts as recovery


class OutageUnderATrace(end_to_end.EndToEndTest):
    def setUp(self):
        super().setUp()
        if not TRACE.is_file():
            self.skip_for_want_of(f"{TRACE} (say where the data is with SIDECAST_DATA)")
        self.receivers = faulty_receiver.Receivers()
        self.addCleanup(self.receivers.close)
        self.is_over = threading.Event()

    def play_again_and_again(self):
        for turn in range(1000):
            if self.is_over.is_set():
                return
            replay = self.pipeline.start_replay(
                end_to_end.SAMPLE, "--arrivals", TRACE, "--speed", str(SPEED), "--ids", self.ids, "--id-prefix",
                f"turn-{turn}", "--threads", "2", "--ring-bytes", "64MiB", name=f"replay-{turn}")
            while replay.is_running():
                if self.is_over.wait(0.05):
                    replay.stop()
                    return

    def records_per_second(self, requests, begin, end):
        taken = sum(records for at, _, records, _ in requests if begin <= at < end)
        return taken / max(end - begin, 0.001)

    def test_loses_nothing_and_floods_nobody(self):
        receiver = self.receivers.start()
        self.pipeline.write_config(
            [end_to_end.generic_json(receiver.address, name="backend", compression="gzip", connections=CONNECTIONS)],
            memory_limit="6GiB" if SPEED > 0.1 else "512MiB", batch_age_max="200ms")
        engine = self.pipeline.start_engine()
        player = threading.Thread(target=self.play_again_and_again)
        player.start()
        self.addCleanup(player.join)
        self.addCleanup(self.is_over.set)
        pipeline.wait_until(lambda: receiver.taken, "the first records to arrive")
        time.sleep(CALM_S)
        gone = time.time()
        self.receivers.go_away(receiver)
        time.sleep(SECONDS)
        backlog = self.pipeline.stats()["destinations"][0]
        self.assertEqual(backlog["state"], "backing off")
        self.assertGreater(backlog["pending"], 0)
        before = len(receiver.requests)
        self.receivers.listen(receiver)
        back = time.time()
        pipeline.wait_until(lambda: len(receiver.requests) > before, "the receiver to be found again")
        found = receiver.requests[before][0]
        time.sleep(CALM_S)
        self.is_over.set()
        player.join()
        self.pipeline.wait_until_settled(300)
        drained = time.time()

        written, now = self.logged_ids(), self.pipeline.stats("--check")["destinations"][0]
        self.assertEqual(now["delivered"], now["routed"])
        self.assertGreaterEqual(now["routed"], len(written))
        self.assertFalse(set(written) - set(receiver.taken), "written and never taken")
        after = receiver.requests[before:]
        first = [request for request in after if request[0] < found + FIRST_S]
        print(f"{len(written)} records; {backlog['pending']} waited when the receiver was back, found after "
              f"{found - back:.1f} s, all delivered {drained - back:.1f} s after it was back; open at once at most "
              f"{max(others for *_, others in first)} of {CONNECTIONS}; before the outage "
              f"{self.records_per_second(receiver.requests[:before], gone - CALM_S, gone):.0f} records/s, in the first "
              f"{FIRST_S} s after it {len(first) / FIRST_S:.1f} requests/s with "
              f"{self.records_per_second(after, found, found + FIRST_S):.0f} records/s", flush=True)
        self.assertEqual(after[0][3], 1, "the first request of a recovery is alone")
        self.assertLessEqual(max(others for *_, others in after), CONNECTIONS)
        self.assertEqual(engine.stop()[0], 0, engine.last_words())


if __name__ == "__main__":
    unittest.main()
