"""kill -9 of the engine, in the middle of a replay, again and again: nothing written is lost."""

import unittest

import end_to_end
import pipeline

KILLS = 5


class EngineKilled(end_to_end.EndToEndTest):
    def test_every_written_record_arrives_although_the_engine_dies_five_times(self):
        generic = self.pipeline.start_sink("generic")
        openinference = self.pipeline.start_sink("openinference")
        # Small batches and a short age: a kill finds records in every stage of their way.
        self.pipeline.write_config([end_to_end.generic_json(generic.address, batch_records_max=32),
                                    end_to_end.openinference_protobuf(openinference.address)],
                                   batch_age_max="100ms")
        engine = self.pipeline.start_engine()
        records = len(end_to_end.read_exchanges(self.exchanges))
        repeat = max(1, 2000 // records)
        replay = self.pipeline.start_replay(self.exchanges, "--ids", self.ids, "--repeat", str(repeat), "--threads", "2")
        for kill in range(1, KILLS + 1):
            # At a sixth, two sixths, ... of the way, by what has been written.
            written = records * repeat * kill // (KILLS + 1)
            pipeline.wait_until(lambda: len(self.logged_ids()) >= written, f"{written} records to be written")
            engine.kill()
            engine = self.pipeline.start_engine()
        code, output = replay.wait()
        self.assertEqual(code, 0, output + replay.last_words())
        self.pipeline.wait_until_settled()

        self.assertEqual(len(self.logged_ids()), records * repeat)
        self.assert_ledger_exact(records * repeat)
        for sink in (generic, openinference):
            # Lines beyond the ids are what was in flight at a kill: sent again, and the same span.
            self.assert_all_arrived(end_to_end.Received(sink.out), sink.out.stem)
        self.assertEqual(engine.stop()[0], 0)

    def test_what_was_written_while_no_engine_ran_arrives_later(self):
        sink = self.pipeline.start_sink("generic")
        self.pipeline.write_config([end_to_end.generic_json(sink.address)])
        self.let_the_engine_make_its_directory()
        self.pipeline.replay(end_to_end.SAMPLE, "--ids", self.ids)
        engine = self.pipeline.start_engine("--drain")
        code, output = engine.wait()
        self.assertEqual(code, 0, output + engine.last_words())
        self.assert_all_arrived(end_to_end.Received(sink.out), "generic")


if __name__ == "__main__":
    unittest.main()
