"""What the tests of buckets share: a server of S3's interface, boto3 beside it, and each object that the engine wrote compared
with the span that another encoder made of the same record."""

import datetime
import json
import subprocess

import end_to_end
import native_peers

RECORDS_MAX = 200
KEYS = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "an example/of+a=key"}


def ns_of(text):
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return int(moment.timestamp() * 1000) * 1_000_000


def value_of(text):
    """An attribute's text where the object has JSON."""
    return json.loads(text) if text else None


class BucketTest(end_to_end.EndToEndTest):
    """A subclass sets `url`, `python` (an interpreter with boto3) and `region`."""

    def aws(self, service, source):
        """Runs a few lines against the server with boto3; returns what they print."""
        program = ("import boto3, json\nclient = boto3.client(%r, endpoint_url=%r, region_name=%r, aws_access_key_id=%r, "
                   "aws_secret_access_key=%r)\n%s" % (service, self.url, self.region, *KEYS.values(), source))
        return subprocess.run([str(self.python), "-c", program], check=True, capture_output=True, text=True).stdout

    def objects(self, bucket="lake"):
        """Every object's bytes, by key, through S3's own interface."""
        listed = json.loads(self.aws("s3", f"""
held = {{}}
for page in client.get_paginator('list_objects_v2').paginate(Bucket='{bucket}'):
    for each in page.get('Contents', []):
        held[each['Key']] = client.get_object(Bucket='{bucket}', Key=each['Key'])['Body'].read().decode('latin-1')
print(json.dumps(held))"""))
        return {key: text.encode("latin-1") for key, text in listed.items()}

    def run_engine(self, destination):
        self.sink = self.pipeline.start_sink("sink")
        native_peers.replay(self, [destination, end_to_end.generic_json(self.sink.address)], self.exchanges,
                            "--limit", str(RECORDS_MAX), "--with-trace")

    def assert_all_are_there(self, lines):
        """Each written record once, and all of it: see compare()."""
        objects = [json.loads(line) for line in lines]
        found = {each["metadata"]["gateway"]["generation_id"]: each for each in objects}
        self.assertEqual(len(found), len(objects), "a record is there twice")
        self.assertEqual(set(found), set(self.logged_ids()))
        spans = end_to_end.Received(self.sink.out).spans
        for generation, held in found.items():
            with self.subTest(generation):
                self.compare(held, *spans[generation])

    def compare(self, held, span):
        attributes = span["attributes"]
        (call,) = held["observations"]
        self.assertEqual(call["type"], "GENERATION")
        for time in ((held["timestamp"], "startTimeUnixNano"), (call["startTime"], "startTimeUnixNano"),
                     (call["endTime"], "endTimeUnixNano")):
            self.assertEqual(ns_of(time[0]), span[time[1]] // 1_000_000 * 1_000_000, time[1])
        said = {"userId": held.get("userId"), "sessionId": held.get("sessionId"), "input": held.get("input"),
                "output": held.get("output")}
        self.assertEqual(said, {"userId": attributes.get("user.id"), "sessionId": attributes.get("session.id"),
                                "input": value_of(attributes.get("gen_ai.prompt")),
                                "output": value_of(attributes.get("gen_ai.completion"))})
        numbers = {"promptTokens": "input_tokens", "completionTokens": "output_tokens", "totalTokens": "total_tokens",
                   "cachedTokens": "input_tokens.cached", "reasoningTokens": "output_tokens.reasoning",
                   "inputCost": "input_cost", "outputCost": "output_cost", "totalCost": "total_cost"}
        self.assertEqual({name: call.get(name) for name in numbers},
                         {name: attributes.get(f"gen_ai.usage.{other}") for name, other in numbers.items()})
        model = attributes.get("gen_ai.response.model") or attributes.get("gen_ai.request.model")
        self.assertEqual(call.get("model"), model)
        self.assertEqual(call.get("finishReason"), attributes.get("gen_ai.response.finish_reason"))
        self.assertEqual((call["level"], call.get("errorType")), (attributes["span.level"], attributes.get("error.type")))
        facts = {name.removeprefix("trace.metadata."): value for name, value in attributes.items()
                 if name.startswith("trace.metadata.")}
        metadata = held["metadata"]
        self.assertEqual(held["id"], facts.pop("trace_id", metadata["gateway"]["generation_id"]))
        flat = {name: value for name, value in metadata.items() if name != "gateway"}
        flat.update({f"gateway.{name}": value for name, value in metadata["gateway"].items()})
        self.assertEqual({name: self.as_attribute(value) for name, value in flat.items()}, facts)

    def as_attribute(self, value):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False) if isinstance(value, (dict, list)) else value
