"""The real engine and its writers are killed: anywhere, at every named point, by a record.

Nothing that a writer logged is lost and the ledger's sums stay exact, however the engine dies.
SIDECAST_STORM=N asks for N random kills of the engine; 200 take a minute.
"""

import itertools
import os
import random
import re
import signal
import unittest

import end_to_end
import pipeline

KILLS = int(os.environ.get("SIDECAST_STORM", "200"))
RATE = 1000  # records a second: so that what a storm writes depends on its kills, not on the machine
POINT = re.compile(r'SIDECAST_TEST_POINT\("([^"]+)"\)')


def named_points():
    """Every point in the engine's sources, so that a new one is killed at without being listed.

    Those of the spool are spool_storm_test.py's.
    """
    return sorted({name for source in (end_to_end.ROOT / "engine").rglob("*.cc")
                   for name in POINT.findall(source.read_text(encoding="utf-8")) if not name.startswith("spool.")})


def has_test_points():
    return b"SIDECAST_KILL_AT" in (end_to_end.BINARIES / "sidecastd").read_bytes()


class EngineStorm(end_to_end.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.sink = self.pipeline.start_sink("generic")
        self.pipeline.write_config([end_to_end.generic_json(self.sink.address, batch_records_max=32)],
                                   batch_age_max="100ms")

    def start_engine_that_may_die(self, environment):
        """sidecastd, without a wait for it to be ready: it may never be."""
        command = [self.pipeline.binaries / "sidecastd", "--config", self.pipeline.config]
        return self.pipeline.start(command, "engine", environment)

    def assert_settled_and_exact(self, engine):
        """All that was logged has arrived; the sums hold and are those of what writers wrote."""
        self.pipeline.wait_until_settled()
        stats = self.pipeline.stats("--check")
        self.assertGreaterEqual(stats["records"]["written"], len(self.logged_ids()))
        self.assertEqual(stats["records"]["read"], stats["records"]["written"])
        self.assertEqual(stats["destinations"][0]["delivered"], stats["records"]["routable"])
        command = [str(end_to_end.BINARIES / "sidecast"), "stats", "--ring-dir", str(self.pipeline.ring_dir), "--check"]
        self.assertEqual(pipeline.Program(command, self.pipeline.folder / "check.log").wait()[0], 0, "stats --check")
        self.assertEqual(engine.stop()[0], 0, engine.last_words())
        return stats

    def test_random_kills_of_engine_and_writers_lose_nothing_that_was_logged(self):
        seed = random.SystemRandom().randrange(1 << 32)
        print(f"{KILLS} kills, seed {seed}", flush=True)
        chance = random.Random(seed)
        engine = self.pipeline.start_engine()
        sample = end_to_end.SAMPLE
        ids_logs = []
        writers_killed = 0
        for kill in range(KILLS):
            ids = self.pipeline.folder / f"ids-{kill}.log"
            ids_logs.append(ids)
            writer = self.pipeline.start_replay(sample, "--ids", ids, "--repeat", "1000000", "--threads", "2",
                                                "--rate", RATE, "--id-prefix", f"kill{kill}-", name=f"replay-{kill}")
            target = chance.randrange(1, 300)
            pipeline.wait_until(lambda ids=ids, target=target: len(pipeline.read_lines(ids)) >= target,
                                f"{target} records to be written")
            # In either order, and at the same time as far as two signals can be.
            for victim in chance.sample([engine, writer], 2):
                os.kill(victim.pid, signal.SIGKILL)
            engine.kill()
            writer.kill()
            writers_killed += 1
            engine = self.pipeline.start_engine()
        # A dead writer's last record may have been published and not yet logged: at most one a thread.
        logged = [line for ids in ids_logs for line in pipeline.read_lines(ids)]
        self.ids.write_text("".join(line + "\n" for line in logged))
        pipeline.wait_until(lambda: not list(self.pipeline.ring_dir.glob("*.ring")), "dead rings to be removed")
        stats = self.assert_settled_and_exact(engine)
        received = end_to_end.Received(self.sink.out)
        missing = set(logged) - set(received.spans)
        print(f"{KILLS} engines and {writers_killed} writers killed: {len(logged)} records logged, "
              f"{stats['records']['written']} written, {len(missing)} lost, {received.repeats} sent again", flush=True)
        self.assertFalse(missing)
        self.assertFalse(received.unequal_repeats)
        self.assertLessEqual(stats["records"]["written"], len(logged) + 2 * writers_killed)

    @unittest.skipUnless(has_test_points(), "a build without test points")
    def test_the_engine_killed_at_every_named_point_loses_nothing(self):
        points = named_points()
        self.assertIn("worker.decode", points)
        # The first visit, and one amid the work.
        for visit, name in itertools.product((1, 7), points):
            with self.subTest(point=name, visit=visit):
                engine = self.start_engine_that_may_die({"SIDECAST_KILL_AT": f"{name}:{visit}"})
                pipeline.wait_until(self.pipeline.ring_dir.exists, "the ring directory")
                writer = self.pipeline.start_replay(
                    end_to_end.SAMPLE, "--ids", self.ids, "--id-prefix", f"{name}-{visit}-", "--repeat", "1000000",
                    "--rate", "200", name="replay")
                self.assertEqual(engine.wait()[0], -signal.SIGKILL)
                writer.stop()  # in good order: each record that was written is in the log
        written = len(self.logged_ids())
        self.assertGreater(written, 0)
        stats = self.assert_settled_and_exact(self.pipeline.start_engine())
        self.assertEqual(stats["records"]["written"], written)
        received = end_to_end.Received(self.sink.out)
        self.assertFalse(set(self.logged_ids()) - set(received.spans))
        self.assertFalse(received.unequal_repeats)

    @unittest.skipUnless(has_test_points(), "a build without test points")
    def test_a_record_that_crashes_the_engine_twice_is_set_aside_and_the_rest_flows(self):
        self.let_the_engine_make_its_directory()
        self.pipeline.replay(end_to_end.SAMPLE, "--ids", self.ids)
        logged = self.logged_ids()
        poison = logged[len(logged) // 2]
        environment = {"SIDECAST_POISON_ID": poison}
        for death in (1, 2):
            engine = self.start_engine_that_may_die(environment)
            self.assertEqual(engine.wait()[0], -signal.SIGABRT, f"death {death}\n{engine.last_words()}")
        engine = self.start_engine_that_may_die(environment)
        pipeline.wait_until(lambda: self.pipeline.stats_or_none()["engine"]["pid"] == engine.pid, "the third engine")
        stats = self.assert_settled_and_exact(engine)
        self.assertEqual(stats["records"]["poison"], 1)
        self.assertEqual(stats["records"]["read"], len(logged))
        received = end_to_end.Received(self.sink.out)
        self.assertEqual(set(logged) - set(received.spans), {poison})
        self.assertIn("set aside as poison", engine.log.read_text())


if __name__ == "__main__":
    unittest.main()
