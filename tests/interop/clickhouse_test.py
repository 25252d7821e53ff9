"""What the engine inserts, as ClickHouse itself reads it: chdb (the engine of today's server) behind a
small HTTP front runs the printed DDL and every insert; queries of the kind that OpenRouter's page
shows are answered from the table, and each column is compared with the recorded exchange."""

import json
import subprocess
import unittest

import end_to_end
import native_peers
import peers
import pipeline

RECORDS_MAX = 300
PYTHON = None  # of chdb's environment, set by main()

# One question a line: a statement, with the rows of an insert in a file beside it.
CHDB = r"""
import json, sys, tempfile
from chdb import session
database = session.Session()
for line in sys.stdin:
    question = json.loads(line)
    try:
        text = question["sql"]
        if question.get("rows") is not None:
            text += " SETTINGS " + question["settings"] if question.get("settings") else ""
            text += " FORMAT JSONEachRow\n" + question["rows"]
        result = database.query(text, question.get("format", "JSONEachRow"))
        answer = {"text": str(result)}
    except Exception as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
"""


class ClickHouseTest(end_to_end.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.database = native_peers.Worker(PYTHON, CHDB)
        self.addCleanup(self.database.close)
        self.peer = native_peers.Peer(self.answer)
        self.addCleanup(self.peer.close)

    def answer(self, request):
        if "query" not in request["query"]:  # a statement
            return self.of_database(self.database.ask({"sql": request["body"].decode()}))
        query = request["query"].pop("query")
        insert, _, form = query.rpartition(" FORMAT ")
        self.assertEqual(form, "JSONEachRow")
        settings = {name: value for name, value in request["query"].items() if name != "database"}
        # One process has no queue for async inserts; what they change is not what is looked at here.
        kept = {name: value for name, value in settings.items() if "async" not in name}
        if not request["body"]:
            return 200, {}, ""  # the connection test: no rows
        written = ", ".join(f"{name}='{value}'" for name, value in kept.items())
        answer = self.database.ask({"sql": insert, "settings": written, "rows": request["body"].decode()})
        return self.of_database(answer)

    def of_database(self, answer):
        if "error" not in answer:
            return 200, {}, ""
        code = answer["error"].split("Code: ", 1)[-1].split(".", 1)[0]
        return 500, {"X-ClickHouse-Exception-Code": code}, answer["error"]

    def rows(self, sql):
        answer = self.database.ask({"sql": sql})
        self.assertNotIn("error", answer, sql)
        return [json.loads(line) for line in answer["text"].splitlines()]

    def make_table(self):
        ddl = subprocess.run([str(end_to_end.BINARIES / "sidecast"), "ddl", "clickhouse"], check=True,
                             capture_output=True, text=True).stdout
        self.assertNotIn("error", self.database.ask({"sql": ddl}), ddl)

    def test_every_record_is_a_row_that_the_queries_find(self):
        self.make_table()
        sink = self.pipeline.start_sink("sink")
        native_peers.replay(self, [
            {"name": "clickhouse", "type": "clickhouse", "endpoint": self.peer.url},
            end_to_end.generic_json(sink.address)], self.exchanges, "--limit", str(RECORDS_MAX), "--with-trace")

        rows = {row["SPAN_ID"]: row for row in self.rows("SELECT * FROM SIDECAST_TRACES")}
        received = end_to_end.Received(sink.out)
        self.assertEqual(set(rows), set(self.logged_ids()))
        for generation, (span,) in received.spans.items():
            self.compare(rows[generation], span)
        self.ask_what_the_page_asks(rows)

    def compare(self, row, span):
        """The row beside the span that another encoder made of the same record."""
        attributes = span["attributes"]
        with self.subTest(row["SPAN_ID"]):
            self.assertEqual(len(row), 39)
            self.assertEqual(row["PROMPT_TOKENS"], attributes.get("gen_ai.usage.input_tokens", 0))
            self.assertEqual(row["COMPLETION_TOKENS"], attributes.get("gen_ai.usage.output_tokens", 0))
            self.assertEqual(row["TOTAL_COST"], attributes.get("gen_ai.usage.total_cost", 0))
            model = attributes.get("gen_ai.response.model") or attributes.get("gen_ai.request.model")
            self.assertEqual(row["MODEL"], model)
            self.assertEqual(row["FINISH_REASON"], attributes.get("gen_ai.response.finish_reason"))
            self.assertEqual(row["LEVEL"], attributes["span.level"])
            self.assertEqual(row["INPUT"], attributes.get("gen_ai.prompt", ""))
            self.assertEqual(row["OUTPUT"], attributes.get("gen_ai.completion", ""))
            self.assertEqual(row["USER_ID"], attributes.get("user.id"))
            self.assertEqual(row["SESSION_ID"], attributes.get("session.id"))
            shown = json.loads(row["ATTRIBUTES"])
            kept = {name: value for name, value in attributes.items()
                    if name not in ("gen_ai.prompt", "gen_ai.completion")}
            self.assertEqual(shown, kept)
            self.assertEqual(round((span["endTimeUnixNano"] - span["startTimeUnixNano"]) / 1e6, 3),
                             round(row["DURATION_MS"], 3))

    def ask_what_the_page_asks(self, rows):
        (cost,) = self.rows("SELECT count() AS n, sum(TOTAL_COST) AS cost, sum(TOTAL_TOKENS) AS tokens "
                            "FROM SIDECAST_TRACES WHERE STATUS = 'ok' AND SPAN_TYPE = 'GENERATION'")
        of_page = [row for row in rows.values() if row["STATUS"] == "ok"]
        self.assertEqual(int(cost["n"]), len(of_page))
        self.assertEqual(int(cost["tokens"]), sum(int(row["TOTAL_TOKENS"]) for row in of_page))
        by_model = self.rows("SELECT MODEL, avg(DURATION_MS) AS d, quantile(0.95)(DURATION_MS) AS p "
                             "FROM SIDECAST_TRACES WHERE SPAN_TYPE = 'GENERATION' GROUP BY MODEL")
        self.assertEqual({row["MODEL"] for row in by_model}, {row["MODEL"] for row in rows.values()})
        days = self.rows("SELECT toDate(TIMESTAMP) AS day, count() AS n FROM SIDECAST_TRACES GROUP BY day")
        self.assertEqual(sum(int(day["n"]) for day in days), len(rows))
        named = self.rows("SELECT JSONExtractString(METADATA, 'trace_id') AS id, TRACE_ID FROM SIDECAST_TRACES "
                          "WHERE JSONHas(METADATA, 'trace_id')")
        self.assertTrue(all(row["id"] == row["TRACE_ID"] for row in named))
        messages = self.rows("SELECT countIf(JSONLength(INPUT, 'messages') > 0) AS n FROM SIDECAST_TRACES")
        self.assertGreater(int(messages[0]["n"]), len(rows) // 2)

    def create_table(self):
        self.pipeline.write_config([{"name": "clickhouse", "type": "clickhouse", "endpoint": self.peer.url}])
        done = subprocess.run([str(end_to_end.BINARIES / "sidecast"), "test", "clickhouse", "--create-table", "--send-trace",
                               "--config", str(self.pipeline.config)], check=False, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_the_table_is_made_through_the_destination(self):
        columns = ("SELECT name, type, default_expression FROM system.columns WHERE database = 'default' AND "
                   "table = 'SIDECAST_TRACES' ORDER BY position")
        self.make_table()
        printed = self.rows(columns)
        self.assertEqual(len(printed), 39)
        self.assertIn("the table was there", self.create_table())
        self.database.ask({"sql": "DROP TABLE SIDECAST_TRACES SYNC"})
        self.assertEqual(self.rows(columns), [])
        self.assertIn("the table was made", self.create_table())
        self.assertEqual(self.rows(columns), printed)
        (row,) = self.rows("SELECT * FROM SIDECAST_TRACES")  # the test's own trace, inserted by --send-trace
        self.assertIn("sidecast-connection-test", row["SPAN_ID"])
        self.assertEqual(row["MODEL"], "sidecast-connection-test")

    def test_a_batch_that_comes_twice_is_stored_once(self):
        self.make_table()
        row = json.dumps({"TRACE_ID": "t", "SPAN_ID": "s", "TIMESTAMP": 1700000000000, "unknown": 1})
        for _ in range(2):
            request = {"query": {"query": "INSERT INTO `SIDECAST_TRACES` FORMAT JSONEachRow",
                                 "input_format_skip_unknown_fields": "1",
                                 "insert_deduplication_token": "a-token"}, "body": row.encode()}
            self.assertEqual(self.answer(request)[0], 200)
        self.assertEqual(int(self.rows("SELECT count() AS n FROM SIDECAST_TRACES")[0]["n"]), 1)


if __name__ == "__main__":
    PYTHON = peers.python_or_skip("chdb", "chdb==4.4.0")
    unittest.main()
