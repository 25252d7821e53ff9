"""A running engine takes a changed config by difference, and refuses a wrong one whole."""

import json
import signal
import unittest

import end_to_end
import pipeline


class Reload(end_to_end.EndToEndTest):
    def reload(self, *arguments):
        """`sidecast reload`: its exit code, what it printed and what it complained of."""
        command = [end_to_end.BINARIES / "sidecast", "reload", "--ring-dir", self.pipeline.ring_dir, *arguments]
        program = self.pipeline.start(command, "reload")
        code, output = program.wait()
        complaints = program.last_words()
        program.log.unlink()
        return code, output, complaints

    def reload_json(self):
        code, output, complaints = self.reload("--json")
        self.assertEqual(code, 0, output + complaints)
        return json.loads(output)

    def destination(self, name):
        """The stats of the one that is configured now."""
        found = [each for each in self.pipeline.stats()["destinations"]
                 if each["name"] == name and each["state"] != "removed"]
        self.assertEqual(len(found), 1, name)
        return found[0]

    def wait_for(self, name, state):
        pipeline.wait_until(lambda: self.destination(name)["state"] == state, f"{name} to be {state}")

    def play(self, *arguments):
        self.pipeline.replay(end_to_end.SAMPLE, "--ids", self.ids, *arguments)
        return len(self.logged_ids())

    def test_a_typo_changes_nothing_and_every_mistake_is_said_with_its_place(self):
        sink = self.pipeline.start_sink("generic")
        sound = end_to_end.generic_json(sink.address)
        self.pipeline.write_config([sound], batch_age_max="50ms")
        engine = self.pipeline.start_engine()
        self.pipeline.config.write_text(
            f"ring_dir: {self.pipeline.ring_dir}\nmemory_limt: 64MiB\ndestinations:\n"
            f"  - {{name: generic, type: otlp, endpoint: \"http://{sink.address}\"}}\n"
            "  - {name: new, type: otpl}\n")
        code, output, complaints = self.reload()
        self.assertEqual(code, 2, output)
        said = complaints.splitlines()
        self.assertTrue(said[0].startswith(f"{self.pipeline.config}:2:1: "), said)
        self.assertIn("memory_limit", said[0])
        self.assertTrue(said[1].startswith(f"{self.pipeline.config}:5:23: "), said)
        self.assertEqual(engine.log.read_text().count("reload refused, nothing has changed"), 1)
        code, output, _ = self.reload("--json")
        self.assertEqual(code, 2)
        self.assertEqual(len(json.loads(output)["errors"]), 2)
        written = self.play()
        self.pipeline.wait_until_settled()
        self.assert_all_arrived(end_to_end.Received(sink.out), "generic")
        self.assert_ledger_exact(written)
        self.assertEqual(engine.stop()[0], 0)

    def test_under_load_who_stays_loses_nothing_and_who_comes_gets_its_records(self):
        stays, goes, comes = (self.pipeline.start_sink(name) for name in ("stays", "goes", "comes"))
        staying = end_to_end.generic_json(stays.address, name="stays")
        going = end_to_end.openinference_protobuf(goes.address, name="goes")
        coming = end_to_end.generic_json(comes.address, name="comes", sampling_rate=0.5)
        self.pipeline.write_config([staying, going], batch_age_max="50ms")
        engine = self.pipeline.start_engine()
        replay = self.pipeline.start_replay(self.exchanges, "--ids", self.ids, "--rate", "1500")
        rounds = 0
        while replay.is_running():
            destinations = [staying] + ([going] if rounds % 2 else [coming])
            self.pipeline.write_config(destinations, batch_age_max=f"{50 + rounds}ms")
            answer = self.reload_json()
            self.assertEqual(answer["unchanged"], 1)
            self.assertEqual(len(answer["added"]) + len(answer["removed"]), 2, answer)
            self.assertEqual(answer["applied"], ["batch_age_max"] if rounds else [])
            rounds += 1
        self.assertEqual(replay.wait()[0], 0, replay.last_words())
        self.assertGreater(rounds, 3)
        # Undone at the end: what was held meanwhile is delivered.
        self.pipeline.write_config([staying, going, coming])
        self.reload_json()
        self.pipeline.wait_until_settled()
        self.assert_all_arrived(end_to_end.Received(stays.out), "stays")
        stats = self.pipeline.stats("--check")
        written = len(self.logged_ids())
        for each in stats["destinations"]:
            self.assertEqual(each["delivered"], each["routed"], f"{each}\n{engine.last_words(300)}")
        self.assertEqual(self.destination("stays")["delivered"], written)
        self.assertGreater(self.destination("comes")["delivered"], 0)
        for name, sink in (("goes", goes), ("comes", comes)):
            received = end_to_end.Received(sink.out)
            self.assertEqual(len(received.spans), self.destination(name)["delivered"], name)
            self.assertFalse(received.unequal_repeats)
        self.assertEqual(self.pipeline.stats()["engine"]["ledger_mismatches"], 0)
        self.assertEqual(engine.stop()[0], 0)
        self.assertNotIn(" error ", engine.log.read_text())

    def test_new_credentials_wake_a_paused_destination_and_apply_to_what_is_queued(self):
        sink = self.pipeline.start_sink("generic", "--misbehave", "status=401:count=1")
        destination = end_to_end.generic_json(sink.address, authorization="Bearer old")
        self.pipeline.write_config([destination], batch_age_max="50ms")
        engine = self.pipeline.start_engine()
        written = self.play()
        self.wait_for("generic", "paused")
        self.assertEqual(self.reload_json()["unchanged"], 1)
        self.assertEqual(self.destination("generic")["state"], "paused", "nothing was mended")
        destination["authorization"] = "Bearer new"
        self.pipeline.write_config([destination], batch_age_max="50ms")
        self.assertEqual(self.reload_json()["credentials"], ["generic"])
        self.pipeline.wait_until_settled(seconds=10)  # the next try by itself is 15 s away
        self.assert_all_arrived(end_to_end.Received(sink.out), "generic")
        self.assert_ledger_exact(written)
        for span in pipeline.read_spans(sink.out):
            self.assertEqual(span["request"]["headers"]["authorization"], "Bearer new")
        self.assertEqual(engine.stop()[0], 0)

    def test_what_is_queued_for_a_removed_destination_is_held_and_delivered_when_it_is_back(self):
        dead = self.pipeline.start_sink("dead", "--misbehave", "status=503:retry-after=3600:count=1")
        other = self.pipeline.start_sink("other")
        staying = end_to_end.generic_json(other.address, name="other")
        destination = end_to_end.generic_json(dead.address, name="dead")
        self.pipeline.write_config([staying, destination], batch_age_max="50ms")
        engine = self.pipeline.start_engine()
        written = self.play()
        self.wait_for("dead", "backing off")
        for changed in ([staying], [staying, {**destination, "enabled": False}],
                        [staying, {**destination, "endpoint": f"http://{other.address}/else"}]):
            self.pipeline.write_config(changed, batch_age_max="50ms")
            self.reload_json()
            held = [each for each in self.pipeline.stats("--check")["destinations"] if each["pending"]]
            self.assertEqual([(each["name"], each["pending"]) for each in held], [("dead", written)])
        self.pipeline.write_config([staying, destination], batch_age_max="50ms")
        self.assertEqual(self.reload_json()["replaced"], ["dead"])
        self.pipeline.wait_until_settled(seconds=30)
        self.assert_all_arrived(end_to_end.Received(dead.out), "dead")
        self.assert_all_arrived(end_to_end.Received(other.out), "other")
        self.assertEqual(engine.stop()[0], 0)

    def test_one_that_is_back_gets_what_was_held_while_another_one_goes(self):
        first, second = (self.pipeline.start_sink(name, "--misbehave", "status=503:retry-after=3600:count=1")
                         for name in ("first", "second"))
        one = end_to_end.generic_json(first.address, name="one")
        two = end_to_end.openinference_protobuf(second.address, name="two")
        self.pipeline.write_config([one, two], batch_age_max="50ms")
        engine = self.pipeline.start_engine()
        written = self.play()
        self.wait_for("one", "backing off")
        self.wait_for("two", "backing off")
        for destinations in ([two], [one], [one, two]):
            self.pipeline.write_config(destinations, batch_age_max="50ms")
            self.reload_json()
        self.pipeline.wait_until_settled(seconds=30)
        self.assert_ledger_exact(written)
        self.assert_all_arrived(end_to_end.Received(first.out), "one")
        self.assert_all_arrived(end_to_end.Received(second.out), "two")
        self.assertEqual(engine.stop()[0], 0)

    def test_what_is_held_too_long_is_dropped_and_counted(self):
        dead = self.pipeline.start_sink("dead", "--misbehave", "status=503:retry-after=3600")
        destination = end_to_end.generic_json(dead.address, name="dead")
        self.pipeline.write_config([destination], batch_age_max="50ms")
        engine = self.pipeline.start_engine()
        written = self.play()
        self.wait_for("dead", "backing off")
        self.pipeline.write_config([], give_up_after="1s")
        self.assertEqual(self.reload_json()["applied"], ["batch_age_max", "give_up_after"])
        self.pipeline.wait_until_settled(seconds=30)
        stats = self.pipeline.stats("--check")
        self.assertEqual(stats["destinations"][0]["dropped"]["policy_changed"], written)
        self.assertEqual(engine.stop()[0], 0)

    def test_what_needs_a_restart_is_named_and_left_alone(self):
        self.pipeline.write_config([])
        engine = self.pipeline.start_engine()
        self.pipeline.write_config([], memory_limit="128MiB", workers=3, shutdown_deadline="3s")
        for _ in range(2):
            answer = self.reload_json()
            self.assertEqual(answer["needs_restart"], ["memory_limit", "workers"])
        self.assertEqual(self.pipeline.stats()["engine"]["memory_limit_bytes"], 512 << 20)
        self.assertEqual(engine.stop()[0], 0)

    def test_sighup_reloads_and_is_said_in_the_log(self):
        self.pipeline.write_config([])
        engine = self.pipeline.start_engine()
        sink = self.pipeline.start_sink("generic")
        self.pipeline.write_config([end_to_end.generic_json(sink.address)])
        engine.process.send_signal(signal.SIGHUP)
        pipeline.wait_until(lambda: "1 added (generic)" in engine.log.read_text(), "a word on the reload")
        self.play()
        self.pipeline.wait_until_settled()
        self.assert_all_arrived(end_to_end.Received(sink.out), "generic")
        self.assertEqual(engine.stop()[0], 0)

    def test_a_dead_or_silent_engine_is_said_in_time(self):
        self.pipeline.write_config([])
        engine = self.pipeline.start_engine()
        engine.process.send_signal(signal.SIGSTOP)
        code, _, complaints = self.reload("--timeout", "0.5")
        self.assertEqual(code, 1)
        self.assertIn("has not answered in 0.5 s", complaints)
        engine.kill()
        code, _, complaints = self.reload()
        self.assertEqual(code, 1)
        self.assertIn("no engine serves", complaints)
        self.assertEqual(list(self.pipeline.ring_dir.glob(".engine/reload-*")), [])


if __name__ == "__main__":
    unittest.main()
