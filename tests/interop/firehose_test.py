"""moto, an emulation of AWS, takes what the engine puts into a Firehose stream and into a bucket, and
holds one object for each record. The signature is checked elsewhere, against AWS's own client."""

import gzip
import json
import socket
import subprocess
import sys
import unittest
import urllib.request

import end_to_end
import peers
import pipeline

RECORDS_MAX = 200
SKIPPED = 77
PYTHON = None  # of moto's environment, set by main()
KEYS = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "an example"}


class MotoTest(end_to_end.EndToEndTest):
    def setUp(self):
        super().setUp()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.moto = self.pipeline.start([PYTHON, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], "moto")
        pipeline.wait_until(self.is_up, "moto to start")

    def is_up(self):
        try:
            return urllib.request.urlopen(self.url + "/moto-api/data.json", timeout=5).status == 200
        except OSError:
            return False

    def aws(self, service, source):
        """Runs a few lines against moto with boto3, of the same environment; returns what they print."""
        program = ("import boto3, json\nclient = boto3.client('%s', endpoint_url='%s', region_name='us-east-1', "
                   "aws_access_key_id='a', aws_secret_access_key='b')\n%s" % (service, self.url, source))
        return subprocess.run([str(PYTHON), "-c", program], check=True, capture_output=True, text=True).stdout

    def objects(self, bucket):
        """Every object's text, by key, through S3's own interface."""
        listed = json.loads(self.aws("s3", f"""
held = {{}}
for page in client.get_paginator('list_objects_v2').paginate(Bucket='{bucket}'):
    for each in page.get('Contents', []):
        held[each['Key']] = client.get_object(Bucket='{bucket}', Key=each['Key'])['Body'].read().decode('latin-1')
print(json.dumps(held))"""))
        return {key: text.encode("latin-1") for key, text in listed.items()}

    def run_engine(self, destination):
        self.pipeline.write_config([destination])
        engine = self.pipeline.start_engine()
        self.pipeline.replay(self.exchanges, "--limit", str(RECORDS_MAX), "--ids", self.ids)
        self.pipeline.wait_until_settled()
        self.assert_ledger_exact(len(self.logged_ids()))
        self.assertEqual(engine.stop()[0], 0)

    def generation_ids(self, lines):
        return sorted(json.loads(line)["metadata"]["gateway"]["generation_id"] for line in lines)

    def test_a_stream_delivers_one_line_for_each_record(self):
        self.aws("s3", "client.create_bucket(Bucket='lake')")
        self.aws("firehose", """client.create_delivery_stream(DeliveryStreamName='traces', S3DestinationConfiguration={
            'RoleARN': 'arn:aws:iam::123456789012:role/r', 'BucketARN': 'arn:aws:s3:::lake'})""")
        self.run_engine({"name": "firehose", "type": "firehose", "endpoint": self.url, "stream": "traces", **KEYS})
        lines = [line for text in self.objects("lake").values() for line in text.splitlines()]
        self.assertEqual(self.generation_ids(lines), sorted(self.logged_ids()))

    def test_a_bucket_holds_one_object_for_each_record(self):
        self.aws("s3", "client.create_bucket(Bucket='lake')")
        self.run_engine({"name": "s3", "type": "s3", "endpoint": self.url, "bucket": "lake", **KEYS})
        self.assertEqual(self.generation_ids(self.objects("lake").values()), sorted(self.logged_ids()))

    def test_a_batch_is_one_object_of_lines(self):
        self.aws("s3", "client.create_bucket(Bucket='lake')")
        self.run_engine({"name": "s3", "type": "s3", "endpoint": self.url, "bucket": "lake", "objects": "batch", **KEYS})
        objects = self.objects("lake")
        self.assertTrue(all(key.endswith(".jsonl.gz") for key in objects))
        lines = [line for packed in objects.values() for line in gzip.decompress(packed).splitlines()]
        self.assertEqual(self.generation_ids(lines), sorted(self.logged_ids()))
        self.assertLess(len(objects), len(lines))


if __name__ == "__main__":
    try:
        PYTHON = peers.python("moto", "moto[server]==5.2.5")
    except peers.Unavailable as reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    unittest.main()
