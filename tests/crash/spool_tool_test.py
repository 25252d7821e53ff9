"""sidecast spool: what waits is listed, shown without its content, checked, repaired and given to others."""

import json
import struct
import unittest

import end_to_end
import pipeline
import spool_test


class SpoolTool(spool_test.SpoolTest):
    def setUp(self):
        super().setUp()
        sink = self.pipeline.start_sink("dead", "--misbehave", "delay=60s")
        self.address = sink.address
        self.write_config([end_to_end.generic_json(sink.address)], shutdown_deadline="3s")
        self.written = self.spool_something(sink)

    def tool(self, *arguments, where=("--config",)):
        place = (*where, self.pipeline.config) if where == ("--config",) else where
        command = [end_to_end.BINARIES / "sidecast", "spool", *arguments, *place]
        program = self.pipeline.start(command, "tool")
        code, output = program.wait()
        return code, output, program.last_words()

    def test_ls_counts_what_waits_for_whom(self):
        code, output, _ = self.tool("ls", "--json")
        self.assertEqual(code, 0)
        shown = json.loads(output)
        destination, = shown["destinations"]
        self.assertEqual((destination["name"], destination["records"]), ("generic", self.written))
        self.assertEqual(sum(each["records"] for each in shown["segments"]), self.written)
        self.assertIn("generic", self.tool("ls")[1])

    def test_cat_shows_records_and_no_content_unless_asked(self):
        lines = [json.loads(line) for line in self.tool("cat")[1].splitlines()]
        self.assertEqual({line["generationId"] for line in lines}, set(self.logged_ids()))
        self.assertTrue(all(line["spans"] for line in lines))
        content = end_to_end.read_exchanges(end_to_end.SAMPLE)[0]["request"]["messages"][-1]["content"]
        word = max(str(content).split(), key=len)
        self.assertNotIn(word, self.tool("cat")[1])
        self.assertIn(word, self.tool("cat", "--show-content")[1])

    def test_check_finds_damage_names_the_place_and_repairs_it(self):
        self.assertEqual(self.tool("check")[0], 0)
        segment, = self.segments()
        with segment.open("r+b") as file:
            file.seek(segment.stat().st_size - 64)
            file.write(b"\xa5" * 8)
        code, output, _ = self.tool("check", "--json")
        self.assertEqual(code, 1)
        self.assertIn(str(segment), json.loads(output)["flaws"][0]["flaw"])
        torn = self.spool / "ffffffffffffffff-0000000000000000.spool"
        torn.write_bytes(b"no segment")
        self.assertEqual(self.tool("check", "--repair")[0], 1)
        self.assertFalse(torn.exists())
        # What was damaged is nobody's any more, and the start says what is lost.
        engine = self.pipeline.start_engine()
        self.assert_sums_hold()
        self.assertEqual(engine.stop()[0], 0)

    def test_more_segments_than_descriptors_are_no_damage(self):
        segment, = self.segments()
        for index in range(60):
            # Without the room that was allocated for more.
            (self.spool / f"{index + 1000:016x}-{index + 1:016x}.spool").write_bytes(segment.read_bytes()[:1 << 16])
        other = self.pipeline.start_sink("other")
        self.write_config([end_to_end.generic_json(self.address, enabled=False),
                           end_to_end.generic_json(other.address, name="other")])
        for words in (("ls",), ("cat",), ("check",), ("check", "--repair"), ("replay", "--to", "other")):
            command = ["prlimit", "--nofile=24:24", end_to_end.BINARIES / "sidecast", "spool", *words, "--config",
                       self.pipeline.config]
            program = self.pipeline.start(command, "few")
            code, output = program.wait()
            self.assertEqual(code, 0, (words, output, program.last_words()))
            self.assertNotIn("Too many", output)
        self.assertEqual(len(self.segments()), 62)

    def test_repair_leaves_segments_of_another_version(self):
        segment, = self.segments()
        newer = bytearray(segment.read_bytes())
        struct.pack_into("<I", newer, 8, 2)  # SegmentHeader.version
        other = self.spool / f"{1000:016x}-{1:016x}.spool"
        other.write_bytes(newer)
        code, output, _ = self.tool("check", "--repair")
        self.assertEqual(code, 1)
        self.assertIn("left where it is: it may be sound", output)
        self.assertEqual(bytes(newer), other.read_bytes())
        self.assertIn("not read", self.tool("ls")[1])

    def test_check_does_not_repair_under_a_running_engine(self):
        engine = self.pipeline.start_engine()
        code, _, errors = self.tool("check", "--repair")
        self.assertEqual(code, 1)
        self.assertIn("in use", errors)
        self.assertEqual(engine.stop()[0], 0)

    def test_replay_gives_what_waits_to_another_destination(self):
        other = self.pipeline.start_sink("other")
        self.write_config([end_to_end.generic_json(self.address, enabled=False),
                           end_to_end.generic_json(other.address, name="other")], shutdown_deadline="3s")
        code, output, errors = self.tool("replay", "--to", "other")
        self.assertEqual(code, 0, errors)
        self.assertIn(f"{self.written} record", output)
        self.assertEqual(self.pipeline.start_engine("--drain").wait()[0], 0)
        self.assert_all_arrived(end_to_end.Received(other.out), "other")
        self.assertEqual(self.destination("other")["adopted"], self.written)
        self.assertEqual(self.destination("generic")["spooled"], self.written)
        self.assert_sums_hold()

    def test_replay_twice_writes_once_and_never_beyond_the_limit(self):
        other = self.pipeline.start_sink("other")
        destinations = [end_to_end.generic_json(self.address, enabled=False),
                        end_to_end.generic_json(other.address, name="other")]
        self.write_config(destinations, shutdown_deadline="3s")
        self.assertEqual(self.tool("replay", "--to", "other")[0], 0)
        code, output, errors = self.tool("replay", "--to", "other")
        self.assertEqual(code, 0, errors)
        self.assertIn("0 records were replayed: all that waits lies there for other already", output)
        self.assertIn(f"{self.written} records lie there", output)
        self.assertEqual(self.pipeline.start_engine("--drain").wait()[0], 0)
        self.assertEqual(self.destination("other")["delivered"], self.written)
        # A spool that is as full as it may be.
        used = sum(segment.stat().st_size for segment in self.segments())
        with open(self.spool / "ffffffff00000000-0000000000000001.spool", "wb") as large:
            large.write(self.segments()[0].read_bytes())
            large.truncate((4 << 20) - used)
        self.write_config(destinations, spool={"limit": "4MiB"}, shutdown_deadline="3s")
        code, _, errors = self.tool("replay", "--to", "other")
        self.assertEqual(code, 1)
        self.assertIn("raise spool.limit", errors)

    def test_a_replay_of_what_waits_for_two_writes_it_once(self):
        """Both hold the same batch; the third gets it, and each of the two keeps its own."""
        other = self.pipeline.start_sink("other")
        two = [end_to_end.generic_json(self.address, enabled=False),
               end_to_end.generic_json(self.address, name="second", enabled=False)]
        third = end_to_end.generic_json(other.address, name="third")
        self.write_config([*two, third], shutdown_deadline="3s")
        self.assertEqual(self.tool("replay", "--to", "second")[0], 0)
        code, output, errors = self.tool("replay", "--to", "third")
        self.assertEqual(code, 0, errors)
        self.assertIn(f"{self.written} records for third", output)
        self.assertIn(f"{self.written} records of them wait for several destinations and are written once", output)
        self.assertEqual(len(self.segments()), 3)
        self.assertEqual(self.pipeline.start_engine("--drain").wait()[0], 0)
        received = end_to_end.Received(other.out)
        self.assert_all_arrived(received, "third")
        self.assertEqual(received.repeats, 0)
        self.assertEqual(self.destination("third")["adopted"], self.written)
        for name in ("generic", "second"):
            self.assertEqual(self.destination(name)["spooled"], self.written, name)
        self.assert_sums_hold()

    def test_replay_without_to_is_for_those_that_are_what_they_were(self):
        code, output, errors = self.tool("replay")
        self.assertEqual(code, 0, errors)
        self.assertIn(f"generic: {self.written} records wait for it", output)
        self.assertIn("need no replay, 0 left out", output)
        # The same name, somewhere else.
        changed = self.pipeline.start_sink("changed")
        destinations = [end_to_end.generic_json(changed.address)]
        self.write_config(destinations, shutdown_deadline="3s")
        before = [segment.read_bytes() for segment in self.segments()]
        code, output, _ = self.tool("replay")
        self.assertEqual(code, 1)
        self.assertIn(f"0 records were replayed: {self.written} records left out", output)
        self.assertIn("never sent to what it is now", output)
        self.assertIn("'--from generic --to generic' overrides", output)
        self.assertEqual([segment.read_bytes() for segment in self.segments()], before)
        self.write_config([end_to_end.generic_json(changed.address, name="new")], shutdown_deadline="3s")
        code, output, _ = self.tool("replay")
        self.assertEqual(code, 1)
        self.assertIn("there is no such destination now", output)
        # With --to it goes to what has the name now, and only once.
        self.write_config(destinations, shutdown_deadline="3s")
        code, output, errors = self.tool("replay", "--from", "generic", "--to", "generic")
        self.assertEqual(code, 0, errors)
        self.assertIn(f"{self.written} records for generic", output)
        code, output, errors = self.tool("replay", "--to", "generic")
        self.assertEqual(code, 0, errors)
        self.assertIn("0 records were replayed", output)
        self.assertEqual(self.pipeline.start_engine("--drain").wait()[0], 0)
        received = end_to_end.Received(changed.out)
        self.assert_all_arrived(received, "changed")
        self.assertEqual(received.repeats, 0)

    def test_a_replay_of_nothing_says_so(self):
        code, output, errors = self.tool("replay", "--to", "generic", "--from", "nobody")
        self.assertEqual(code, 0, errors)
        self.assertEqual(output, "0 records were replayed: nothing waits for nobody\n")
        code, output, errors = self.tool("replay", "--from", "nobody")
        self.assertEqual(code, 0, errors)
        self.assertEqual(output, "0 records were replayed: nothing waits for nobody\n")
        self.assertEqual(len(self.segments()), 1)

    def test_replay_refuses_what_the_other_one_would_not_have_got(self):
        self.write_config([end_to_end.generic_json(self.address),
                           end_to_end.generic_json(self.address, name="private", privacy_mode=True),
                           end_to_end.generic_json(self.address, name="strangers", accounts=["nobody-we-know"]),
                           end_to_end.generic_json(self.address, name="protobuf", encoding="otlp_protobuf")])
        for name, why in (("private", "privacy mode"), ("strangers", "does not take"), ("protobuf", "cannot be converted")):
            with self.subTest(name=name):
                code, _, errors = self.tool("replay", "--to", name)
                self.assertEqual(code, 1)
                self.assertIn(why, errors)
        self.assertEqual(self.tool("replay", "--to", "protobuf", "--force")[0], 1)
        self.assertEqual(len(self.segments()), 1)
        self.assertEqual(self.tool("replay", "--to", "private", "--force")[0], 0)
        self.assertEqual(len(self.segments()), 2)


if __name__ == "__main__":
    unittest.main()
