"""Tenants' files while the engine runs: many come and go, each gets its own records, a bad one harms nobody.

SIDECAST_TEST_TENANTS=10000 prints the figures for that many (memory each, idle CPU, reload of one).
"""

import json
import os
import pathlib
import time
import unittest

import end_to_end
import gateway
import pipeline

TENANTS = int(os.environ.get("SIDECAST_TEST_TENANTS", "1000"))
TICKS = os.sysconf("SC_CLK_TCK")
UNDER_LOAD_S = 10


class Tenants(end_to_end.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.directory = self.pipeline.folder / "tenants.d"
        self.directory.mkdir()

    def start(self, **settings):
        self.pipeline.write_config([], destinations_dir=str(self.directory), batch_age_max="50ms", **settings)
        return self.pipeline.start_engine()

    def write_tenant(self, name, text=None):
        """Whole at once, as a control plane does it."""
        destination = {"name": "traces", "type": "otlp", "endpoint": "http://127.0.0.1:9"}
        draft = self.directory / ".draft"
        draft.write_text(text or json.dumps({"account": f"account-{name}", "destinations": [destination]}))
        draft.rename(self.directory / f"{name}.yaml")

    def gateway(self):
        return gateway.Gateway(end_to_end.BINARIES.parent / "lib" / "libsidecast.so", self.pipeline.ring_dir, self.ids)

    def destinations(self):
        return {each["name"]: each for each in self.pipeline.stats()["destinations"] if each["state"] != "removed"}

    def wait_for_destinations(self, count):
        pipeline.wait_until(lambda: len(self.destinations()) == count, f"{count} destinations")

    def write_records(self, writer, names, each):
        for name in names:
            for _ in range(each):
                while writer.write("tenant", f"account-{name}".encode()) != gateway.OK:
                    time.sleep(0.001)

    def assert_each_gets_its_own(self, writer, names, each):
        before = self.destinations()
        read = self.pipeline.stats()["records"]["read"]
        self.write_records(writer, names, each)
        pipeline.wait_until(lambda: self.pipeline.stats()["records"]["read"] == read + each * len(names), "all read")
        after = self.destinations()
        for name in names:
            key = f"{name}/traces"
            self.assertEqual(after[key]["routed"] - before[key]["routed"], each, key)

    def cpu_s(self, engine):
        fields = pathlib.Path(f"/proc/{engine.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_bytes(self, engine):
        return int(pathlib.Path(f"/proc/{engine.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    def test_a_file_comes_changes_breaks_is_mended_and_goes(self):
        engine = self.start()
        writer = self.gateway()
        self.write_tenant("acme")
        self.write_tenant("globex")
        self.wait_for_destinations(2)
        self.assert_each_gets_its_own(writer, ["acme", "globex"], 5)
        self.write_tenant("acme", "account: account-globex\ndestinatoins: []\n")
        place = f"{self.directory}/acme.yaml:2:1: "
        pipeline.wait_until(lambda: place in engine.log.read_text(), "a word on the bad file")
        self.write_tenant("initech")
        self.wait_for_destinations(3)
        self.assert_each_gets_its_own(writer, ["acme", "globex", "initech"], 5)
        command = [end_to_end.BINARIES / "sidecast", "reload", "--ring-dir", self.pipeline.ring_dir, "--json"]
        code, output = self.pipeline.start(command, "reload").wait()
        self.assertEqual(code, 0)
        self.assertTrue(json.loads(output)["tenant_errors"][0].startswith(place), output)
        self.assertEqual(json.loads(output)["unchanged"], 3)
        validate = self.pipeline.start([end_to_end.BINARIES / "sidecast", "validate", self.pipeline.config], "validate")
        code, output = validate.wait()
        self.assertEqual(code, 2)
        self.assertIn(place, output)
        self.write_tenant("acme")
        pipeline.wait_until(lambda: "acme.yaml is mended" in engine.log.read_text(), "a word on the mended file")
        (self.directory / "globex.yaml").unlink()
        self.wait_for_destinations(2)
        self.assertEqual(engine.log.read_text().count(place), 1, "said once")
        self.pipeline.stats("--check")
        self.assertEqual(engine.stop()[0], 0)

    def test_a_tenants_destination_may_not_reach_a_private_address(self):
        sink = self.pipeline.start_sink("private")
        engine = self.start()
        destination = {"name": "traces", "type": "otlp", "endpoint": f"http://{sink.address}"}
        self.write_tenant("acme", json.dumps({"account": "account-acme", "destinations": [destination]}))
        self.wait_for_destinations(1)
        self.write_records(self.gateway(), ["acme"], 3)
        pipeline.wait_until(lambda: self.destinations()["acme/traces"]["last_error"], "an answer")
        self.assertNotEqual(self.destinations()["acme/traces"]["state"], "ok")
        self.assertEqual(end_to_end.Received(sink.out).lines, 0)
        self.assertEqual(engine.stop()[0], 0)

    def test_many_come_under_load_and_each_gets_only_its_own_records(self):
        engine = self.start()
        names = [f"tenant{number:05}" for number in range(TENANTS)]
        writer = self.gateway()
        resident = self.resident_bytes(engine)
        start, cpu = time.monotonic(), self.cpu_s(engine)
        for number, name in enumerate(names):
            self.write_tenant(name)
            self.write_records(writer, names[:number + 1][-3:], 1)
            time.sleep(max(0.0, start + (number + 1) * UNDER_LOAD_S / TENANTS - time.monotonic()))
        self.wait_for_destinations(TENANTS)
        seconds, cpu = time.monotonic() - start, self.cpu_s(engine) - cpu
        print(f"\n{TENANTS} tenants added in {seconds:.1f} s under load: {cpu:.2f} s of CPU, "
              f"{(self.resident_bytes(engine) - resident) / TENANTS / 1024:.1f} KiB each with their records", flush=True)
        self.assert_each_gets_its_own(writer, names[:: max(1, TENANTS // 500)], 2)
        self.assertEqual(self.pipeline.stats("--check")["engine"]["ledger_mismatches"], 0)
        self.assertEqual(engine.stop()[0], 0)
        self.assertNotIn(" error ", engine.log.read_text())

    def test_idle_destinations_cost_little_and_the_reload_of_one_reads_one_file(self):
        empty = self.start()
        baseline = self.resident_bytes(empty)
        self.assertEqual(empty.stop()[0], 0)
        for number in range(TENANTS):
            self.write_tenant(f"tenant{number:05}")
        time.sleep(1.1)  # then time stamps tell what has changed
        start = time.monotonic()
        engine = self.start()
        started_s = time.monotonic() - start
        self.wait_for_destinations(TENANTS)
        each = (self.resident_bytes(engine) - baseline) / TENANTS / 1024
        cpu = self.cpu_s(engine)
        time.sleep(5)
        idle = (self.cpu_s(engine) - cpu) / 5
        command = [end_to_end.BINARIES / "sidecast", "reload", "--ring-dir", self.pipeline.ring_dir, "--json"]
        took = []
        for round_number in range(3):
            self.write_tenant("tenant00000", json.dumps({"account": "account-tenant00000", "destinations": [
                {"name": "traces", "type": "otlp", "endpoint": "http://127.0.0.1:9", "timeout": f"{round_number + 1}s"}]}))
            code, output = self.pipeline.start(command, f"reload{round_number}").wait()
            self.assertEqual(code, 0)
            took.append(json.loads(output)["took_ms"])
        print(f"\n{TENANTS} destinations: started in {started_s:.2f} s, {each:.1f} KiB each idle, {idle:.2%} of a core "
              f"idle, reload of one {sorted(took)[1]:.1f} ms", flush=True)
        if TENANTS >= 1000:
            self.assertLess(each, 16)
        self.assertEqual(engine.stop()[0], 0)

    def test_tenants_that_come_and_go_use_the_ledgers_slots_again(self):
        engine = self.start(give_up_after="1s")
        writer = self.gateway()
        rounds, each = 4, 700
        for round_number in range(rounds):
            names = [f"round{round_number}-{number}" for number in range(each)]
            for name in names:
                self.write_tenant(name)
            self.wait_for_destinations(each)
            self.write_records(writer, names[:50], 2)
            for name in names:
                (self.directory / f"{name}.yaml").unlink()
            self.wait_for_destinations(0)

        def retired():
            stats = self.pipeline.stats()
            return stats["retired_count"] >= rounds * each - 1024 and len(stats["destinations"]) <= 1024
        pipeline.wait_until(retired, "slots to be free again")
        self.pipeline.wait_until_settled()
        stats = self.pipeline.stats("--check")
        gone = [*stats["destinations"], stats["retired"]]
        self.assertEqual(sum(one["routed"] for one in gone), stats["records"]["routable"])
        self.assertGreater(stats["retired"]["routed"], 0)
        self.assertEqual(stats["engine"]["ledger_mismatches"], 0)
        self.assertEqual(engine.stop()[0], 0)
        command = [str(end_to_end.BINARIES / "sidecast"), "stats", "--ring-dir", str(self.pipeline.ring_dir), "--check"]
        self.assertEqual(pipeline.Program(command, self.pipeline.folder / "check.log").wait()[0], 0, "stats --check")


if __name__ == "__main__":
    unittest.main()
