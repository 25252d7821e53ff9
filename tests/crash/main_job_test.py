"""All recorded exchanges, as fast as the ring takes them, to two destinations of two dialects."""

import json
import unittest

import end_to_end
import pipeline


def texts_of(value):
    """Every text inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for element in value:
            yield from texts_of(element)
    elif isinstance(value, dict):
        for element in value.values():
            yield from texts_of(element)


def said_in(messages):
    """What people, models and tools said in chat completion messages: text and tool calls, no media."""
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            yield content
        for part in content if isinstance(content, list) else []:
            if part.get("type") == "text":
                yield part["text"]
        for call in message.get("tool_calls") or []:
            yield call["function"]["name"]
            yield call["function"]["arguments"]


def is_plain_chat(exchange):
    """An OpenAI chat completion that was answered in one piece: its texts stand in the recording as they are."""
    return (exchange["provider"] == "openai" and exchange["operation"] == "chat" and exchange["status"] == 200
            and not exchange["streaming"] and isinstance((exchange["response"] or {}).get("choices"), list))


def texts_recorded(exchange):
    yield from said_in(exchange["request"]["messages"])
    yield from said_in(choice["message"] for choice in exchange["response"]["choices"])


def texts_sent(span):
    """Every text in a span: attribute values, and texts inside those that are JSON."""
    for value in texts_of(span["attributes"]):
        yield value
        if value[:1] in ("{", "["):
            try:
                yield from texts_of(json.loads(value))
            except json.JSONDecodeError:
                pass


class MainJob(end_to_end.EndToEndTest):
    def test_every_written_record_arrives_at_both_destinations_unaltered(self):
        generic = self.pipeline.start_sink("generic")
        openinference = self.pipeline.start_sink("openinference")
        self.pipeline.write_config([end_to_end.generic_json(generic.address),
                                    end_to_end.openinference_protobuf(openinference.address)])
        engine = self.pipeline.start_engine()
        replayed = json.loads(self.pipeline.replay(self.exchanges, "--ids", self.ids, "--threads", "2", "--json",
                                                   seconds=pipeline.WATCHDOG_S * 3))
        self.assertEqual(replayed["shed"], 0)
        self.pipeline.wait_until_settled()

        recordings = end_to_end.read_exchanges(self.exchanges)
        self.assertEqual(len(self.logged_ids()), len(recordings))
        stats = self.assert_ledger_exact(len(recordings))
        self.assertEqual(stats["records"]["shed"], 0)
        self.assertEqual(engine.stop()[0], 0)

        for sink in (generic, openinference):
            code, summary = sink.stop()
            self.assertEqual(code, 0)
            self.assertEqual(json.loads(summary)["refused"], 0, "every request decodes")
            received = end_to_end.Received(sink.out)
            self.assert_all_arrived(received, sink.out.stem)
            self.assertEqual(received.repeats, 0, "nothing failed, so nothing is sent twice")
            self.check_texts(recordings, received)

    def check_texts(self, recordings, received):
        by_recording = {}
        for generation, spans in received.spans.items():
            by_recording[generation.split("-", 1)[1].rsplit("-", 1)[0]] = spans[0]
        checked = 0
        for exchange in filter(is_plain_chat, recordings):
            sent = set(texts_sent(by_recording[exchange["id"]]))
            for text in texts_recorded(exchange):
                checked += 1
                self.assertTrue(not text or text in sent, f"{exchange['id']}: not found in the span: {text[:200]!r}")
        self.assertGreater(checked, 0)


if __name__ == "__main__":
    unittest.main()
