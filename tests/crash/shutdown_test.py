"""SIGTERM sends what is waiting; what cannot be sent is there for the next start."""

import unittest

import end_to_end
import pipeline


class Shutdown(end_to_end.EndToEndTest):
    def play_sample(self, expected_unsent):
        self.pipeline.replay(end_to_end.SAMPLE, "--ids", self.ids)
        written = len(self.logged_ids())
        pipeline.wait_until(lambda: self.pipeline.stats()["records"]["read"] == written, "every record to be read")
        pending = self.pipeline.stats()["destinations"][0]["pending"]
        self.assertEqual(pending, written if expected_unsent else 0)

    def test_sigterm_sends_the_open_batch(self):
        sink = self.pipeline.start_sink("generic")
        # A batch that nothing but the end can seal.
        self.pipeline.write_config([end_to_end.generic_json(sink.address)], batch_age_max="60s")
        engine = self.pipeline.start_engine()
        self.play_sample(expected_unsent=True)
        self.assertEqual(end_to_end.Received(sink.out).lines, 0)
        self.assertEqual(engine.stop()[0], 0)
        self.assert_all_arrived(end_to_end.Received(sink.out), "generic")
        self.assertEqual(self.pipeline.stats()["destinations"][0]["pending"], 0)

    def test_what_sigterm_could_not_send_is_sent_by_the_next_start(self):
        sink = self.pipeline.start_sink("generic")
        self.pipeline.write_config([end_to_end.generic_json(sink.address)], shutdown_deadline="1s",
                                   batch_age_max="60s")
        engine = self.pipeline.start_engine()
        self.play_sample(expected_unsent=True)
        sink.stop()
        self.assertEqual(engine.stop()[0], 0)
        self.assertGreater(self.pipeline.stats()["destinations"][0]["pending"], 0)

        again = self.pipeline.start_sink("generic_again", listen=sink.address)
        drained = self.pipeline.start_engine("--drain")
        code, output = drained.wait()
        self.assertEqual(code, 0, output + drained.last_words())
        self.assert_all_arrived(end_to_end.Received(again.out), "generic")
        self.assert_ledger_exact(len(self.logged_ids()))

    def test_an_engine_that_waits_for_its_turn_ends_in_peace(self):
        self.pipeline.write_config([])
        first = self.pipeline.start_engine()
        command = [end_to_end.BINARIES / "sidecastd", "--config", self.pipeline.config]
        second = self.pipeline.start(command, "second")
        pipeline.wait_until(lambda: "another engine serves" in second.log.read_text(), "the second engine to wait")
        self.assertEqual(second.stop()[0], 0)
        self.assertNotIn(" error ", second.log.read_text())
        self.assertEqual(first.stop()[0], 0)

    def test_drain_says_with_its_exit_code_that_something_is_left(self):
        sink = self.pipeline.start_sink("generic")
        sink.stop()  # an address at which nobody listens
        self.pipeline.write_config([end_to_end.generic_json(sink.address)], shutdown_deadline="1s")
        self.let_the_engine_make_its_directory()
        self.pipeline.replay(end_to_end.SAMPLE, "--ids", self.ids)
        self.assertEqual(self.pipeline.start_engine("--drain").wait()[0], 1)


if __name__ == "__main__":
    unittest.main()
