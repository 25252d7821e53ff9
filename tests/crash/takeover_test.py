"""An upgrade has no gap: the next engine waits for its turn, or ends one that hangs."""

import signal
import unittest

import end_to_end
import pipeline


class Takeover(end_to_end.EndToEndTest):
    def start_second(self, *arguments):
        command = [end_to_end.BINARIES / "sidecastd", "--config", self.pipeline.config, *arguments]
        second = self.pipeline.start(command, "second")
        pipeline.wait_until(lambda: "another engine serves" in second.log.read_text(), "the second engine to wait")
        return second

    def wait_for_engine(self, program):
        pipeline.wait_until(lambda: self.pipeline.stats()["engine"]["pid"] == program.pid, "the second engine to serve")

    def test_an_upgrade_under_load_loses_nothing(self):
        sink = self.pipeline.start_sink("generic")
        self.pipeline.write_config([end_to_end.generic_json(sink.address)], batch_age_max="50ms")
        first = self.pipeline.start_engine()
        second = self.start_second("--takeover-after", "60s")
        replay = self.pipeline.start_replay(self.exchanges, "--ids", self.ids, "--rate", "2000")
        pipeline.wait_until(lambda: len(self.logged_ids()) > 500, "some records")
        self.assertEqual(first.stop()[0], 0)
        self.wait_for_engine(second)
        self.assertEqual(replay.wait()[0], 0, replay.last_words())
        self.pipeline.wait_until_settled()
        self.assert_all_arrived(end_to_end.Received(sink.out), "generic")
        self.assert_ledger_exact(len(self.logged_ids()))
        self.assertNotIn("killed", second.log.read_text())
        self.assertEqual(second.stop()[0], 0)

    def test_an_engine_that_hangs_is_ended_and_its_records_arrive(self):
        sink = self.pipeline.start_sink("generic")
        self.pipeline.write_config([end_to_end.generic_json(sink.address)], batch_age_max="50ms")
        first = self.pipeline.start_engine()
        self.pipeline.replay(end_to_end.SAMPLE, "--ids", self.ids)
        first.process.send_signal(signal.SIGSTOP)
        second = self.start_second("--takeover-after", "2s")
        self.wait_for_engine(second)
        self.assertEqual(first.wait()[0], -signal.SIGKILL)
        self.assertIn(f"process {first.pid}, hung", second.log.read_text())
        self.pipeline.wait_until_settled()
        self.assert_all_arrived(end_to_end.Received(sink.out), "generic")
        self.assertEqual(second.stop()[0], 0)

    def test_an_engine_that_lives_is_left_alone(self):
        self.pipeline.write_config([])
        first = self.pipeline.start_engine()
        second = self.start_second("--takeover-after", "2s")
        beat = self.pipeline.stats()["engine"]["uptime_s"]
        pipeline.wait_until(lambda: self.pipeline.stats()["engine"]["uptime_s"] > beat + 5, "more than that time")
        self.assertTrue(first.is_running())
        self.assertEqual(second.stop()[0], 0)
        self.assertEqual(first.stop()[0], 0)

    def test_a_wrong_duration_is_wrong_usage(self):
        self.pipeline.write_config([])
        command = [end_to_end.BINARIES / "sidecastd", "--config", self.pipeline.config, "--takeover-after", "soon"]
        self.assertEqual(self.pipeline.start(command, "wrong").wait()[0], 2)


if __name__ == "__main__":
    unittest.main()
