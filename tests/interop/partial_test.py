"""Services that answer record by record and refuse some of them at random: every record ends in the right fate,
only those that failed are sent again, and the ledger says the same as the service."""

import base64
import json
import random
import subprocess
import unittest

import end_to_end
import native_peers

RECORDS = 1500
SEED = 20261121
AGAIN, REFUSED = "again", "refused"


class Table:
    """What a service keeps, and what it made of each record."""

    def __init__(self, refuses):
        self.random = random.Random(SEED)
        self.refuses = refuses
        self.stored, self.refused, self.sent, self.failed = {}, set(), 0, 0

    def take(self, record):
        """None when it is stored, else AGAIN or REFUSED."""
        self.sent += 1
        if record in self.stored or record in self.refused:
            self.stored[record] = self.stored.get(record, 0) + 1
            return None
        fate = self.random.random()
        if self.refuses and fate < 0.1:
            self.refused.add(record)
            return REFUSED
        if fate < 0.35:
            self.failed += 1
            return AGAIN
        self.stored[record] = 1
        return None


class PartialTest(end_to_end.EndToEndTest):
    def run_engine(self, destination, table):
        self.pipeline.write_config([destination], batch_age_max="100ms")
        engine = self.pipeline.start_engine()
        self.pipeline.replay(self.exchanges, "--limit", str(RECORDS), "--ids", self.ids)
        self.pipeline.wait_until_settled(240)
        stats = self.pipeline.stats("--check")["destinations"][0]
        self.assertEqual(engine.stop()[0], 0)
        written = set(self.logged_ids())
        self.assertEqual(set(table.stored) | table.refused, written)
        self.assertEqual(set(table.stored.values()), {1}, "what was stored, or refused for good, was sent again")
        self.assertEqual(table.sent, len(written) + table.failed, "only what failed is sent again")
        self.assertGreater(table.failed, RECORDS // 10, "else this shows nothing")
        self.assertEqual(stats["routed"], len(written))
        self.assertEqual(stats["delivered"], len(table.stored))
        self.assertEqual(sum(stats["rejected"].values()), len(table.refused))
        self.assertEqual(sum(stats["dropped"].values()) + stats["pending"], 0)
        print(f"{destination['type']}: {len(table.stored)} stored, {len(table.refused)} refused, "
              f"{table.failed} sent again", flush=True)

    def test_firehose_gets_again_only_the_records_that_failed(self):
        table = Table(refuses=False)  # it knows no other answer to a record than later

        def answer(request):
            responses = []
            for record in json.loads(request["body"])["Records"]:
                line = json.loads(base64.b64decode(record["Data"]))
                identity = line["metadata"]["gateway"]["generation_id"]
                failed = table.take(identity)
                responses.append({"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."} if failed
                                 else {"RecordId": identity})
            failed = sum("ErrorCode" in each for each in responses)
            return 200, {"content-type": "application/x-amz-json-1.1"}, json.dumps(
                {"FailedPutCount": failed, "Encrypted": False, "RequestResponses": responses})

        peer = native_peers.Peer(answer)
        self.addCleanup(peer.close)
        self.run_engine({"name": "stream", "type": "firehose", "stream": "llm", "region": "us-east-1", "endpoint": peer.url,
                         "access_key_id": "AKIDEXAMPLE", "secret_access_key": "an example"}, table)

    def test_bigquery_gets_again_the_rows_of_a_bad_moment_and_never_those_it_refused(self):
        table = Table(refuses=True)

        def answer(request):
            if request["path"] == "/token":
                return 200, {"content-type": "application/json"}, '{"access_token":"t","expires_in":3600}'
            errors = []
            for index, row in enumerate(json.loads(request["body"])["rows"]):
                fate = table.take(row["insertId"])
                if fate:
                    reason = "invalid" if fate == REFUSED else "backendError"
                    errors.append({"index": index, "errors": [{"reason": reason, "message": "no such field."}]})
            return 200, {"content-type": "application/json"}, json.dumps({"insertErrors": errors} if errors else {})

        peer = native_peers.Peer(answer)
        self.addCleanup(peer.close)
        private_key = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
                                     check=True, capture_output=True, text=True).stdout
        key_file = self.pipeline.folder / "key.json"
        key_file.write_text(json.dumps({
            "type": "service_account", "client_email": "me@acme.iam.gserviceaccount.com", "private_key_id": "k1",
            "private_key": private_key, "token_uri": f"{peer.url}/token"}))
        self.run_engine({"name": "rows", "type": "bigquery", "endpoint": peer.url, "project_id": "acme",
                         "service_account_key": f"${{file:{key_file}}}"}, table)


if __name__ == "__main__":
    unittest.main()
