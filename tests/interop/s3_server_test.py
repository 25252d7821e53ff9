"""Versity's S3 gateway over a folder checks what AWS checks of a request: its signature, the digest of its body, its clock.
What the engine puts there is read back with boto3 and compared; wrong keys are refused and said."""

import gzip
import json
import os
import socket
import subprocess
import sys
import unittest

import collector
import end_to_end
import go_peers
import peers
import pipeline

VERSION = "v1.8.0"
RECORDS_MAX = 200
SKIPPED = 77
SERVER = PYTHON = None  # set by main()
KEYS = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "an example/of+a=key"}


class S3ServerTest(end_to_end.EndToEndTest):
    def setUp(self):
        super().setUp()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        folder = self.pipeline.folder / "buckets"
        folder.mkdir()
        command = [SERVER, "--port", f"127.0.0.1:{self.port}", "--access", KEYS["access_key_id"],
                   "--secret", KEYS["secret_access_key"], "--region", "eu-west-1", "--quiet", "posix", "--nometa", folder]
        self.pipeline.start(command, "versitygw", dict(os.environ))
        pipeline.wait_until(self.is_up, "the server to start")
        self.aws("client.create_bucket(Bucket='lake', CreateBucketConfiguration={'LocationConstraint': 'eu-west-1'})")

    def is_up(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
            return True
        except OSError:
            return False

    def aws(self, source):
        program = ("import boto3, json\nclient = boto3.client('s3', endpoint_url=%r, region_name='eu-west-1', "
                   "aws_access_key_id=%r, aws_secret_access_key=%r)\n%s" % (self.url, *KEYS.values(), source))
        return subprocess.run([str(PYTHON), "-c", program], check=True, capture_output=True, text=True).stdout

    def objects(self):
        listed = json.loads(self.aws("""
held = {}
for page in client.get_paginator('list_objects_v2').paginate(Bucket='lake'):
    for each in page.get('Contents', []):
        held[each['Key']] = client.get_object(Bucket='lake', Key=each['Key'])['Body'].read().decode('latin-1')
print(json.dumps(held))"""))
        return {key: text.encode("latin-1") for key, text in listed.items()}

    def destination(self, **more):
        return {"name": "s3", "type": "s3", "endpoint": self.url, "bucket": "lake", "region": "eu-west-1", **KEYS, **more}

    def run_engine(self, **more):
        self.pipeline.write_config([self.destination(**more)])
        engine = self.pipeline.start_engine()
        self.pipeline.replay(self.exchanges, "--limit", str(RECORDS_MAX), "--ids", self.ids)
        self.pipeline.wait_until_settled()
        self.assert_ledger_exact(len(self.logged_ids()))
        self.assertEqual(engine.stop()[0], 0)

    def assert_all_are_there(self, lines):
        found = sorted(json.loads(line)["metadata"]["gateway"]["generation_id"] for line in lines)
        self.assertEqual(found, sorted(self.logged_ids()))

    def test_one_object_for_each_record(self):
        self.run_engine()
        self.assert_all_are_there(self.objects().values())

    def test_keys_that_a_signature_escapes(self):
        self.run_engine(prefix="a=b/c_d.e-1")
        objects = self.objects()
        self.assertTrue(all(key.startswith("a=b/c_d.e-1/") for key in objects), list(objects)[:1])
        self.assert_all_are_there(objects.values())

    def test_a_batch_is_one_object_of_lines(self):
        self.run_engine(objects="batch")
        self.assert_all_are_there(line for packed in self.objects().values()
                                  for line in gzip.decompress(packed).splitlines())

    def test_the_connection_test_finds_a_wrong_key(self):
        # To a key id that it does not know it says no more than 404.
        for more, code, words in (({}, 0, "ok"), ({"secret_access_key": "another"}, 1, "SignatureDoesNotMatch"),
                                  ({"access_key_id": "AKIDOTHER"}, 1, "HTTP 404"),
                                  ({"bucket": "other"}, 1, "NoSuchBucket")):
            with self.subTest(words):
                self.pipeline.write_config([self.destination(**more)])
                done = subprocess.run([str(end_to_end.BINARIES / "sidecast"), "test", "s3", "--config",
                                       str(self.pipeline.config)], capture_output=True, text=True, check=False)
                self.assertEqual(done.returncode, code, done.stdout + done.stderr)
                self.assertIn(words, done.stdout)


if __name__ == "__main__":
    try:
        SERVER = go_peers.build("versitygw", "github.com/versity/versitygw", VERSION, "./cmd/versitygw")
        PYTHON = peers.python("moto", "moto[server]==5.2.5")
    except (collector.Unavailable, peers.Unavailable) as reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    unittest.main()
