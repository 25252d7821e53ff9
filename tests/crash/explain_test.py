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

    def test_without_fates_it_says_why(self):
        answers = self.answers(good=[200])
        self.pipeline.write_config([answers.destination("good")], explain={"size": 0})
        self.pipeline.start_engine()
        answer = self.run_explain("gen-1")
        self.assertEqual(answer.returncode, 1)
        self.assertIn("explain: {size: 0}", answer.stderr)


if __name__ == "__main__":
    unittest.main()
