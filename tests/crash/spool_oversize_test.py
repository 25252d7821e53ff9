"""A record that had to be shortened goes over the disk and comes back: it is delivered once shortened, marked and counted once."""

import json
import unittest

import end_to_end
import oversize_test
import pipeline
import spool_test

MIB = 1 << 20
UNAVAILABLE = (503, {})


class FailingReceiver(oversize_test.Receiver):
    """Refuses what is too large for it; takes nothing of the rest until it is mended."""

    def __init__(self):
        self.is_mended = False
        self.shortened_refused = 0  # requests of a shortened record that it was too broken to take
        super().__init__(oversize_test.PLAIN_413)

    def answer_to(self, body):
        if not self.is_mended and len(body) <= oversize_test.LIMIT_BYTES:
            self.shortened_refused += b"[shortened from " in body
            return UNAVAILABLE
        return super().answer_to(body)


class SpoolOversize(spool_test.SpoolTest):
    def setUp(self):
        super().setUp()
        self.receiver = FailingReceiver()
        self.addCleanup(self.receiver.close)

    def start(self, **settings):
        self.write_config([end_to_end.generic_json(self.receiver.address, name="dead", compression="none")],
                          spool={"after": "1h"}, writers={"ring_size": "64MiB", "record_size_max": "32MiB"}, workers=1,
                          **settings)
        return self.pipeline.start_engine()

    def write_huge(self, size):
        """One record by itself, of so many bytes of content."""
        content = "once upon a time " * (size // 17)
        path = self.pipeline.folder / "huge.jsonl"
        path.write_text(json.dumps(oversize_test.exchange("huge", content)) + "\n")
        self.pipeline.replay(path, "--ids", self.ids)
        self.huge, = self.logged_ids()
        return content

    def press_until_it_is_spooled(self):
        """Only memory pressure can send anything to disk here, and the oldest goes first."""
        path = self.pipeline.folder / "small.jsonl"
        path.write_text("".join(json.dumps(oversize_test.exchange(f"small-{index}", f"question {index} " * 500)) + "\n"
                                for index in range(64)))
        replay = self.pipeline.start_replay(path, "--ids", self.ids, "--repeat", "1000000", "--rate", "1000")
        pipeline.wait_until(self.is_huge_on_disk, "the huge one to be on disk")
        replay.stop()

    def is_huge_on_disk(self):
        if self.destination("dead")["spooled"] == 0:
            return False
        command = [end_to_end.BINARIES / "sidecast", "spool", "cat", "--config", self.pipeline.config]
        program = self.pipeline.start(command, "cat")
        code, output = program.wait()
        return code == 0 and self.huge in {json.loads(line)["generationId"] for line in output.splitlines()}

    def mend_and_check(self, engine, content):
        self.receiver.is_mended = True
        self.pipeline.wait_until_settled(pipeline.WATCHDOG_S * 2)
        written = len(self.logged_ids())
        self.assert_ledger_exact(written)
        destination = self.destination("dead")
        self.assertEqual(destination["shrunk"], 1)
        self.assertEqual(sum(destination["dropped"].values()), 0)
        self.assertEqual(set(self.receiver.spans), set(self.logged_ids()))
        shortened = [name for name, span in self.receiver.spans.items() if "[shortened from " in json.dumps(span)]
        self.assertEqual(shortened, [self.huge])
        span = json.dumps(self.receiver.spans[self.huge], ensure_ascii=False)
        self.assertIn(f"…[shortened from {len(content):,} bytes]", span)
        self.assertIn("answer to huge", span)
        self.assertEqual(self.receiver.spans[self.huge]["gen_ai.usage.input_tokens"], "11")
        self.assertEqual(engine.stop()[0], 0)

    def test_one_shortened_for_its_receiver_is_spooled_under_memory_pressure_and_comes_back(self):
        engine = self.start(memory_limit="48MiB")
        content = self.write_huge(6 * MIB)
        pipeline.wait_until(lambda: self.receiver.shortened_refused > 0, "the shortened record to be tried in vain")
        self.press_until_it_is_spooled()
        self.assertEqual(self.destination("dead")["shrunk"], 0)  # nobody has it yet
        self.mend_and_check(engine, content)

    def test_one_shortened_for_the_memory_is_spooled_and_comes_back_as_it_was(self):
        engine = self.start(memory_limit="24MiB")
        content = self.write_huge(20 * MIB)
        pipeline.wait_until(lambda: self.stats()["records"]["read"] == 1, "the record to be staged")
        self.press_until_it_is_spooled()
        self.mend_and_check(engine, content)


if __name__ == "__main__":
    unittest.main()
