"""PostHog's own library and ours, against one stub that checks what PostHog's capture service checks:
each event of ours, given to their client, leaves it with the same members."""

import json
import unittest
import uuid

import end_to_end
import native_peers
import peers

PYTHON = None  # of the library's environment, set by main()

CLIENT = r"""
import datetime, json, sys
from posthog import Posthog
question = json.load(sys.stdin)
client = Posthog(question["key"], host=question["host"], sync_mode=False, gzip=True, disable_geoip=False)
for event in question["events"]:
    client.capture(event["event"], distinct_id=event["distinct_id"], properties=event["properties"],
                   timestamp=datetime.datetime.fromisoformat(event["timestamp"].replace("Z", "+00:00")),
                   uuid=event["uuid"])
client.shutdown()
"""
# What their client says about itself and the machine it runs on.
OF_THE_CLIENT = ("$lib", "$lib_version", "$python_runtime", "$python_version", "$os", "$os_version", "$geoip_disable",
                 "$is_server", "$session_id", "$os_distro")


class PostHogTest(end_to_end.EndToEndTest):
    def answer(self, request):
        body = json.loads(request["body"])
        self.assertEqual(request["path"], "/batch/")
        self.assertEqual(body["api_key"], "phc_key")
        for event in body["batch"]:
            uuid.UUID(event["uuid"])
            self.assertTrue(event["event"] and event["distinct_id"])
        return 200, {"content-type": "application/json"}, '{"status":"Ok"}'

    def events(self, requests):
        batches = [json.loads(request["body"])["batch"] for request in requests]
        return {event["uuid"]: event for batch in batches for event in batch}

    def test_events_are_those_that_posthogs_library_sends(self):
        ours = native_peers.requests_of(self, self.answer, {"type": "posthog", "api_key": "phc_key"}, "--with-trace")
        events = self.events(ours)
        self.assertEqual(len(events), len(self.logged_ids()))
        self.assertTrue(all(request["headers"]["content-encoding"] == "gzip" for request in ours))

        theirs = native_peers.peer(self, self.answer)
        native_peers.run_client(PYTHON, CLIENT,
                                {"key": "phc_key", "host": theirs.url, "events": list(events.values())})
        their_events = self.events(theirs.requests)
        self.assertEqual(set(their_events), set(events))
        for name, event in events.items():
            with self.subTest(event["event"], uuid=name):
                their_event = their_events[name]
                for member in ("event", "distinct_id"):
                    self.assertEqual(event[member], their_event[member])
                self.assertEqual(event["timestamp"][:19], their_event["timestamp"][:19])
                properties = {key: value for key, value in their_event["properties"].items()
                              if key not in OF_THE_CLIENT}
                self.assertEqual(event["properties"], properties)


if __name__ == "__main__":
    PYTHON = peers.python_or_skip("posthog", "posthog==7.91.1")
    unittest.main()
