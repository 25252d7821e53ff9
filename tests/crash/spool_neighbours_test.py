"""Destinations that share the spool: one that is back gets its backlog, whatever the others do."""

import time
import unittest

import end_to_end
import pipeline
import spool_test

NEIGHBOURS = 10


class SpoolNeighbours(spool_test.SpoolTest):
    def spool_for_all(self, manner):
        """Everything on disk, for one destination and its neighbours; an engine with little memory."""
        self.neighbour = self.pipeline.start_sink("neighbour", "--misbehave", manner)
        self.sink = self.pipeline.start_sink("well", "--misbehave", "status=503")
        # Different limits: each has batches of its own.
        each = [end_to_end.generic_json(self.neighbour.address, name=f"n{i}", batch_records_max=400,
                                        compression="none", batch_bytes_max=3_000_000 + i) for i in range(NEIGHBOURS)]
        self.write_config([end_to_end.generic_json(self.sink.address, name="well", batch_records_max=400,
                                                   compression="none"), *each],
                          spool={"after": "0s"}, memory_limit="32MiB", workers=1, shutdown_deadline="3s")
        engine = self.pipeline.start_engine()
        self.play("--repeat", "200", "--rate", "2000")
        written = len(self.logged_ids())
        pipeline.wait_until(lambda: self.stats()["records"]["read"] == written, "every record to be read")
        pipeline.wait_until(lambda: self.destination("well")["spooled"] > written // 2, "most to be on disk")
        return engine, written

    def test_dead_neighbours_with_a_backlog_do_not_keep_one_that_is_back_from_its_own(self):
        engine, written = self.spool_for_all("status=503")
        self.sink.stop()
        again = self.pipeline.start_sink("again", listen=self.sink.address)
        pipeline.wait_until(lambda: self.destination("well")["delivered"] > 0, "it to be found again")
        begun = time.monotonic()
        # New records reach it while the old ones are still on their way.
        replay = self.pipeline.start_replay(end_to_end.SAMPLE, "--ids", self.ids, "--repeat", "0", "--rate", "100",
                                            "--duration", "4", "--id-prefix", "new-")
        pipeline.wait_until(lambda: self.destination("well")["delivered"] >= written, "its backlog to be delivered", 60)
        print(f"{written} records in {time.monotonic() - begun:.1f} s beside {NEIGHBOURS} dead ones")
        self.assertEqual(replay.wait()[0], 0, replay.last_words())
        written = len(self.logged_ids())
        pipeline.wait_until(lambda: self.destination("well")["delivered"] == written, "the new ones", 60)
        shown = self.destination("well")
        self.assertEqual((shown["pending"], shown["spooled"], sum(shown["dropped"].values())), (0, 0, 0), shown)
        for index in range(NEIGHBOURS):
            held = self.destination(f"n{index}")
            self.assertEqual(held["pending"] + held["spooled"], written, held)
        self.assert_all_arrived(end_to_end.Received(again.out), "well")
        self.assert_sums_hold()
        self.assertEqual(engine.stop()[0], 0)


if __name__ == "__main__":
    unittest.main()
