"""A real PostgreSQL holds what the engine sends to PostgREST: a small front runs the statement that
PostgREST makes of such a request, on the printed table."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

import end_to_end
import native_peers
import pipeline

RECORDS_MAX = 300
SKIPPED = 77


def binaries():
    """Where initdb and postgres are; None when PostgreSQL is not installed."""
    places = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = next((place for place in places if (place / "initdb").exists()), None)
    if found is None and shutil.which("initdb"):
        found = pathlib.Path(shutil.which("initdb")).parent
    return found if shutil.which("psql") else None


class Postgres:
    """A server of its own, reached by a socket in its own folder; PostgreSQL refuses to run as root."""

    def __init__(self, run):
        self.folder = run.folder / "pg"
        self.folder.mkdir()
        self.user = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"] if os.getuid() == 0 else []
        if self.user:
            shutil.chown(self.folder, "nobody")
            for parent in (self.folder, *self.folder.parents):
                if parent == pathlib.Path("/tmp"):
                    break
                parent.chmod(parent.stat().st_mode | 0o011)
        base = self.folder / "base"
        subprocess.run([*self.user, binaries() / "initdb", "-D", base, "-U", "postgres", "-A", "trust", "-E", "UTF8"],
                       check=True, capture_output=True, cwd="/")
        command = [*self.user, str(binaries() / "postgres"), "-D", str(base), "-k", str(self.folder),
                   "-c", "listen_addresses=", "-c", "fsync=off"]
        self.program = run.start(command, "postgres")
        pipeline.wait_until(lambda: self.run("SELECT 1").returncode == 0, "PostgreSQL to start")

    def run(self, sql):
        return subprocess.run(["psql", "-h", str(self.folder), "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-qAt",
                               "-v", "VERBOSITY=verbose", "-f", "-"], input=sql, capture_output=True, text=True, check=False)

    def rows(self, sql):
        done = self.run(f"SELECT row_to_json(r) FROM ({sql}) r")
        if done.returncode != 0:
            raise pipeline.Failure(done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]


class SupabaseTest(end_to_end.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.postgres = Postgres(self.pipeline)
        ddl = subprocess.run([str(end_to_end.BINARIES / "sidecast"), "ddl", "supabase"], check=True,
                             capture_output=True, text=True).stdout
        made = self.postgres.run(ddl)
        self.assertEqual(made.returncode, 0, made.stderr)
        self.peer = native_peers.Peer(self.answer)
        self.addCleanup(self.peer.close)
        self.refusals = []

    def answer(self, request):
        self.assertEqual(request["path"], "/rest/v1/sidecast_traces")
        self.assertEqual(request["query"], {"on_conflict": "trace_id,span_id"})
        rows = json.loads(request["body"])
        names = {frozenset(row) for row in rows}
        if len(names) > 1:
            return 400, {}, '{"code":"PGRST102","message":"All object keys must match"}'
        columns = ", ".join(f'"{name}"' for name in rows[0]) if rows else "trace_id"
        quoted = request["body"].decode().replace("'", "''")
        done = self.postgres.run(
            f"INSERT INTO public.sidecast_traces ({columns}) SELECT {columns} FROM "
            f"json_populate_recordset(null::public.sidecast_traces, '{quoted}') "
            "ON CONFLICT (trace_id, span_id) DO NOTHING;")
        if done.returncode != 0:
            self.refusals.append(done.stderr[:500])
            code = done.stderr.split("ERROR:", 1)[-1].split(":", 1)[0].strip()
            return 400, {}, json.dumps({"code": code, "message": "refused"})
        return 201, {}, ""

    def test_every_record_is_a_row_and_a_repetition_none(self):
        sink = self.pipeline.start_sink("sink")
        self.pipeline.write_config([
            {"name": "supabase", "type": "supabase", "endpoint": self.peer.url, "api_key": "key"},
            end_to_end.generic_json(sink.address)])
        engine = self.pipeline.start_engine()
        self.pipeline.replay(self.exchanges, "--limit", str(RECORDS_MAX), "--with-trace", "--ids", self.ids)
        self.pipeline.wait_until_settled()
        self.assertEqual(self.refusals, [])
        self.assert_ledger_exact(len(self.logged_ids()))
        self.assertEqual(engine.stop()[0], 0)
        for request in list(self.peer.requests):  # an answer was lost: everything comes again
            self.assertEqual(request["headers"]["apikey"], "key")
            self.assertEqual(self.answer(request)[0], 201)

        rows = {row["span_id"]: row for row in self.postgres.rows("SELECT * FROM sidecast_traces")}
        received = end_to_end.Received(sink.out)
        self.assertEqual(set(rows), set(self.logged_ids()))
        (count,) = self.postgres.rows("SELECT count(*) AS n FROM sidecast_traces")
        self.assertEqual(count["n"], len(rows))
        for generation, (span,) in received.spans.items():
            attributes, row = span["attributes"], rows[generation]
            with self.subTest(generation):
                self.assertEqual(row["prompt_tokens"], attributes.get("gen_ai.usage.input_tokens", 0))
                self.assertEqual(row["total_cost"], attributes.get("gen_ai.usage.total_cost", 0))
                self.assertEqual(row["level"], attributes["span.level"])
                prompt = attributes.get("gen_ai.prompt")
                self.assertEqual(row["input"], prompt and json.loads(prompt))
                self.assertEqual(row["attributes"]["span.type"], attributes["span.type"])


if __name__ == "__main__":
    if binaries() is None:
        print("skipped: PostgreSQL (initdb, psql) is not installed")
        sys.exit(SKIPPED)
    unittest.main()
