"""The engine with a spool is killed while batches move between memory and disk: nothing is lost, the sums stay exact.

SIDECAST_STORM=N asks for N random kills; the default is a sample.
"""

import os
import random
import signal
import unittest

import engine_storm_test
import end_to_end
import pipeline
import spool_test

KILLS = int(os.environ.get("SIDECAST_STORM", "6"))
RATE = 400


def spool_points():
    """Every point of the spool that an engine visits while it runs."""
    points = {name for source in (end_to_end.ROOT / "engine").rglob("*.cc")
              for name in engine_storm_test.POINT.findall(source.read_text(encoding="utf-8"))
              if name.startswith("spool.")}
    return sorted(points - {"spool.adopted"})  # only a start without states comes there


class SpoolStorm(spool_test.SpoolTest):
    def setUp(self):
        super().setUp()
        # Most of what it gets is answered badly, so that batches go to disk and come back all the time.
        self.sink = self.pipeline.start_sink("generic", "--misbehave", "status=503:p=0.6")
        self.write_config([end_to_end.generic_json(self.sink.address, batch_records_max=16)],
                          spool={"after": "0s"}, memory_limit="32MiB", shutdown_deadline="3s")

    def end_well(self, engine):
        """A receiver that takes all, and what is left."""
        self.sink.stop()
        self.again = self.pipeline.start_sink("again", listen=self.sink.address)
        self.pipeline.wait_until_settled()
        stats = self.stats()
        self.assert_sums_hold()
        self.assertEqual(stats["records"]["read"], stats["records"]["written"])
        self.assertEqual(self.destination()["delivered"], stats["records"]["routable"])
        self.assertEqual(engine.stop()[0], 0, engine.last_words())
        received = end_to_end.Received(self.sink.out, self.again.out)
        missing = set(self.logged_ids()) - set(received.spans)
        self.assertFalse(missing, f"{len(missing)} of {len(self.logged_ids())} are lost")
        self.assertFalse(received.unequal_repeats)

    def test_random_kills_while_batches_move_lose_nothing(self):
        seed = random.SystemRandom().randrange(1 << 32)
        print(f"{KILLS} kills, seed {seed}", flush=True)
        chance = random.Random(seed)
        engine = self.pipeline.start_engine()
        ids_logs = []
        for kill in range(KILLS):
            ids = self.pipeline.folder / f"ids-{kill}.log"
            ids_logs.append(ids)
            writer = self.pipeline.start_replay(end_to_end.SAMPLE, "--ids", ids, "--repeat", "1000000", "--rate", RATE,
                                                "--id-prefix", f"kill{kill}-", name=f"replay-{kill}")
            target = chance.randrange(100, 600)
            pipeline.wait_until(lambda ids=ids, target=target: len(pipeline.read_lines(ids)) >= target,
                                f"{target} records to be written")
            engine.kill()
            writer.stop()
            engine = self.pipeline.start_engine()
        self.ids.write_text("".join(line + "\n" for ids in ids_logs for line in pipeline.read_lines(ids)))
        self.end_well(engine)

    @unittest.skipUnless(engine_storm_test.has_test_points(), "a build without test points")
    def test_a_kill_at_every_point_of_the_spool_loses_nothing(self):
        points = spool_points()
        self.assertIn("spool.committed", points)
        for name in points:
            with self.subTest(point=name):
                command = [self.pipeline.binaries / "sidecastd", "--config", self.pipeline.config]
                engine = self.pipeline.start(command, "engine", {"SIDECAST_KILL_AT": name})
                pipeline.wait_until(self.pipeline.ring_dir.exists, "the ring directory")
                writer = self.pipeline.start_replay(end_to_end.SAMPLE, "--ids", self.ids, "--id-prefix", f"{name}-",
                                                    "--repeat", "1000000", "--rate", RATE, name="replay")
                self.assertEqual(engine.wait()[0], -signal.SIGKILL)
                writer.stop()
        self.end_well(self.pipeline.start_engine())


if __name__ == "__main__":
    unittest.main()
