"""`sidecast explain`: what became of a record at each destination, by any of its ids, whatever became of the engine."""

import hashlib
import http.server
import json
import pathlib
import shutil
import subprocess
import tempfile
import threading
import unittest

import end_to_end
import gateway
import pipeline

LIBRARY = end_to_end.BINARIES.parent / "lib" / "libsidecast.so"
SHED = 1


class Answers:
    """A receiver of many destinations: the first part of the path says whose answers come, the last one for ever."""

    def __init__(self, **statuses):
        self._left = left = {name: list(each) for name, each in statuses.items()}
        self._lock = lock = threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                with lock:
                    mine = left[self.path.split("/")[1]]
                    status = mine.pop(0) if len(mine) > 1 else mine[0]
                self.send_response(status)
                if status == 503:
                    self.send_header("retry-after", "0")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def destination(self, name, **more):
        return {"name": name, "type": "otlp", "endpoint": f"http://{self._address}/{name}", "encoding": "otlp_json", **more}

    def answer_from_now_on(self, name, status):
        with self._lock:
            self._left[name] = [status]

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class Explain(end_to_end.EndToEndTest):
    def answers(self, **statuses):
        answers = Answers(**statuses)
        self.addCleanup(answers.close)
        return answers

    def run_explain(self, *arguments):
        command = [str(end_to_end.BINARIES / "sidecast"), "explain", "--ring-dir", str(self.pipeline.ring_dir), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=pipeline.WATCHDOG_S)

    def explain(self, record):
        answer = self.run_explain("--json", record)
        self.assertEqual(answer.returncode, 0, answer.stdout + answer.stderr)
        return json.loads(answer.stdout)["records"]

    def fates(self, record):
        """Destination -> (fate, why, what happened in turn) of the only record with that id."""
        records = self.explain(record)
        self.assertEqual(len(records), 1)
        return {each["name"]: (each["fate"], each["why"], [step["what"] for step in each["steps"]])
                for each in records[0]["destinations"]}

    def write(self, **fields):
        writer = gateway.Gateway(LIBRARY, self.pipeline.ring_dir, self.ids)
        self.assertEqual(writer.opened, gateway.OK)
        self.assertEqual(writer.write_fields(**fields), gateway.OK)

    def wait_for_fate(self, record, destination, fate):
        def is_so():
            answer = self.run_explain("--json", record)
            if answer.returncode != 0:
                return False
            found = json.loads(answer.stdout)["records"][0]["destinations"]
            return any(each["name"] == destination and each["fate"] == fate for each in found)

        pipeline.wait_until(is_so, f"{record} to be {fate} at {destination}")

    def test_every_fate_is_told_with_its_reason(self):
        answers = self.answers(good=[200], keys=[200], sampled=[200], other=[200], refuses=[400], retried=[503, 200],
                               paused=[401])
        self.pipeline.write_config([
            answers.destination("good"), answers.destination("keys", api_keys={"include": ["team-b"]}),
            answers.destination("sampled", sampling_rate=0.0001), answers.destination("other", accounts=["other"]),
            answers.destination("refuses"), answers.destination("retried"), answers.destination("paused")],
            batch_age_max="20ms")
        engine = self.pipeline.start_engine()
        self.write(generation_id="gen-1", account="acme", api_key_id="team-a", session_id="session-1")
        self.wait_for_fate("gen-1", "good", "delivered")
        self.wait_for_fate("gen-1", "refuses", "rejected(rejected)")
        self.wait_for_fate("gen-1", "retried", "delivered")
        pipeline.wait_until(lambda: "paused" in self.fates("gen-1")["paused"][1], "the destination to pause")

        fates = self.fates("gen-1")
        self.assertEqual(fates["good"], ("delivered", "", ["batched", "sent", "delivered"]))
        self.assertEqual(fates["keys"][0], "filtered")
        self.assertIn("api_keys", fates["keys"][1])
        self.assertEqual(fates["sampled"][0], "sampled out")
        self.assertNotIn("other", fates)
        self.assertEqual(fates["refuses"][2], ["batched", "sent", "answered", "rejected(rejected)"])
        self.assertIn("HTTP 400", fates["refuses"][1])
        self.assertEqual(fates["retried"][2], ["batched", "sent", "answered", "sent", "delivered"])
        self.assertEqual(fates["paused"][0], "pending")
        self.assertIn("HTTP 401; check the credentials", fates["paused"][1])
        record = self.explain("gen-1")[0]
        self.assertEqual(record["account"], "acme")
        self.assertEqual(record["process"], "gateway")
        self.assertEqual(record["destinations_of_others"], 1)

        text = self.run_explain("gen-1").stdout
        for part in ("read from the ring of gateway", "good: delivered", "keys: filtered", "1 other destination not for",
                     "HTTP 503", "refuses: rejected(rejected)"):
            self.assertIn(part, text)
        engine.kill()
        self.assertEqual(self.fates("gen-1"), fates, "the same when the engine is dead")

    def test_a_record_is_found_by_generation_trace_and_session_id(self):
        answers = self.answers(good=[200])
        self.pipeline.write_config([answers.destination("good")], batch_age_max="20ms")
        self.pipeline.start_engine()
        self.write(generation_id="gen-a", session_id="the-session", trace_json='{"trace_id": "my-trace"}')
        self.write(generation_id="gen-b", session_id="the-session")
        self.pipeline.wait_until_settled()
        hashed = hashlib.sha256(b"my-trace").hexdigest()[:32]
        for each in ("gen-a", "my-trace", hashed, hashed.upper()):
            self.assertEqual([record["generation_id"] for record in self.explain(each)], ["gen-a"], each)
        self.assertEqual({record["generation_id"] for record in self.explain("the-session")}, {"gen-a", "gen-b"})
        self.assertEqual(self.run_explain("the-session", "--limit", "1").stdout.count("delivered: "), 0)
        self.assertIn("1 record more with this id", self.run_explain("the-session", "--limit", "1").stdout)

    def test_what_nobody_takes_is_unrouted_and_what_nobody_wrote_is_unknown(self):
        answers = self.answers(other=[200])
        self.pipeline.write_config([answers.destination("other", accounts=["other"])])
        self.pipeline.start_engine()
        self.write(generation_id="gen-1", account="acme")
        pipeline.wait_until(lambda: self.pipeline.stats()["records"]["unrouted"] == 1, "the record to be read")
        self.assertEqual(self.explain("gen-1")[0]["destinations"], [])
        self.assertIn("unrouted: no destination takes records of account acme", self.run_explain("gen-1").stdout)
        unknown = self.run_explain("gen-2")
        self.assertEqual(unknown.returncode, 1)
        self.assertIn("of 1 record read since", unknown.stdout)

    def test_a_record_that_expired_is_told_with_the_last_answer(self):
        answers = self.answers(dead=[503])
        self.pipeline.write_config([answers.destination("dead")], give_up_after="1s", batch_age_max="20ms")
        self.pipeline.start_engine()
        self.write(generation_id="gen-1")
        self.wait_for_fate("gen-1", "dead", "dropped(expired)")
        self.assertIn("HTTP 503", self.fates("gen-1")["dead"][1])

    def test_a_shed_record_says_so(self):
        answers = self.answers(good=[200])
        self.pipeline.write_config([answers.destination("good")], batch_age_max="20ms")
        self.let_the_engine_make_its_directory()
        writer = gateway.Gateway(LIBRARY, self.pipeline.ring_dir, self.ids)
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 60_000}]}).encode()
        shed = None
        for index in range(200):
            status = writer.write_fields(request=body, generation_id=f"gen-{index}")
            if status == SHED:
                shed = f"gen-{index}"
                break
        self.assertIsNotNone(shed, "the ring never filled up")
        self.pipeline.start_engine()
        self.wait_for_fate(shed, "good", "delivered")
        self.assertEqual(self.explain(shed)[0]["flags"], ["shed"])
        self.assertEqual(self.explain("gen-0")[0]["flags"], [])

    def test_what_is_staged_is_told_by_the_next_engine_too(self):
        answers = self.answers(late=[503, 503, 503, 503, 200])
        self.pipeline.write_config([answers.destination("late")], batch_age_max="20ms")
        engine = self.pipeline.start_engine()
        self.write(generation_id="gen-1")
        pipeline.wait_until(lambda: "HTTP 503" in self.run_explain("gen-1").stdout, "the first refusal")
        engine.kill()
        self.assertEqual(self.fates("gen-1")["late"][0], "pending")
        self.pipeline.start_engine()
        self.wait_for_fate("gen-1", "late", "delivered")
        self.assertEqual(self.fates("gen-1")["late"][2].count("batched"), 2, "by each engine once")

    def test_what_waits_on_disk_is_told_and_what_became_of_it_once_read_back(self):
        answers = self.answers(paused=[401])
        disk = pathlib.Path(tempfile.mkdtemp(prefix="sidecast-spool-"))
        self.addCleanup(shutil.rmtree, disk, ignore_errors=True)
        self.pipeline.write_config([answers.destination("paused")], batch_age_max="20ms", shutdown_deadline="2s",
                                   spool={"dir": str(disk)})
        engine = self.pipeline.start_engine()
        self.write(generation_id="gen-1")
        self.wait_for_fate("gen-1", "paused", "pending")
        self.assertEqual(engine.stop()[0], 0, engine.last_words())
        fate, why, steps = self.fates("gen-1")["paused"]
        self.assertEqual(fate, "spooled", why)
        self.assertIn("spool ls", why)
        self.assertIn("spooled", steps)
        answers.answer_from_now_on("paused", 200)
        self.pipeline.start_engine()
        self.wait_for_fate("gen-1", "paused", "delivered")
        steps = self.fates("gen-1")["paused"][2]
        self.assertIn("sent", steps[steps.index("read back"):], steps)
        self.assertLess(steps.index("spooled"), steps.index("read back"), steps)

    def test_what_waits_on_disk_is_found_there_after_a_reboot(self):
        answers = self.answers(paused=[401])
        disk = pathlib.Path(tempfile.mkdtemp(prefix="sidecast-spool-"))
        self.addCleanup(shutil.rmtree, disk, ignore_errors=True)
        self.pipeline.write_config([answers.destination("paused", batch_records_max=1)], batch_age_max="20ms",
                                   shutdown_deadline="2s", spool={"dir": str(disk), "after": "0s"})
        engine = self.pipeline.start_engine()
        for index in range(8):
            self.write(generation_id=f"gen-{index}")
        self.wait_for_fate("gen-7", "paused", "spooled")
        self.assertEqual(engine.stop()[0], 0, engine.last_words())
        shutil.rmtree(self.pipeline.ring_dir)
        self.pipeline.start_engine()
        # Some are read back, to try it; the others wait.
        found = {f"gen-{index}": self.fates(f"gen-{index}")["paused"] for index in range(8)}
        waiting = [record for record, (fate, _, _) in found.items() if fate == "spooled"]
        self.assertGreaterEqual(len(waiting), 2, found)
        self.assertIn(str(disk), found[waiting[0]][1])
        trace = self.explain(waiting[0])[0]["trace_id"]
        self.assertEqual(len(self.explain(trace)), 1)
        self.assertEqual(self.run_explain("gen-unknown").returncode, 1)

    def spool_and_reboot(self, *records, **destination):
        """Those records wait on disk; of the engine that put them there nothing else is left."""
        answers = self.answers(dead=[503])
        disk = pathlib.Path(tempfile.mkdtemp(prefix="sidecast-spool-"))
        self.addCleanup(shutil.rmtree, disk, ignore_errors=True)
        self.pipeline.write_config([answers.destination("dead", **destination)], batch_age_max="20ms",
                                   shutdown_deadline="2s", spool={"dir": str(disk)})
        engine = self.pipeline.start_engine()
        for record in records:
            self.write(**record)
        pipeline.wait_until(lambda: self.pipeline.stats()["records"]["read"] == len(records), "all to be read")
        self.assertEqual(engine.stop()[0], 0, engine.last_words())
        shutil.rmtree(self.pipeline.ring_dir)
        return disk

    def explain_by_config(self, record, *arguments, limits=()):
        """As JSON, with the exit code."""
        command = [*limits, str(end_to_end.BINARIES / "sidecast"), "explain", "--json", "--config", str(self.pipeline.config),
                   record, *arguments]
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=pipeline.WATCHDOG_S)
        return json.loads(answer.stdout), answer.returncode

    def test_with_nothing_but_the_spool_every_id_is_found_there(self):
        records = [{"generation_id": "gen-0", "session_id": 'the "session"'},
                   {"generation_id": "gen-1", "session_id": 'the "session"'},
                   {"generation_id": "gen-2", "session_id": 'the "session" 2', "trace_json": '{"trace_id": "my-trace"}'}]
        hashed = hashlib.sha256(b"my-trace").hexdigest()[:32]
        for encoding in ("otlp_json", "otlp_protobuf"):
            with self.subTest(encoding=encoding):
                disk = self.spool_and_reboot(*records, encoding=encoding, compression="gzip")
                for asked, found in (("gen-1", {"gen-1"}), ("my-trace", {"gen-2"}), (hashed, {"gen-2"}),
                                     ('the "session"', {"gen-0", "gen-1"}), ('the "session" 2', {"gen-2"})):
                    answer, code = self.explain_by_config(asked)
                    self.assertEqual(code, 0, (asked, answer))
                    self.assertEqual({each["generation_id"] for each in answer["records"]}, found, asked)
                    story, = answer["records"][0]["destinations"]
                    self.assertEqual((story["name"], story["fate"]), ("dead", "spooled"))
                    self.assertIn(str(disk), story["why"])
                    self.assertIn("only the spool was searched", answer["notes"][0])
                self.assertIn("no index there has session ids", answer["notes"][1])
                for unknown in ("gen-", "session", 'the "session" '):
                    self.assertEqual(self.explain_by_config(unknown)[1], 1, unknown)
                answer, _ = self.explain_by_config('the "session"', "--limit", "1")
                self.assertEqual((len(answer["records"]), answer["records_left_out"]), (1, 1))

    def test_a_search_of_the_spool_says_when_it_was_cut_or_could_not_read(self):
        disk = self.spool_and_reboot({"generation_id": "gen-0", "session_id": "the-session"})
        for asked in ("gen-0", "the-session"):
            answer, code = self.explain_by_config(asked, "--spool-seconds", "0")
            self.assertEqual((code, answer["records"]), (1, []))
            self.assertTrue(any("was cut after" in note and "0 of 1 segment" in note for note in answer["notes"]), answer)
        # One after the other is held, however many there are.
        segment, = disk.glob("*.spool")
        for index in range(100):
            shutil.copy(segment, disk / f"{index + 1000:016x}-{index + 1:016x}.spool")
        few = ("prlimit", "--nofile=24:24")
        patient = ("--spool-seconds", "100")  # on a busy machine, too
        answer, code = self.explain_by_config("the-session", *patient, limits=few)
        self.assertEqual([each["generation_id"] for each in answer["records"]], ["gen-0"])
        self.assertFalse([note for note in answer["notes"] if "could not" in note], answer)
        (disk / f"{5000:016x}-{1:016x}.spool").write_bytes(b"no segment")
        damaged = disk / f"{1000:016x}-{1:016x}.spool"
        with damaged.open("r+b") as file:
            file.seek(64 + 120 + 160 + 72 + 40)  # in the first body
            file.write(b"\xa5" * 8)
        notes = self.explain_by_config("the-session", *patient)[0]["notes"]
        self.assertTrue(any("1 segment of the spool could not be read" in note for note in notes), notes)
        self.assertTrue(any("1 batch of the spool is damaged" in note for note in notes), notes)

    def test_of_a_session_the_new_records_are_told_and_the_old_ones_on_request(self):
        self.spool_and_reboot({"generation_id": "gen-old", "session_id": "the-session"})
        self.pipeline.start_engine()
        self.write(generation_id="gen-new", session_id="the-session")
        pipeline.wait_until(lambda: self.pipeline.stats()["records"]["read"] == 1, "the new one to be read")
        told = [record["generation_id"] for record in self.explain("the-session")]
        self.assertEqual(told[0], "gen-new")
        self.assertIn("--spool", self.run_explain("the-session").stdout)
        found = json.loads(self.run_explain("--json", "the-session", "--spool").stdout)["records"]
        self.assertEqual([record["generation_id"] for record in found], ["gen-new", "gen-old"])

    def test_without_fates_it_says_why(self):
        answers = self.answers(good=[200])
        self.pipeline.write_config([answers.destination("good")], explain={"size": 0})
        self.pipeline.start_engine()
        answer = self.run_explain("gen-1")
        self.assertEqual(answer.returncode, 1)
        self.assertIn("explain: {size: 0}", answer.stderr)


if __name__ == "__main__":
    unittest.main()
