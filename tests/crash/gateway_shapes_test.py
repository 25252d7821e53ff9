"""Gateways as processes really are: forked, spawned, replaced, killed, in other namespaces, of other users."""

import json
import os
import shutil
import subprocess
import sys
import unittest

import end_to_end
import gateway
import pipeline

LIBRARY = end_to_end.BINARIES.parent / "lib" / "libsidecast.so"
# The system's own can be run by every user; ours may lie in somebody's home.
PYTHON = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable
STRANGER_ID = "65534"  # nobody, and nobody's group
# Two gateways, each with four threads for a core: eight times what the machine can run at once.
STRESS_THREADS = 4 * (os.cpu_count() or 1)


class GatewayShapes(end_to_end.EndToEndTest):
    def setUp(self):
        super().setUp()
        if b"__asan_init" in LIBRARY.read_bytes() or b"__tsan_init" in LIBRARY.read_bytes():
            self.skipTest("a sanitizer's library cannot be loaded into Python")
        self.sink = self.pipeline.start_sink("generic")
        self.pipeline.write_config([end_to_end.generic_json(self.sink.address)], batch_age_max="100ms")
        self.engine = self.pipeline.start_engine()
        # Where a stranger may read and write.
        self.pipeline.folder.chmod(0o711)
        self.common = self.pipeline.folder / "common"
        self.common.mkdir()
        self.common.chmod(0o777)
        self.ids = self.common / "ids.log"
        self.program = self.common / "gateway.py"
        self.library = self.common / "libsidecast.so"
        shutil.copy(gateway.__file__, self.program)
        shutil.copy(LIBRARY, self.library)

    def start_gateway(self, shape, *, inside=(), ring_dir=None, environment=None):
        command = [*inside, PYTHON, "-B", self.program, self.library, ring_dir or self.pipeline.ring_dir,
                   self.ids, shape]
        log = self.pipeline.folder / f"{shape}.log"
        with log.open("wb") as errors:
            process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=errors, text=True, env={**os.environ, **(environment or {})})
        self.addCleanup(self.end, process)
        process.log = log
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        process.stdin.close()
        process.stdout.close()
        process.wait()

    def rings(self):
        command = [str(end_to_end.BINARIES / "sidecast"), "ring", "ls", "--ring-dir", str(self.pipeline.ring_dir), "--json"]
        program = pipeline.Program(command, self.pipeline.folder / "ring-ls.log")
        code, output = program.wait()
        self.assertEqual(code, 0, program.last_words())
        return json.loads(output)["rings"]

    def assert_all_logged_arrive_and_all_rings_go(self):
        pipeline.wait_until(lambda: not self.rings(), "the rings of dead gateways to be removed")
        self.pipeline.wait_until_settled()
        received = end_to_end.Received(self.sink.out)
        self.assert_all_arrived(received, "generic")
        self.assertEqual(self.pipeline.stats("--check")["records"]["written"], len(self.logged_ids()))
        self.assertEqual(self.engine.stop()[0], 0)

    def test_processes_of_every_shape_lose_nothing(self):
        running = {shape.__name__: self.start_gateway(shape.__name__) for shape in gateway.SHAPES}
        for name, process in running.items():
            code = process.wait(pipeline.WATCHDOG_S)
            self.assertEqual(code, 0, f"{name}: {process.log.read_text()}")
        names = {line.rsplit("-", 2)[0] for line in self.logged_ids()}
        self.assertLessEqual({"master", "worker", "killed", "pool", "beside-spawn", "before", "after", "second-copy",
                              "before-exec", "last"}, names)
        self.assert_all_logged_arrive_and_all_rings_go()

    def test_a_killed_parents_ring_is_drained_while_its_idle_children_live_on(self):
        parent = self.start_gateway("killed_with_idle_children")
        child = int(parent.stdout.readline())
        parent.wait(pipeline.WATCHDOG_S)
        pipeline.wait_until(lambda: not self.rings(), "the dead parent's ring to be removed")
        os.kill(child, 0)  # it lives
        self.assert_all_logged_arrive_and_all_rings_go()

    def test_two_oversubscribed_gateways_lose_nothing(self):
        self.pipeline.replay(end_to_end.SAMPLE, "--ids", self.ids, "--processes", "2", "--threads",
                             str(STRESS_THREADS), "--repeat", "300")
        self.assertEqual(len(self.logged_ids()), 300 * len(end_to_end.read_exchanges(end_to_end.SAMPLE)))
        self.assert_all_logged_arrive_and_all_rings_go()

    # ---- Containers

    def start_contained(self, shape, elsewhere, environment=None, *, as_user=()):
        """In pid, mount and user namespaces of its own, with the ring directory at another path."""
        inside = [*as_user, *self.container(elsewhere)]
        return self.start_gateway(shape, inside=inside, ring_dir=elsewhere, environment=environment)

    def container(self, elsewhere):
        """The beginning of a command that runs in a container, which has the ring directory at `elsewhere`."""
        elsewhere.mkdir()
        mount = 'mount --bind "$0" "$1" && shift && exec "$@"'
        inside = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child",
                  "sh", "-c", mount, self.pipeline.ring_dir, elsewhere]
        if subprocess.run([str(word) for word in [*inside, PYTHON, "-c", ""]], check=False, capture_output=True).returncode != 0:
            print("!!!! no user namespaces here: containers are NOT tested", flush=True)
            self.skipTest("user namespaces are not permitted")
        return inside

    def written(self, process):
        line = process.stdout.readline().strip()
        self.assertEqual(line, "written", process.log.read_text())

    def test_a_gateway_in_other_namespaces_is_seen_alive_then_dead(self):
        contained = self.start_contained("wait_for_input", self.common / "elsewhere")
        self.written(contained)
        ring, = self.rings()
        self.assertEqual(ring["state"], "live")
        self.assertLess(ring["pid"], 10, "its own pid, which means nothing out here")
        self.pipeline.wait_until_settled()
        self.assertEqual([each["file"] for each in self.rings()], [ring["file"]], "a living gateway's ring stays")
        contained.kill()
        self.assert_all_logged_arrive_and_all_rings_go()

    def test_an_engine_in_a_container_tells_living_gateways_elsewhere_from_dead_ones(self):
        self.assertEqual(self.engine.stop()[0], 0)
        elsewhere = self.common / "engines"
        inside = self.container(elsewhere)
        self.engine = self.pipeline.start(
            [*inside, end_to_end.BINARIES / "sidecastd", "--config", self.pipeline.config, "--ring-dir", elsewhere], "contained")
        outside = self.start_gateway("wait_for_input")
        contained = self.start_contained("wait_for_input", self.common / "gateways")
        self.written(outside)
        self.written(contained)
        self.pipeline.wait_until_settled()
        self.assertEqual([ring["state"] for ring in self.rings()], ["live", "live"])
        outside.kill()
        pipeline.wait_until(lambda: len(self.rings()) == 1, "the dead gateway's ring to be removed")
        self.assertIsNone(contained.poll())
        contained.kill()
        pipeline.wait_until(lambda: not self.rings(), "the other's too")
        self.pipeline.wait_until_settled()
        self.assert_all_arrived(end_to_end.Received(self.sink.out), "generic")

    @unittest.skipUnless(os.geteuid() == 0, "only root can start a gateway of another user")
    def test_a_gateway_of_another_user_can_write_but_not_look(self):
        ours = self.start_gateway("wait_for_input")
        self.written(ours)
        self.assertEqual(self.pipeline.ring_dir.stat().st_mode & 0o7777, 0o3733)
        self.ids.chmod(0o666)
        other, = self.rings()
        stranger = self.start_contained("stranger", self.common / "elsewhere", {"OTHERS_RING": other["file"]},
                                        as_user=("setpriv", "--reuid", STRANGER_ID, "--regid", STRANGER_ID,
                                                 "--clear-groups"))
        self.written(stranger)
        self.assertEqual(sorted(ring["owner_uid"] for ring in self.rings()), [0, int(STRANGER_ID)])
        self.assertEqual({ring["state"] for ring in self.rings()}, {"live"})
        for process in (stranger, ours):
            process.kill()
        self.assert_all_logged_arrive_and_all_rings_go()


if __name__ == "__main__":
    unittest.main()
