"""Gateways write as fast as everything is delivered: rings and memory are full all the time.

That is nobody's fault, so no destination that delivers loses a record, whatever stands beside it.
"""

import unittest

import end_to_end
import pipeline

SECONDS = 4


class Overload(end_to_end.EndToEndTest):
    def play(self, *others, **settings):
        """Plays beside the other destinations until what was logged has arrived at the healthy one."""
        healthy = self.pipeline.start_sink("healthy")
        destinations = [end_to_end.generic_json(healthy.address, name="healthy", compression="none"), *others]
        self.pipeline.write_config(destinations, workers=2, **settings)
        engine = self.pipeline.start_engine()
        self.pipeline.replay(end_to_end.recorded_exchanges(), "--repeat", "0", "--duration",
                             str(SECONDS), "--threads", "2", "--ids", self.ids)

        def is_through():
            stats = self.pipeline.stats()
            return stats["records"]["unread"] == 0 and stats["destinations"][0]["pending"] == 0

        pipeline.wait_until(is_through, "everything to be delivered")
        stats = self.pipeline.stats("--check")
        self.assertEqual(engine.stop()[0], 0, engine.last_words())
        self.assertEqual(sum(stats["destinations"][0]["dropped"].values()), 0, engine.last_words())
        self.assert_all_arrived(end_to_end.Received(healthy.out), "healthy")
        return {destination["name"]: destination for destination in stats["destinations"]}

    def other(self, name, *misbehaviour, **more):
        sink = self.pipeline.start_sink(name, *misbehaviour)
        return end_to_end.openinference_protobuf(sink.address, name=name, compression="none", **more)

    def test_healthy_destinations_lose_nothing(self):
        # JSON for both, which costs a receiver the same: on a machine that is short of time, the one that
        # has more to decode would hold up the other one by seconds, which is a reason to drop from it.
        stats = self.play(self.other("other", encoding="otlp_json"), memory_limit="32MiB")
        for name, destination in stats.items():
            self.assertEqual(destination["dropped"]["budget"], 0, name)

    def test_one_that_refuses_everything_costs_its_neighbour_nothing(self):
        stats = self.play(self.other("refusing", "--misbehave", "status=413"), memory_limit="32MiB")
        self.assertEqual(stats["refusing"]["delivered"], 0)
        self.assertEqual(stats["healthy"]["dropped"]["budget"], 0)

    def test_one_that_rejects_everything_in_its_answers_costs_its_neighbour_nothing(self):
        stats = self.play(self.other("rejecting", "--misbehave", "partial=1000000"), memory_limit="32MiB")
        self.assertEqual(stats["rejecting"]["delivered"], 0)
        self.assertEqual(stats["healthy"]["dropped"]["budget"], 0)


if __name__ == "__main__":
    unittest.main()
