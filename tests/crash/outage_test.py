"""A receiver that goes away for ten seconds and comes back at the same address: nothing is lost."""

import time
import unittest

import end_to_end
import pipeline

OUTAGE_S = 10


class Outage(end_to_end.EndToEndTest):
    def test_every_written_record_arrives_after_the_receiver_is_back(self):
        generic = self.pipeline.start_sink("generic")
        openinference = self.pipeline.start_sink("openinference")
        self.pipeline.write_config([end_to_end.generic_json(generic.address),
                                    end_to_end.openinference_protobuf(openinference.address)],
                                   batch_age_max="100ms")
        engine = self.pipeline.start_engine()
        records = len(end_to_end.read_exchanges(self.exchanges))
        replay = self.pipeline.start_replay(self.exchanges, "--ids", self.ids)
        pipeline.wait_until(lambda: len(self.logged_ids()) >= records // 4, "a quarter to be written")
        self.assertEqual(generic.stop()[0], 0)
        back_at = time.monotonic() + OUTAGE_S
        self.assertEqual(replay.wait()[0], 0, replay.last_words())

        def only_the_dead_one_has_work():
            pending = {each["name"]: each["pending"] for each in self.pipeline.stats()["destinations"]}
            return pending["openinference"] == 0 and pending["generic"] > 0

        pipeline.wait_until(only_the_dead_one_has_work, "the living receiver to get everything meanwhile")
        pipeline.wait_until(lambda: time.monotonic() >= back_at, "the end of the outage")
        again = self.pipeline.start_sink("generic_again", listen=generic.address)
        self.pipeline.wait_until_settled()

        self.assert_ledger_exact(records)
        self.assert_all_arrived(end_to_end.Received(generic.out, again.out), "generic")
        self.assert_all_arrived(end_to_end.Received(openinference.out), "openinference")
        self.assertEqual(engine.stop()[0], 0)

    def test_a_receiver_that_answers_503_for_a_while_gets_everything(self):
        sink = self.pipeline.start_sink("generic", "--misbehave", "status=503:retry-after=1:count=3")
        self.pipeline.write_config([end_to_end.generic_json(sink.address)])
        engine = self.pipeline.start_engine()
        self.pipeline.replay(end_to_end.SAMPLE, "--ids", self.ids)
        self.pipeline.wait_until_settled()
        written = len(self.logged_ids())
        stats = self.assert_ledger_exact(written)
        self.assertGreaterEqual(stats["destinations"][0]["retries"], 3)
        self.assert_all_arrived(end_to_end.Received(sink.out), "generic")
        self.assertEqual(engine.stop()[0], 0)


if __name__ == "__main__":
    unittest.main()
