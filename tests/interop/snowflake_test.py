"""The statement that the engine sends to Snowflake's SQL API, run by fakesnow (Snowflake's SQL over
DuckDB) on the printed table: every record is a row, and the columns hold what the record holds."""

import json
import subprocess
import unittest

import end_to_end
import native_peers
import peers

RECORDS_MAX = 200
PYTHON = None  # of fakesnow's environment, set by main()

FAKESNOW = r"""
import json, sys
import fakesnow, snowflake.connector
with fakesnow.patch():
    connection = snowflake.connector.connect(database="LLM", schema="PUBLIC")
    cursor = connection.cursor(snowflake.connector.cursor.DictCursor)
    for line in sys.stdin:
        question = json.loads(line)
        try:
            text = question["sql"]
            if "bound" in question:
                text = text.replace("?", "%s", 1)
                cursor.execute(text, (question["bound"],))
            else:
                cursor.execute(text)
            answer = {"rows": json.loads(json.dumps(cursor.fetchall(), default=str))}
        except Exception as error:
            answer = {"error": str(error)[:2000]}
        print(json.dumps(answer), flush=True)
"""


class SnowflakeTest(end_to_end.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.database = native_peers.Worker(PYTHON, FAKESNOW)
        self.addCleanup(self.database.close)
        self.peer = native_peers.Peer(self.answer)
        self.addCleanup(self.peer.close)
        self.refusals = []

    def answer(self, request):
        statement = json.loads(request["body"])
        if request["headers"]["x-snowflake-authorization-token-type"] != "PROGRAMMATIC_ACCESS_TOKEN":
            return 401, {}, '{"code":"390303"}'
        answer = self.database.ask({"sql": statement["statement"], "bound": statement["bindings"]["1"]["value"]})
        if "error" in answer:
            self.refusals.append(answer["error"])
            return 422, {}, json.dumps({"code": "000001", "message": answer["error"]})
        return 200, {}, json.dumps({"code": "090001", "statementHandle": "01"})

    def test_every_record_is_a_row(self):
        ddl = subprocess.run([str(end_to_end.BINARIES / "sidecast"), "ddl", "snowflake", "database=LLM"], check=True,
                             capture_output=True, text=True).stdout
        self.assertNotIn("error", self.database.ask({"sql": ddl}))
        sink = self.pipeline.start_sink("sink")
        native_peers.replay(self, [
            {"name": "snowflake", "type": "snowflake", "endpoint": self.peer.url, "account": "acme", "token": "pat",
             "database": "LLM"}, end_to_end.generic_json(sink.address)],
            self.exchanges, "--limit", str(RECORDS_MAX), "--with-trace")
        self.assertEqual(self.refusals, [])

        answer = self.database.ask({"sql": "SELECT * FROM LLM.PUBLIC.SIDECAST_TRACES"})
        rows = {row["SPAN_ID"]: row for row in answer["rows"]}
        received = end_to_end.Received(sink.out)
        self.assertEqual(set(rows), set(self.logged_ids()))
        for generation, (span,) in received.spans.items():
            attributes, row = span["attributes"], rows[generation]
            with self.subTest(generation):
                self.assertEqual(row["PROMPT_TOKENS"], attributes.get("gen_ai.usage.input_tokens", 0))
                self.assertEqual(row["LEVEL"], attributes["span.level"])
                self.assertEqual(row["USER_ID"], attributes.get("user.id"))
                prompt = attributes.get("gen_ai.prompt")
                self.assertEqual(row["INPUT"] and json.loads(row["INPUT"]), prompt and json.loads(prompt))
                shown = json.loads(row["ATTRIBUTES"])
                self.assertEqual(shown["span.type"], attributes["span.type"])


if __name__ == "__main__":
    PYTHON = peers.python_or_skip("fakesnow", "fakesnow==0.12.1", "snowflake-connector-python==4.8.1")
    unittest.main()
