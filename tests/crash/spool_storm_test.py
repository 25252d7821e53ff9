"""The engine with a spool is killed while batches move between memory and disk: nothing is lost, the sums stay exact.

SIDECAST_STORM=N asks for N random kills, of each kind; 200 of each are the default.
"""

import os
import random
import signal
import time
import unittest

import engine_storm_test
import end_to_end
import pipeline
import spool_test
import start_failures_test

KILLS = int(os.environ.get("SIDECAST_STORM", "200"))
RATE = 400
KILLS_PER_WRITER = 20
LIFE_S = 0.6  # an engine's at most; most have less


def spool_points():
    """Every point of the spool that an engine visits while it runs."""
    points = {name for source in (end_to_end.ROOT / "engine").rglob("*.cc")
              for name in engine_storm_test.POINT.findall(source.read_text(encoding="utf-8"))
              if name.startswith("spool.")}
    return sorted(points - {"spool.adopted"})  # only a start without states comes there


class Storm(spool_test.SpoolTest):
    def kill_again_and_again(self, engine, start_engine):
        """Under a load that goes on; a writer outlives many engines. Returns the last engine and what was logged."""
        seed = random.SystemRandom().randrange(1 << 32)
        print(f"{KILLS} kills, seed {seed}", flush=True)
        chance = random.Random(seed)
        begun, logs, writer = time.monotonic(), [], None
        for kill in range(KILLS):
            if kill % KILLS_PER_WRITER == 0:
                if writer is not None:
                    writer.stop()
                logs.append(self.pipeline.folder / f"ids-{kill}.log")
                writer = self.pipeline.start_replay(end_to_end.SAMPLE, "--ids", logs[-1], "--repeat", "1000000", "--rate",
                                                    RATE, "--id-prefix", f"kill{kill}-", name=f"replay-{kill}")
                pipeline.wait_until(lambda: pipeline.read_lines(logs[-1]), "the first records to be written")
            time.sleep(LIFE_S * chance.random() ** 2)  # no condition: at any instant
            engine.kill()
            engine = start_engine()
        writer.stop()
        print(f"{(time.monotonic() - begun) / KILLS:.2f} s a kill", flush=True)
        return engine, [line for log in logs for line in pipeline.read_lines(log)]


class SpoolStorm(Storm):
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
        logged = self.logged_ids()
        missing = set(logged) - set(received.spans)
        print(f"{len(logged)} records logged, {len(missing)} lost, {received.repeats} sent again", flush=True)
        self.assertFalse(missing, f"{len(missing)} of {len(logged)} are lost")
        self.assertFalse(received.unequal_repeats)

    def test_random_kills_while_batches_move_lose_nothing(self):
        engine, logged = self.kill_again_and_again(self.pipeline.start_engine(), self.pipeline.start_engine)
        self.ids.write_text("".join(line + "\n" for line in logged))
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


    @unittest.skipUnless(engine_storm_test.has_test_points(), "a build without test points")
    def test_a_kill_before_an_engine_without_a_spool_loses_nothing(self):
        """What was half moved is moved at that start, not by the next engine that has a spool, over newer counters."""
        # Room for what an engine without a spool has to hold.
        settings = {"memory_limit": "256MiB", "shutdown_deadline": "3s", "batch_age_max": "100ms"}
        destinations = [end_to_end.generic_json(self.sink.address, batch_records_max=16)]
        self.pipeline.write_config(destinations, **settings)
        without = self.pipeline.folder / "without.yaml"
        without.write_text(self.pipeline.config.read_text(encoding="utf-8"), encoding="utf-8")
        self.write_config(destinations, spool={"after": "0s"}, **settings)
        seed = random.SystemRandom().randrange(1 << 32)
        print(f"seed {seed}", flush=True)
        chance = random.Random(seed)
        for index in range(3):
            # Of the spooler's transactions, too: it has moved something before.
            point = f"redo.{chance.choice(('sealed', 'applying'))}:{chance.randrange(300, 1500)}"
            command = [self.pipeline.binaries / "sidecastd", "--config", self.pipeline.config]
            engine = self.pipeline.start(command, "engine", {"SIDECAST_KILL_AT": point})
            pipeline.wait_until(self.pipeline.ring_dir.exists, "the ring directory")
            writer = self.pipeline.start_replay(end_to_end.SAMPLE, "--ids", self.ids, "--id-prefix", f"{index}-",
                                                "--repeat", "1000000", "--rate", RATE, name="replay")
            self.assertEqual(engine.wait()[0], -signal.SIGKILL)
            writer.stop()
            engine = self.pipeline.start([self.pipeline.binaries / "sidecastd", "--config", without], "engine")
            delivered = self.destination()["delivered"]
            pipeline.wait_until(lambda delivered=delivered: self.destination()["delivered"] > delivered, "it to run")
            self.assertEqual(engine.stop()[0], 0, engine.last_words())
        self.end_well(self.pipeline.start_engine())


# $0 is the directory to mount a small file system at. It outlives the engines that use it.
HOLD_A_SMALL_DISK = 'mount -t tmpfs -o size=4m,mode=700 tmpfs "$0" && echo ready && exec sleep 1000000'


class SpoolStormOnAFullDisk(Storm):
    def setUp(self):
        super().setUp()
        if not start_failures_test.may_mount():
            self.skipTest("may not mount a small file system")
        self.disk = self.pipeline.start(["unshare", "-rm", "sh", "-c", HOLD_A_SMALL_DISK, self.spool], "disk")
        self.assertEqual(self.disk.process.stdout.readline(), "ready\n", self.disk.last_words())
        self.dead = self.pipeline.start_sink("dead", "--misbehave", "status=503")
        self.alive = self.pipeline.start_sink("alive")
        self.write_config([end_to_end.generic_json(self.dead.address, name="dead", compression="none"),
                           end_to_end.openinference_protobuf(self.alive.address, name="alive")],
                          memory_limit="16MiB", workers=1, shutdown_deadline="3s")

    def start_engine(self):
        command = ["nsenter", "-t", self.disk.pid, "-U", "-m", "--preserve-credentials",
                   self.pipeline.binaries / "sidecastd", "--config", self.pipeline.config]
        engine = self.pipeline.start(command, "engine")
        pipeline.wait_until(lambda: self.pipeline.stats_or_none() is not None
                            and self.stats()["engine"]["pid"] == engine.pid, "the engine's stats")
        return engine

    def test_random_kills_with_a_full_disk_lose_nothing_of_the_healthy(self):
        engine = self.start_engine()
        self.play("--repeat", "500", "--rate", "4000", "--id-prefix", "fill-")
        written = self.logged_ids()
        pipeline.wait_until(lambda: self.stats()["spool"]["state"] == "full", "the disk to be full")
        # Each start adds up the sums before anything moves them.
        engine, logged = self.kill_again_and_again(engine, self.start_engine)
        written += logged
        self.dead.stop()
        again = self.pipeline.start_sink("again", listen=self.dead.address)
        self.pipeline.wait_until_settled()
        self.assert_sums_hold()
        received = end_to_end.Received(self.alive.out)
        self.assertEqual(set(written) - set(received.spans), set(), "lost")
        self.assertFalse(received.unequal_repeats)
        dead = self.destination("dead")
        self.assertEqual(sum(dead["dropped"].values()), dead["dropped"]["budget"], dead)
        self.assertEqual(dead["delivered"] + dead["dropped"]["budget"], dead["routed"])
        self.assertEqual(len(end_to_end.Received(again.out).spans), dead["delivered"])
        self.assertEqual(self.stats()["engine"]["ledger_mismatches"], 0)
        print(f"{len(written)} written and at the healthy one, {received.repeats} of them again; of the dead one's "
              f"{dead['delivered']} delivered, {dead['dropped']['budget']} dropped", flush=True)
        self.assertEqual(engine.stop()[0], 0, engine.last_words())


if __name__ == "__main__":
    unittest.main()
