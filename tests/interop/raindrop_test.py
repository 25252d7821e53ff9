"""What Raindrop's own library takes for an event, beside ours: each event of ours passes the models of its client, which
take no member that they do not know, and comes out of them with the same members. (Its HTTP part needs an SDK of tracing
that does not install in reasonable time; what it sends is a list of what these models give.)"""

import json
import unittest

import end_to_end
import native_peers
import peers

PYTHON = None  # of the library's environment, set by main()

# As raindrop.analytics.track_ai() uses them.
MODELS = r"""
import json, sys
from raindrop.models import TrackAIEvent
made = []
for event in json.load(sys.stdin):
    data = event.pop("ai_data")
    payload = TrackAIEvent(ai_data={name: data.pop(name, None) for name in ("model", "input", "output", "convo_id")} | data,
                           **event)
    made.append(payload.model_dump(mode="json") | {"ai_data": payload.ai_data.model_dump(mode="json", exclude_none=True)})
print(json.dumps(made))
"""


class RaindropTest(end_to_end.EndToEndTest):
    def answer(self, request):
        self.assertEqual(request["path"], "/v1/events/track")
        self.assertEqual(request["headers"]["authorization"], "Bearer key")
        return 200, {"content-type": "application/json"}, "{}"

    def test_events_pass_the_models_of_raindrops_library(self):
        requests = native_peers.requests_of(self, self.answer, {"type": "raindrop", "write_key": "key"}, "--with-trace")
        events = [event for request in requests for event in json.loads(request["body"])]
        self.assertEqual(sorted(event["event_id"] for event in events), sorted(self.logged_ids()))

        # They take none without any text, such as that of a request that failed.
        with_text = [event for event in events if {"input", "output"} & set(event["ai_data"])]
        self.assertGreater(len(with_text), len(events) // 2)
        made = json.loads(native_peers.run_client(PYTHON, MODELS, with_text))
        for event, theirs in zip(with_text, made, strict=True):
            with self.subTest(event["event_id"]):
                self.assertIsNone(theirs.pop("attachments"))
                self.assertEqual(theirs["timestamp"][:19], event["timestamp"][:19])
                self.assertEqual({**theirs, "timestamp": event["timestamp"]}, event)


if __name__ == "__main__":
    PYTHON = peers.python_or_skip("raindrop", "--no-deps", "raindrop-ai==0.0.75", "pydantic==2.12.4",
                                  "pydantic-core==2.41.5", "typing-extensions==4.15.0", "annotated-types==0.7.0",
                                  "typing-inspection==0.4.2")
    unittest.main()
