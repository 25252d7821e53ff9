"""Small HTTP servers in front of real peers: what the engine sends is handed to them, and kept. And one engine's run
beside them."""

import gzip
import http.server
import json
import socket
import subprocess
import threading
import urllib.parse

import end_to_end


class Peer:
    """A server on a port of 127.0.0.1; `answer(request)` returns (status, headers, body)."""

    def __init__(self, answer):
        self.requests = []
        self._lock = threading.Lock()
        peer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                url = urllib.parse.urlsplit(self.path)
                request = {"method": self.command, "path": url.path, "body": body,
                           "query": dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True)),
                           "headers": {name.lower(): value for name, value in self.headers.items()}}
                with peer._lock:
                    peer.requests.append(request)
                    status, headers, text = answer(request)
                payload = text if isinstance(text, bytes) else text.encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_POST = do_PUT = _serve

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def replay(test, destinations, exchanges, *arguments):
    """One engine and one replay to its end: all that was written is settled, and the ledger says so."""
    test.pipeline.write_config(destinations)
    engine = test.pipeline.start_engine()
    test.pipeline.replay(exchanges, *arguments, "--ids", test.ids)
    test.pipeline.wait_until_settled()
    test.assert_ledger_exact(len(test.logged_ids()))
    test.assertEqual(engine.stop()[0], 0)


def peer(test, answer):
    """A peer that goes when the test ends."""
    made = Peer(answer)
    test.addCleanup(made.close)
    return made


def requests_of(test, answer, destination, *arguments):
    """What the engine sends to `destination`, named like its type, when the sample is replayed."""
    ours = peer(test, answer)
    replay(test, [{"name": destination["type"], "endpoint": ours.url, **destination}], end_to_end.SAMPLE, *arguments)
    return ours.requests


def run_client(interpreter, source, question):
    """A program of the vendor's library: it reads the question as JSON. Returns what it prints."""
    done = subprocess.run([str(interpreter), "-c", source], input=json.dumps(question), text=True, capture_output=True,
                          check=False, timeout=300)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return done.stdout


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Worker:
    """A program in a peer's own environment that answers one JSON line with another."""

    def __init__(self, interpreter, source):
        self._process = subprocess.Popen([str(interpreter), "-u", "-c", source], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True)

    def ask(self, question):
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the peer has ended")
        return json.loads(line)

    def close(self):
        self._process.stdin.close()
        self._process.wait(timeout=30)
