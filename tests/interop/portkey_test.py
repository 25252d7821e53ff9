"""Portkey's own library and ours, against one stub: each log of ours, given to their client, leaves it with the same members
at the same address with the same key; a whole batch of ours, given to their logger, is the body that we sent."""

import json
import unittest

import end_to_end
import native_peers
import peers

PYTHON = None  # of the library's environment, set by main()

CLIENT = r"""
import json, sys
from portkey_ai import Portkey
from portkey_ai.api_resources.apis.logger import Logger
question = json.load(sys.stdin)
base_url = question["host"] + "/v1"
client = Portkey(api_key="key", base_url=base_url)
for log in question["logs"]:
    client.logs.create(request=log["request"], response=log["response"], metadata=log["metadata"])
Logger(api_key="key", base_url=base_url).log(question["logs"])
"""
# What Portkey's documentation lists for each part.
REQUEST = {"url", "provider", "headers", "method", "body"}
RESPONSE = {"status", "headers", "body", "response_time", "streamingMode"}

# Of the sample: an answer that says so, and a stream that stops half-way.
FAILED = ("sample-error-000", "sample-broken-000")


class PortkeyTest(end_to_end.EndToEndTest):
    def answer(self, request):
        self.assertEqual((request["method"], request["path"]), ("POST", "/v1/logs"))
        self.assertEqual(request["headers"]["x-portkey-api-key"], "key")
        self.assertEqual(request["headers"]["content-type"], "application/json")
        return 200, {"content-type": "application/json"}, '{"status":"success"}'

    def logs(self):
        requests = native_peers.requests_of(self, self.answer, {"type": "portkey-logs", "api_key": "key"}, "--with-trace")
        return [log for request in requests for log in json.loads(request["body"])]

    def test_logs_are_those_that_portkeys_library_sends(self):
        logs = self.logs()
        self.assertEqual(sorted(log["metadata"]["gateway.generation_id"] for log in logs), sorted(self.logged_ids()))

        theirs = native_peers.peer(self, self.answer)
        native_peers.run_client(PYTHON, CLIENT, {"host": theirs.url, "logs": logs})
        *singles, batch = [json.loads(request["body"]) for request in theirs.requests]
        self.assertEqual(batch, logs)
        for log, their_log in zip(logs, singles, strict=True):
            with self.subTest(log["metadata"]["gateway.generation_id"]):
                self.assertEqual(their_log, log)

    def test_a_log_is_the_exchange_as_it_was_and_what_is_known_of_it(self):
        exchanges = {f"gen-{each['id']}-{index}": each
                     for index, each in enumerate(end_to_end.read_exchanges(end_to_end.SAMPLE))}
        for log in self.logs():
            metadata, request, response = log["metadata"], log["request"], log["response"]
            exchange = exchanges.pop(metadata["gateway.generation_id"])
            with self.subTest(exchange["id"]):
                self.assertEqual((set(request), set(response)), (REQUEST, RESPONSE))
                self.assertEqual(request["url"], exchange["url_path"])
                self.assertEqual(response["status"], exchange["status"])
                self.assertEqual(response["response_time"], exchange["duration_ms"])
                self.assertEqual(response["streamingMode"], exchange["streaming"])
                self.assertEqual((metadata["traceId"], metadata["session_id"]), (exchange["session"],) * 2)
                self.assertEqual(metadata["endTime"] - metadata["startTime"], exchange["duration_ms"] * 1_000_000)
                self.assertTrue(all(isinstance(value, (str, int, float, bool)) for value in metadata.values()), metadata)
                # Media stay away, and so do the vectors of an embedding; a stream is put together.
                if "left out" not in json.dumps(request["body"]):
                    self.assertEqual(request["body"], exchange["request"])
                if exchange["response"] and exchange["operation"] != "embeddings":
                    self.assertEqual(response["body"], exchange["response"])
                else:
                    self.assertTrue(response["body"].keys() & {"usage", "usageMetadata", "choices"})
                self.assertEqual("error_type" in metadata, exchange["id"] in FAILED, metadata.get("error_type"))
        self.assertEqual(exchanges, {})


if __name__ == "__main__":
    PYTHON = peers.python_or_skip("portkey", "portkey-ai==2.3.4", "requests==2.32.5")
    unittest.main()
