"""Twenty destinations, nineteen of them dead, slow, flooding, resetting or silent: the healthy one gets everything.

How much later than alone it gets it, bench/isolation says: figures of time are no business of a test.
"""

import unittest

import end_to_end
import isolation

RATE = 200
SECONDS = 8


class Isolation(end_to_end.EndToEndTest):
    def check(self, has_spool):
        outcome = isolation.play(self.pipeline, 19, RATE, SECONDS, has_spool, batch_age_max="200ms", shutdown_deadline="1s")
        written = len(outcome.written)
        self.assertGreater(written, 0)
        self.assertEqual(len(outcome.delays), written)
        for name, each in outcome.stats.items():
            self.assertEqual(each["routed"], written, name)
            self.assertEqual(sum(each["dropped"].values()), 0, f"{name}: nothing is old, and there is room")
            if name.split("-")[0] in ("dead", "reset", "hang", "status"):
                self.assertEqual((each["delivered"], each["pending"] + each["spooled"]), (0, written), name)
                self.assertEqual(each["spooled"] > 0, has_spool, name)
                self.assertEqual(each["state"], "backing off", name)
        print(f"healthy: median {outcome.median * 1000:.0f} ms, p99 {outcome.p99 * 1000:.0f} ms", flush=True)

    def test_nineteen_in_trouble_cost_the_twentieth_nothing(self):
        self.check(has_spool=False)

    def test_nor_do_they_when_what_they_do_not_take_goes_to_disk(self):
        self.check(has_spool=True)


if __name__ == "__main__":
    unittest.main()
