"""A spool at its limit: only want of memory may cost what is in it. What merely moves costs nothing."""

import time
import unittest

import end_to_end
import pipeline
import spool_test

LIMIT = 4 << 20


class SpoolLimit(spool_test.SpoolTest):
    def fill(self):
        """An engine with room in memory, a dead receiver, and more than the spool may hold."""
        self.dead = self.pipeline.start_sink("dead", "--misbehave", "status=503")
        self.write_config([end_to_end.generic_json(self.dead.address, batch_records_max=20, compression="none")],
                          shutdown_deadline="3s", spool={"after": "0s", "limit": f"{LIMIT >> 20}MiB"})
        engine = self.pipeline.start_engine()
        self.play("--repeat", "200", "--rate", "4000")
        written = len(self.logged_ids())
        pipeline.wait_until(lambda: self.stats()["records"]["read"] == written, "every record to be read")
        pipeline.wait_until(lambda: self.stats()["spool"]["bytes"] > LIMIT * 3 // 4, "the spool to be full", 20)
        time.sleep(2)  # it is asked again and again
        self.assert_nothing_dropped(written)
        self.assertGreater(self.destination()["pending"], 100, "more than the spool has room for")
        return engine, written

    def assert_nothing_dropped(self, written):
        shown = self.destination()
        self.assertEqual(sum(shown["dropped"].values()), 0, shown)
        self.assertEqual(shown["pending"] + shown["spooled"], written, shown)
        self.assertLessEqual(self.stats()["spool"]["bytes"], LIMIT)

    def deliver_all(self, written):
        self.dead.stop()
        again = self.pipeline.start_sink("again", listen=self.dead.address)
        engine = self.pipeline.start_engine("--drain")
        self.assertEqual(engine.wait()[0], 0, engine.last_words())
        self.assert_all_arrived(end_to_end.Received(again.out), "generic")
        self.assertEqual(self.destination()["delivered"], written)
        self.assert_sums_hold()

    def test_ends_and_starts_cost_nothing(self):
        engine, written = self.fill()
        for _ in range(4):
            requests = self.destination()["requests"]
            self.assertEqual(engine.stop()[0], 0, engine.last_words())
            self.assert_nothing_dropped(written)
            engine = self.pipeline.start_engine()
            # Something of it is read back and tried.
            pipeline.wait_until(lambda: self.destination()["requests"] > requests, "it to try again")
        self.assertEqual(engine.stop()[0], 0, engine.last_words())
        self.assert_nothing_dropped(written)
        self.deliver_all(written)

    def test_kills_cost_nothing(self):
        engine, written = self.fill()
        for _ in range(4):
            requests = self.destination()["requests"]
            engine.kill()
            engine = self.pipeline.start_engine()
            pipeline.wait_until(lambda: self.destination()["requests"] > requests, "it to try again")
            self.assert_nothing_dropped(written)
        self.assertEqual(engine.stop()[0], 0, engine.last_words())
        self.assert_nothing_dropped(written)
        self.deliver_all(written)

    def test_a_batch_that_is_tried_and_given_back_writes_nothing(self):
        """What is read back to see whether a destination takes it goes back to where it was."""
        engine, written = self.fill()
        segments = sorted(path.name for path in self.segments())
        sizes = {path.name: path.stat().st_size for path in self.segments()}
        requests = self.destination()["requests"]
        pipeline.wait_until(lambda: self.destination()["requests"] >= requests + 3, "it to be tried", 60)
        self.assertEqual(engine.stop()[0], 0, engine.last_words())
        self.assert_nothing_dropped(written)
        self.assertEqual(sorted(path.name for path in self.segments()), segments)
        self.assertEqual({path.name: path.stat().st_size for path in self.segments()}, sizes)


if __name__ == "__main__":
    unittest.main()
