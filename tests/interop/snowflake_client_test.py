"""A client that was generated from Snowflake's published description of its SQL API (OpenAPI), beside ours: the same statement,
told to it, leaves it with the same address, the same members and the same credentials; and it asks for a statement that takes
its time by the request that we ask with. (Snowflake's own libraries speak a protocol of their own, which is not that API.)"""

import json
import unittest

import end_to_end
import native_peers
import peers

PYTHON = None  # of the client's environment, set by main()
HANDLE = "019c06a4-0000-df4f-0000-00100006589e"

CLIENT = r"""
import json, sys
import snowflake_sql_api_client as client
question = json.load(sys.stdin)
configuration = client.Configuration()
configuration.host = question["host"]
configuration.api_key["Authorization"] = "pat"
configuration.api_key_prefix["Authorization"] = "Bearer"
sent = dict(x_snowflake_authorization_token_type="PROGRAMMATIC_ACCESS_TOKEN", user_agent="a-client/1")
for each in question["statements"]:
    api = client.Apiv2statementsApi(client.ApiClient(configuration))
    api.api_v2_statements_post(body=each["body"], request_id=each["id"], **sent)
api = client.Apiv2statementsStatementHandleApi(client.ApiClient(configuration))
api.api_v2_statements_statement_handle_get(question["handle"], **sent)
"""


class SnowflakeClientTest(end_to_end.EndToEndTest):
    def answer(self, request):
        headers = {"content-type": "application/json"}
        if request["method"] == "POST" and not self.has_waited:
            self.has_waited = True
            return 202, headers, json.dumps({"code": "333334", "statementHandle": HANDLE})
        return 200, headers, json.dumps({"code": "090001", "statementHandle": HANDLE})

    def said(self, request):
        """What a request says, whoever sent it."""
        accepted = [each.strip() for each in request["headers"]["accept"].split(",")]
        self.assertIn("application/json", accepted)
        return {"method": request["method"], "path": request["path"], "query": request["query"],
                "body": json.loads(request["body"] or "null"),
                **{name: request["headers"].get(name)
                   for name in ("authorization", "x-snowflake-authorization-token-type", "content-type")}}

    def test_statements_are_those_of_the_generated_client(self):
        self.has_waited = False
        ours = native_peers.requests_of(self, self.answer, {
            "type": "snowflake", "account": "acme", "token": "pat", "database": "LLM", "role": "WRITER",
            "batch_records_max": 5})
        inserts = [self.said(request) for request in ours if request["method"] == "POST"]
        (poll,) = [self.said(request) for request in ours if request["method"] == "GET"]
        self.assertGreater(len(inserts), 1)
        self.assertEqual(len({insert["query"]["requestId"] for insert in inserts}), len(inserts))

        self.has_waited = True
        theirs = native_peers.peer(self, self.answer)
        native_peers.run_client(PYTHON, CLIENT, {"host": theirs.url, "handle": HANDLE, "statements": [
            {"body": insert["body"], "id": insert["query"]["requestId"]} for insert in inserts]})
        *their_inserts, their_poll = [self.said(request) for request in theirs.requests]
        for insert in inserts:
            # Of the documentation's part on resubmitting; the description that the client was made from lacks it.
            self.assertEqual(insert["query"].pop("retry"), "true")
        self.assertEqual(inserts, their_inserts)
        self.assertEqual({**poll, "content-type": None}, {**their_poll, "content-type": None})
        for insert in inserts:
            body = insert["body"]
            self.assertLessEqual(set(body), {"statement", "timeout", "database", "schema", "warehouse", "role", "bindings",
                                             "parameters"})
            self.assertEqual({**body, "statement": "", "bindings": ""},
                             {"statement": "", "bindings": "", "timeout": body["timeout"], "database": "LLM",
                              "schema": "PUBLIC", "warehouse": "COMPUTE_WH", "role": "WRITER"})
            self.assertEqual(body["bindings"]["1"]["type"], "TEXT")


if __name__ == "__main__":
    PYTHON = peers.python_or_skip("snowflake_client", "snowflake-sql-api-client==2.0.5", "setuptools==80.9.0")
    unittest.main()
