"""Versity's S3 gateway over a folder checks what AWS checks of a request: its signature, the digest of its body, its clock.
What the engine puts there is read back with boto3 and compared; wrong keys are refused and said."""

import gzip
import os
import socket
import subprocess
import sys
import unittest

import buckets
import collector
import end_to_end
import go_peers
import native_peers
import peers
import pipeline

VERSION = "v1.8.0"
SKIPPED = 77
SERVER = None  # set by main()
KEYS = buckets.KEYS


class S3ServerTest(buckets.BucketTest):
    region = "eu-west-1"

    def setUp(self):
        super().setUp()
        self.port = native_peers.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        folder = self.pipeline.folder / "buckets"
        folder.mkdir()
        command = [SERVER, "--port", f"127.0.0.1:{self.port}", "--access", KEYS["access_key_id"],
                   "--secret", KEYS["secret_access_key"], "--region", self.region, "--quiet", "posix", "--nometa", folder]
        self.pipeline.start(command, "versitygw", dict(os.environ))
        pipeline.wait_until(self.is_up, "the server to start")
        self.aws("s3", "client.create_bucket(Bucket='lake', CreateBucketConfiguration={'LocationConstraint': 'eu-west-1'})")

    def is_up(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
            return True
        except OSError:
            return False

    def destination(self, **more):
        return {"name": "s3", "type": "s3", "endpoint": self.url, "bucket": "lake", "region": self.region, **KEYS, **more}

    def test_one_object_for_each_record(self):
        self.run_engine(self.destination())
        self.assert_all_are_there(self.objects().values())

    def test_keys_that_a_signature_escapes(self):
        self.run_engine(self.destination(prefix="a=b/c_d.e-1"))
        objects = self.objects()
        self.assertTrue(all(key.startswith("a=b/c_d.e-1/") for key in objects), list(objects)[:1])
        self.assert_all_are_there(objects.values())

    def test_a_batch_is_one_object_of_lines(self):
        self.run_engine(self.destination(objects="batch"))
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
        S3ServerTest.python = peers.python("moto", "moto[server]==5.2.5")
    except (collector.Unavailable, peers.Unavailable) as reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    unittest.main()
