"""Google's own client and ours, against one stub: the token is bought with the same assertion, and the
same row is inserted by requests that say the same, field by field."""

import base64
import json
import subprocess
import unittest

import end_to_end
import native_peers
import peers

PYTHON = None  # of the client's environment, set by main()
TABLE = "/bigquery/v2/projects/acme/datasets/sidecast/tables/sidecast_traces"

# Inserts the rows of stdin as Google's client does, with skip_invalid_rows and ignore_unknown_values.
CLIENT = r"""
import json, sys
from google.cloud import bigquery
from google.oauth2 import service_account
from google.api_core.client_options import ClientOptions
question = json.load(sys.stdin)
credentials = service_account.Credentials.from_service_account_info(
    question["key"], scopes=["https://www.googleapis.com/auth/bigquery"])
client = bigquery.Client(project="acme", credentials=credentials,
                         client_options=ClientOptions(api_endpoint=question["endpoint"]))
errors = client.insert_rows_json("acme.sidecast.sidecast_traces", [row["json"] for row in question["rows"]],
                                 row_ids=[row["insertId"] for row in question["rows"]],
                                 skip_invalid_rows=True, ignore_unknown_values=True)
print(json.dumps(errors))
"""


def claims_of(request):
    """Header and claims of the assertion that buys a token."""
    assertion = request["body"].decode().rsplit("assertion=", 1)[1]
    parts = assertion.split(".")
    return [json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in parts[:2]]


class BigQueryTest(end_to_end.EndToEndTest):
    def answer(self, request):
        if request["path"] == "/token":
            return 200, {"content-type": "application/json"}, '{"access_token":"t","expires_in":3600}'
        return 200, {"content-type": "application/json"}, '{"kind":"bigquery#tableDataInsertAllResponse"}'

    def test_requests_say_what_googles_client_says(self):
        key_file = self.pipeline.folder / "key.json"
        private_key = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
                                     check=True, capture_output=True, text=True).stdout
        ours, theirs = native_peers.peer(self, self.answer), native_peers.peer(self, self.answer)

        def key_for(peer):
            return {"type": "service_account", "client_email": "me@acme.iam.gserviceaccount.com", "private_key_id": "k1",
                    "private_key": private_key, "token_uri": f"{peer.url}/token"}

        key_file.write_text(json.dumps(key_for(ours), indent=2))
        native_peers.replay(self, [{"name": "bigquery", "type": "bigquery", "endpoint": ours.url, "project_id": "acme",
                                     "service_account_key": f"${{file:{key_file}}}"}], end_to_end.SAMPLE)

        token, *inserts = ours.requests
        bodies = [json.loads(request["body"]) for request in inserts]
        rows = [row for body in bodies for row in body["rows"]]
        self.assertEqual(sorted(row["insertId"] for row in rows), sorted(self.logged_ids()))
        native_peers.run_client(PYTHON, CLIENT, {"key": key_for(theirs), "endpoint": theirs.url, "rows": rows})
        their_token, *their_inserts = theirs.requests
        self.assertEqual(len(their_inserts), 1)
        their_body = json.loads(their_inserts[0]["body"])

        self.assertEqual({**bodies[0], "rows": rows}, their_body)
        for request in inserts + their_inserts:
            self.assertEqual((request["method"], request["path"]), ("POST", f"{TABLE}/insertAll"))
            self.assertEqual(request["headers"]["authorization"], "Bearer t")
            self.assertEqual(request["headers"]["content-type"], "application/json")
        header, claims = claims_of(token)
        their_header, their_claims = claims_of(their_token)
        self.assertEqual(header, their_header)
        for name in ("iss", "scope"):
            self.assertEqual(claims[name], their_claims[name])
        self.assertEqual(claims["exp"] - claims["iat"], their_claims["exp"] - their_claims["iat"])
        self.assertEqual(claims["aud"], f"{ours.url}/token")
        for row in rows:
            self.assertEqual(set(row["json"]) & {"trace_id", "timestamp", "attributes"}, {"trace_id", "timestamp", "attributes"})
            for name in ("attributes", "metadata", "resource_attributes"):
                json.loads(row["json"][name])


if __name__ == "__main__":
    PYTHON = peers.python_or_skip("bigquery", "google-cloud-bigquery==3.47.0")
    unittest.main()
