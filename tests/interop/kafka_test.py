"""A real Kafka broker with a real Collector's Kafka receiver behind it: the Collector holds the spans that an
OTLP receiver holds, credentials are what the broker asks for, and a broker that is stopped and started under
load loses nothing."""

import collections
import json
import os
import subprocess
import sys
import unittest

import collector
import collector_test
import end_to_end
import kafka_broker
import pipeline

RECORDS = 600
LOAD_RECORDS = 3000
SKIPPED = 77
ENCODINGS = ("otlp_proto", "otlp_json")

BINARY = None  # the Collector's, set by main()
JARS = None  # the broker's


class KafkaCollector(collector.Collector):
    """Every topic of `topics` (name: encoding) into one file."""

    def __init__(self, run, binary, brokers, topics, **more):
        self._brokers, self._topics = brokers, topics
        super().__init__(run, binary, **more)

    def _config(self, ports, key):
        config = super()._config(ports, key)
        receivers = {f"kafka/{topic}": {"brokers": [self._brokers], "group_id": topic, "initial_offset": "earliest",
                                        "traces": {"topics": [topic], "encoding": encoding}}
                     for topic, encoding in self._topics.items()}
        config["receivers"].update(receivers)
        config["service"]["pipelines"]["traces"]["receivers"] = list(receivers)
        return config


def destination(name, broker, **more):
    return {"name": name, "type": "kafka", "brokers": broker.plain, "topic": name, "service_name": name, **more}


def sasl(broker, mechanism, password=None):
    user, right = kafka_broker.USERS[mechanism]
    return {"brokers": broker.sasl_tls, "tls": "true", "ca_file": str(broker.certificate), "sasl_mechanism": mechanism,
            "sasl_username": user, "sasl_password": password or right}


class KafkaTest(end_to_end.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.broker = kafka_broker.Broker(self.pipeline, JARS)

    def read_back(self, topics, wanted):
        """The Collector's spans, once it holds at least so many of each service."""
        receiver = KafkaCollector(self.pipeline, BINARY, self.broker.plain, topics)

        def is_there():
            counts = collections.Counter(span["resource"]["service.name"] for span in collector.read_spans(receiver.out))
            return all(counts[topic] >= wanted for topic in topics)

        pipeline.wait_until(is_there, "the Collector to have read the topics", 120)
        receiver.stop()
        return list(collector.read_spans(receiver.out))

    def test_the_collector_holds_what_a_receiver_of_otlp_holds(self):
        sink = self.pipeline.start_sink("sink")
        codecs = {"otlp_proto": "zstd", "otlp_json": "lz4"}
        self.pipeline.write_config(
            [destination(name, self.broker, encoding=name, compression=codecs[name]) for name in ENCODINGS] +
            [{"name": "sink", "type": "otlp", "endpoint": f"http://{sink.address}", "dialect": "generic",
              "encoding": "otlp_protobuf", "service_name": "sink"}])
        engine = self.pipeline.start_engine()
        self.pipeline.replay(self.exchanges, "--limit", str(RECORDS), "--with-trace", "--ids", self.ids)
        self.pipeline.wait_until_settled()
        self.assert_ledger_exact(len(self.logged_ids()))
        self.assertEqual(engine.stop()[0], 0)
        sink.stop()
        spans = {}
        for span in map(collector.as_held, pipeline.read_spans(sink.out)):
            spans.setdefault(span["resource"].pop("service.name"), []).append(collector_test.canonical(span))
        for span in self.read_back({name: name for name in ENCODINGS}, len(spans["sink"])):
            spans.setdefault(span["resource"].pop("service.name"), []).append(collector_test.canonical(span))
        for name in ENCODINGS:
            with self.subTest(name):
                self.assertEqual(len(spans[name]), len(spans["sink"]))  # and nothing twice
                missing = sorted(set(spans["sink"]) - set(spans[name]))
                self.assertFalse(missing, f"{len(missing)} missing:\n{missing[:1]}\n{sorted(spans[name])[:1]}")

    def test_credentials_are_asked_for_and_a_wrong_one_pauses(self):
        self.pipeline.write_config([
            destination("plain", self.broker, **sasl(self.broker, "PLAIN")),
            destination("wrong", self.broker, **sasl(self.broker, "PLAIN", "not-the-password")),
            destination("stranger", self.broker, **{**sasl(self.broker, "PLAIN"), "ca_file": ""}),
        ])
        for name, is_right in {"plain": True, "wrong": False, "stranger": False}.items():
            command = [str(end_to_end.BINARIES / "sidecast"), "test", name, "--config", str(self.pipeline.config)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
            print(done.stdout.strip(), flush=True)
            self.assertEqual(done.returncode, 0 if is_right else 1, done.stdout + done.stderr)
            self.assertNotIn("not-the-password", done.stdout + done.stderr)
        engine = self.pipeline.start_engine()
        self.pipeline.replay(self.exchanges, "--limit", "100", "--ids", self.ids)
        written = len(self.logged_ids())

        def by_name():
            return {each["name"]: each for each in self.pipeline.stats()["destinations"]}

        pipeline.wait_until(lambda: by_name()["plain"]["delivered"] == written and
                            by_name()["wrong"]["state"] == "paused", "delivery and a pause", 120)
        self.assertIn("check sasl_", by_name()["wrong"]["last_error"])
        self.assertEqual(by_name()["wrong"]["pending"], written)
        self.assertEqual(by_name()["stranger"]["delivered"], 0)
        engine.stop()
        log = engine.log.read_text()
        self.assertNotIn("not-the-password", log)
        self.assertNotIn(kafka_broker.USERS["PLAIN"][1], log)

    def test_broker_that_is_stopped_and_started_under_load_loses_nothing(self):
        self.pipeline.write_config([destination("stream", self.broker, timeout="5s")], batch_age_max="100ms")
        engine = self.pipeline.start_engine()
        replay = self.pipeline.start_replay(self.exchanges, "--limit", str(LOAD_RECORDS), "--rate", "150",
                                            "--ids", self.ids)
        for _ in range(2):
            before = self.pipeline.stats()["destinations"][0]["delivered"]
            pipeline.wait_until(lambda: self.pipeline.stats()["destinations"][0]["delivered"] > before + 200,
                                "records to be delivered", 120)
            self.broker.stop()
            self.broker.start()
        self.assertEqual(replay.wait(300)[0], 0)
        self.pipeline.wait_until_settled(300)
        written = len(self.logged_ids())
        stats = self.assert_ledger_exact(written)
        self.assertEqual(engine.stop()[0], 0)
        counts = collections.Counter(map(end_to_end.generation_id, self.read_back({"stream": "otlp_proto"}, written)))
        self.assertFalse(set(self.logged_ids()) - set(counts), "records that the ledger calls delivered")
        again = sum(counts.values()) - len(counts)
        print(f"{written} records, {stats['destinations'][0]['retries']} requests sent again, "
              f"{again} records twice in the topic", flush=True)

    def test_topic_of_small_messages_gets_all_and_the_large_ones_shortened(self):
        small = kafka_broker.Broker(self.pipeline, JARS, "small", **{"message.max.bytes": 200_000})
        self.broker = small
        sink = self.pipeline.folder / "exchanges.jsonl"
        with sink.open("w", encoding="utf-8") as out:
            for index in range(200):
                # As random digits: they do not compress below the limit.
                words = os.urandom(300_000).hex() if index in (50, 120) else f"question {index}"
                out.write(json.dumps(exchange(f"gen-{index}", words)) + "\n")
        self.pipeline.write_config([destination("small", self.broker, compression="none")])
        engine = self.pipeline.start_engine()
        self.pipeline.replay(sink, "--ids", self.ids)
        self.pipeline.wait_until_settled(120)
        stats = self.assert_ledger_exact(200)
        self.assertEqual(stats["destinations"][0]["shrunk"], 2)
        self.assertEqual(engine.stop()[0], 0)
        spans = self.read_back({"small": "otlp_proto"}, 200)
        self.assertEqual(len(spans), 200)  # nothing twice
        marked = [span for span in spans if "[shortened from " in json.dumps(span)]
        self.assertEqual(len(marked), 2)


def exchange(name, content):
    return {"id": name, "session": "s", "seq": 0, "provider": "openai", "operation": "chat", "model": "gpt-4o-mini",
            "url_path": "/v1/chat/completions", "method": "POST", "status": 200, "streaming": False,
            "request": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": content}]},
            "response": {"id": name, "object": "chat.completion", "model": "gpt-4o-mini", "choices": [
                {"index": 0, "message": {"role": "assistant", "content": f"answer to {name}"},
                 "finish_reason": "stop"}], "usage": {"prompt_tokens": 11, "completion_tokens": 7}}}


if __name__ == "__main__":
    try:
        BINARY = collector.build()
        JARS = kafka_broker.fetch()
    except (collector.Unavailable, kafka_broker.Unavailable) as reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    unittest.main()
