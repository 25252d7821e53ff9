"""Debian's ClickHouse server takes our inserts over HTTP as they are sent: the connection test, JSONEachRow, gzip, a user
and a password; and answers a wrong one and a missing table as the exporter expects. It is of 2018, so its table has texts
for times, and what it does not know is left out; today's semantics are clickhouse_test's."""

import gzip
import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
import unittest
import urllib.parse
import urllib.request

import end_to_end
import native_peers
import pipeline

RECORDS_MAX = 300
SKIPPED = 77
PASSWORD = "an example's"
# Settings that it lacks: tokens against repeats and queues of inserts.
OF_2018 = {"deduplicate": "false", "async_insert": "server", "settings": "input_format_allow_errors_num=0"}

CONFIG = """<yandex>
  <logger><level>warning</level><console>true</console></logger>
  <http_port>{port}</http_port><listen_host>127.0.0.1</listen_host>
  <path>{folder}/data/</path><tmp_path>{folder}/tmp/</tmp_path><format_schema_path>{folder}/schemas/</format_schema_path>
  <user_files_path>{folder}/files/</user_files_path><mark_cache_size>5242880</mark_cache_size>
  <users_config>{folder}/users.xml</users_config>
  <default_profile>default</default_profile><default_database>default</default_database>
</yandex>"""
USERS = """<yandex>
  <profiles><default/></profiles><quotas><default/></quotas>
  <users><writer><password_sha256_hex>{digest}</password_sha256_hex><networks><ip>127.0.0.1</ip></networks>
    <profile>default</profile><quota>default</quota></writer></users>
</yandex>"""


def find_server():
    return shutil.which("clickhouse-server") or shutil.which("clickhouse-server", path="/usr/sbin:/usr/bin")


class ClickHouseServerTest(end_to_end.EndToEndTest):
    def setUp(self):
        super().setUp()
        port = native_peers.free_port()
        self.url = f"http://127.0.0.1:{port}"
        folder = self.pipeline.folder / "clickhouse"
        folder.mkdir()
        (folder / "config.xml").write_text(CONFIG.format(port=port, folder=folder))
        (folder / "users.xml").write_text(USERS.format(digest=hashlib.sha256(PASSWORD.encode()).hexdigest()))
        self.pipeline.start([find_server(), f"--config-file={folder}/config.xml"], "clickhouse")
        pipeline.wait_until(self.is_up, "the server to start")

    def is_up(self):
        try:
            return urllib.request.urlopen(self.url + "/ping", timeout=5).read() == b"Ok.\n"
        except OSError:
            return False

    def ask(self, sql):
        url = self.url + "/?" + urllib.parse.urlencode({"user": "writer", "password": PASSWORD})
        request = urllib.request.Request(url, sql.encode(), headers={"accept-encoding": "gzip"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            body = answer.read()
            return (gzip.decompress(body) if answer.headers.get("content-encoding") == "gzip" else body).decode()

    def make_table(self):
        ddl = subprocess.run([str(end_to_end.BINARIES / "sidecast"), "ddl", "clickhouse"], check=True,
                             capture_output=True, text=True).stdout
        self.ask(ddl.replace("DateTime64(3)", "String").partition("SETTINGS ")[0])

    def destination(self, **more):
        return {"name": "clickhouse", "type": "clickhouse", "endpoint": self.url, "username": "writer",
                "password": PASSWORD, **OF_2018, **more}

    def connect(self, destination, *arguments):
        self.pipeline.write_config([destination])
        done = subprocess.run([str(end_to_end.BINARIES / "sidecast"), "test", "clickhouse", "--config",
                               str(self.pipeline.config), *arguments], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def test_rows_are_read_back_as_they_were_sent(self):
        self.make_table()
        self.assertEqual(self.connect(self.destination())[0], 0)
        self.assertEqual(self.ask("SELECT count() FROM SIDECAST_TRACES"), "0\n", "the connection test inserted a row")
        for compression in ("gzip", "none"):
            with self.subTest(compression):
                code, line = self.connect(self.destination(compression=compression), "--send-trace")
                self.assertEqual(code, 0, line)
        sink = self.pipeline.start_sink("sink")
        native_peers.replay(self, [self.destination(), end_to_end.generic_json(sink.address)], self.exchanges, "--limit", str(RECORDS_MAX), "--with-trace")

        rows = {row["SPAN_ID"]: row for row in
                map(json.loads, self.ask("SELECT * FROM SIDECAST_TRACES WHERE SPAN_ID NOT LIKE 'sidecast-connection-test%'"
                                         " FORMAT JSONEachRow").splitlines())}
        self.assertEqual(set(rows), set(self.logged_ids()))
        for generation, (span,) in end_to_end.Received(sink.out).spans.items():
            row, attributes = rows[generation], span["attributes"]
            with self.subTest(generation):
                self.assertEqual(len(row), 39)
                self.assertEqual(int(row["PROMPT_TOKENS"]), attributes.get("gen_ai.usage.input_tokens", 0))
                # It reads decimals with an error in the last bit.
                cost = attributes.get("gen_ai.usage.total_cost", 0)
                self.assertTrue(math.isclose(row["TOTAL_COST"], cost, rel_tol=1e-14), (row["TOTAL_COST"], cost))
                self.assertEqual(row["INPUT"], attributes.get("gen_ai.prompt", ""))
                self.assertEqual(row["OUTPUT"], attributes.get("gen_ai.completion", ""))
                self.assertEqual(row["SESSION_ID"], attributes.get("session.id"))

    def test_its_refusals_say_what_to_mend(self):
        code, line = self.connect(self.destination(), "--send-trace")
        self.assertEqual(code, 1)
        self.assertIn("UNKNOWN_TABLE", line)
        for arguments in ((), ("--create-table",)):
            code, line = self.connect(self.destination(password="another"), *arguments)
            self.assertEqual(code, 1)
            self.assertIn("WRONG_PASSWORD", line)
        code, line = self.connect(self.destination(), "--create-table")
        self.assertEqual((code, line.count("\n")), (1, 1), line)
        self.assertIn("UNKNOWN_TYPE", line)  # of DateTime64
        self.make_table()
        code, line = self.connect(self.destination(settings="no_such_setting=1"), "--send-trace")
        self.assertEqual(code, 1)
        self.assertIn("UNKNOWN_SETTING", line)


if __name__ == "__main__":
    if find_server() is None:
        print("skipped: there is no clickhouse-server here")
        sys.exit(1 if os.environ.get("SIDECAST_REQUIRE_ALL") == "1" else SKIPPED)
    unittest.main()
