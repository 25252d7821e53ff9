"""moto, an emulation of AWS, takes what the engine puts into a Firehose stream and into a bucket, and
holds one object for each record, with all of it. The signature is checked elsewhere, against AWS's own client."""

import gzip
import unittest
import urllib.request

import buckets
import native_peers
import peers
import pipeline



class MotoTest(buckets.BucketTest):
    region = "us-east-1"

    def setUp(self):
        super().setUp()
        port = native_peers.free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.pipeline.start([self.python, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], "moto")
        pipeline.wait_until(self.is_up, "moto to start")

    def is_up(self):
        try:
            return urllib.request.urlopen(self.url + "/moto-api/data.json", timeout=5).status == 200
        except OSError:
            return False

    def test_a_stream_delivers_one_line_for_each_record(self):
        self.aws("s3", "client.create_bucket(Bucket='lake')")
        self.aws("firehose", """client.create_delivery_stream(DeliveryStreamName='traces', S3DestinationConfiguration={
            'RoleARN': 'arn:aws:iam::123456789012:role/r', 'BucketARN': 'arn:aws:s3:::lake'})""")
        self.run_engine({"name": "firehose", "type": "firehose", "endpoint": self.url, "stream": "traces", **buckets.KEYS})
        lines = [line for text in self.objects().values() for line in text.splitlines()]
        self.assert_all_are_there(lines)

    def test_a_bucket_holds_one_object_for_each_record(self):
        self.aws("s3", "client.create_bucket(Bucket='lake')")
        self.run_engine({"name": "s3", "type": "s3", "endpoint": self.url, "bucket": "lake", **buckets.KEYS})
        self.assert_all_are_there(self.objects().values())

    def test_a_batch_is_one_object_of_lines(self):
        self.aws("s3", "client.create_bucket(Bucket='lake')")
        self.run_engine({"name": "s3", "type": "s3", "endpoint": self.url, "bucket": "lake", "objects": "batch", **buckets.KEYS})
        objects = self.objects()
        self.assertTrue(all(key.endswith(".jsonl.gz") for key in objects))
        lines = [line for packed in objects.values() for line in gzip.decompress(packed).splitlines()]
        self.assert_all_are_there(lines)
        self.assertLess(len(objects), len(lines))


if __name__ == "__main__":
    MotoTest.python = peers.python_or_skip("moto", "moto[server]==5.2.5")
    unittest.main()
