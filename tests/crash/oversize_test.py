"""One huge record among thousands of small ones, and a receiver that takes requests of 4 MiB: in each of the
ways in which servers say "too large", the small ones arrive whole and the huge one shortened and marked."""

import http.server
import json
import threading
import unittest

import end_to_end
import pipeline

SMALL_RECORDS = 4552
HUGE_BYTES = 20_000_000
LIMIT_BYTES = 4 << 20
# A bisect takes 2 log2(512) + 8 requests, and a record is shrunk at most four times.
SEARCH_REQUESTS_MAX = 2 * 9 + 8 + 4

COLLECTOR_400 = (400, {"code": 3, "message": "http: request body too large"})
GRPC_429 = (429, {"code": 8, "message": "grpc: received message larger than max (20971520 vs. 4194304)"})
PLAIN_413 = (413, {})
SILENT_400 = (400, {})  # says nothing about size


class Receiver:
    """OTLP JSON over HTTP, uncompressed. Refuses what is larger than LIMIT_BYTES with that answer."""

    def __init__(self, refusal):
        self.spans = {}  # generation id -> attributes
        self.refused = 0
        self.refusal = refusal
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                status, answer = receiver.answer_to(body)
                reply = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer_to(self, body):
        if len(body) > LIMIT_BYTES:
            self.refused += 1
            return self.refusal
        self.keep(json.loads(body))
        return 200, {}

    def keep(self, request):
        for resource in request["resourceSpans"]:
            for span in resource["scopeSpans"][0]["spans"]:
                attributes = {each["key"]: next(iter(each["value"].values())) for each in span["attributes"]}
                self.spans[attributes[end_to_end.GENERATION_KEY]] = attributes

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def exchange(name, content):
    return {"id": name, "session": "s", "seq": 0, "provider": "openai", "operation": "chat", "model": "gpt-4o-mini",
            "url_path": "/v1/chat/completions", "method": "POST", "status": 200, "streaming": False,
            "request": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": content}]},
            "response": {"id": name, "object": "chat.completion", "model": "gpt-4o-mini", "choices": [
                {"index": 0, "message": {"role": "assistant", "content": f"answer to {name}"},
                 "finish_reason": "stop"}], "usage": {"prompt_tokens": 11, "completion_tokens": 7}}}


class Oversize(end_to_end.EndToEndTest):
    def replay_one_before(self):
        """So that it is known that the receiver takes what these settings make."""
        path = self.pipeline.folder / "before.jsonl"
        path.write_text(json.dumps(exchange("before", "hello")) + "\n")
        self.pipeline.replay(path)
        self.pipeline.wait_until_settled()

    def replay_all(self):
        huge = "once upon a time " * (HUGE_BYTES // 17)
        path = self.pipeline.folder / "exchanges.jsonl"
        with path.open("w", encoding="utf-8") as out:
            for index in range(SMALL_RECORDS + 1):
                is_huge = index == SMALL_RECORDS // 2
                line = exchange("huge", huge) if is_huge else exchange(f"small-{index}", f"question {index} " * 20)
                out.write(json.dumps(line) + "\n")
        self.pipeline.replay(path, "--ids", self.ids, seconds=pipeline.WATCHDOG_S * 3)
        return huge

    def check(self, refusal, records_before=0):
        receiver = Receiver(refusal)
        self.addCleanup(receiver.close)
        self.pipeline.write_config([end_to_end.generic_json(receiver.address, compression="none")],
                                   writers={"ring_size": "64MiB", "record_size_max": "32MiB"})
        engine = self.pipeline.start_engine()
        if records_before:
            self.replay_one_before()
        huge = self.replay_all()
        self.pipeline.wait_until_settled(pipeline.WATCHDOG_S * 3)

        stats = self.assert_ledger_exact(records_before + SMALL_RECORDS + 1)
        self.assertEqual(stats["records"]["shed"], 0)
        self.assertEqual(stats["destinations"][0]["shrunk"], 1)
        self.assertEqual(len(receiver.spans), records_before + SMALL_RECORDS + 1)
        self.assertLessEqual(set(self.logged_ids()), set(receiver.spans))
        self.assertLessEqual(receiver.refused, SEARCH_REQUESTS_MAX)
        shortened = {name for name, span in receiver.spans.items() if "[shortened from " in json.dumps(span)}
        self.assertEqual(len(shortened), 1)
        self.check_huge(receiver.spans[shortened.pop()], huge)
        self.assertEqual(engine.stop()[0], 0)

    def check_huge(self, span, huge):
        marker = f"…[shortened from {len(huge):,} bytes]"
        self.assertIn(marker, json.dumps(span, ensure_ascii=False))
        self.assertEqual(span["gen_ai.usage.input_tokens"], "11")
        self.assertEqual(span["gen_ai.usage.output_tokens"], "7")
        self.assertIn("answer to huge", json.dumps(span))
        for value in span.values():
            if isinstance(value, str) and value[:1] in ("{", "["):
                json.loads(value)  # what is JSON stays JSON

    def test_receiver_that_answers_413(self):
        self.check(PLAIN_413)

    def test_receiver_that_answers_400_in_the_words_of_the_collector(self):
        self.check(COLLECTOR_400)

    def test_receiver_that_answers_resource_exhausted_as_grpc_does(self):
        self.check(GRPC_429)

    def test_receiver_that_answers_400_without_a_word_but_takes_smaller_requests(self):
        self.check(SILENT_400, records_before=1)

    def test_record_that_is_larger_than_the_memory_has_for_one_is_shortened_before_it_is_staged(self):
        sink = self.pipeline.start_sink("generic")
        self.pipeline.write_config([end_to_end.generic_json(sink.address)], memory_limit="48MiB", workers=1,
                                   writers={"ring_size": "64MiB", "record_size_max": "32MiB"})
        engine = self.pipeline.start_engine()
        self.replay_all()
        self.pipeline.wait_until_settled(pipeline.WATCHDOG_S * 3)
        stats = self.assert_ledger_exact(SMALL_RECORDS + 1)
        self.assertEqual(stats["records"]["oversized"], 0)
        self.assertEqual(stats["destinations"][0]["shrunk"], 1)
        self.assertEqual(engine.stop()[0], 0)
        self.assertEqual(sink.stop()[0], 0)
        self.assert_all_arrived(end_to_end.Received(sink.out), "generic")


if __name__ == "__main__":
    unittest.main()
