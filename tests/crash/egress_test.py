"""Where a tenant's destination may not lead, by whatever name: every spelling of a private address, names that
resolve to one, names that change their mind between two requests (DNS rebinding), redirects, and proxies of the
environment. Nothing private gets a byte, and each destination is told about in one line of the log.

Runs in a network of its own, with a public address and a name server that the test answers for; that takes root.
"""

import http.server
import json
import os
import pathlib
import shutil
import socket
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import advertising_broker
import end_to_end
import gateway
import pipeline

INSIDE = "SIDECAST_TEST_EGRESS_INSIDE"
PUBLIC = "1.2.3.4"
NAME_AGE_S = 5  # how long the engine keeps a name's address
TYPE_A, TYPE_AAAA = 1, 28


class Names:
    """A name server: {name: [address, ...]}, changeable while it runs; no answer is kept by anybody."""

    def __init__(self):
        self.addresses = {}
        self.asked = []
        names = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                packet, reply_to = self.request
                reply_to.sendto(names.answer(packet), self.client_address)

        self._server = socketserver.ThreadingUDPServer(("127.0.0.1", 53), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, packet):
        labels, place = [], 12
        while packet[place]:
            labels.append(packet[place + 1:place + 1 + packet[place]].decode())
            place += 1 + packet[place]
        question = packet[12:place + 5]
        kind = struct.unpack("!H", packet[place + 1:place + 3])[0]
        name = ".".join(labels).lower()
        self.asked.append(name)
        records = b""
        count = 0
        for address in self.addresses.get(name, []):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            if kind != (TYPE_AAAA if ":" in address else TYPE_A):
                continue
            data = socket.inet_pton(family, address)
            records += b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(data)) + data
            count += 1
        known = name in self.addresses
        return packet[:2] + struct.pack("!HHHHH", 0x8180 if known else 0x8183, 1, count, 0, 0) + question + records

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class Receiver:
    """Takes every request at every address of this machine and notes which it was."""

    def __init__(self):
        self.requests = []  # (our address, path)
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers.get("content-length", "0")))
                receiver.requests.append((self.connection.getsockname()[0], self.path))
                if self.path.startswith("/redirect"):
                    self.send_response(302)
                    self.send_header("location", f"http://127.0.0.1:{receiver.port}/private")
                else:
                    self.send_response(200)
                self.send_header("content-length", "0")
                self.send_header("connection", "close")
                self.end_headers()

            do_GET = do_CONNECT = do_POST

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6
            daemon_threads = True

        self._server = Server(("::", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def at(self, path):
        return [address.removeprefix("::ffff:") for address, asked in self.requests if asked.startswith(path)]

    def private(self):
        return [request for request in self.requests if request[0].removeprefix("::ffff:") != PUBLIC]

    def close(self):
        self._server.shutdown()
        self._server.server_close()


# Every one is 127.0.0.1, ::1, any address of this machine, or somewhere just as private.
HOSTS = {
    "dotted": "127.0.0.1", "decimal": "2130706433", "octal": "0177.0.0.1", "octal-long": "00000177.00.00.01",
    "hex": "0x7f.0.0.1", "hex-whole": "0x7f000001", "short": "127.1", "zero": "0.0.0.0", "zero-short": "0",
    "loopback6": "[::1]", "any6": "[::]", "mapped": "[::ffff:127.0.0.1]", "mapped-hex": "[::ffff:7f00:1]",
    "compatible": "[::127.0.0.1]", "nat64": "[64:ff9b::7f00:1]", "6to4": "[2002:7f00:1::]", "ula": "[fd12::1]",
    "localhost": "localhost", "trailing-dot": "127.0.0.1.", "metadata": "169.254.169.254",
    "metadata-mapped": "[::ffff:169.254.169.254]",
    "name": "private.test", "name-mapped": "mapped.test", "name-zero": "zero.test", "name-metadata": "metadata.test",
}
NAMES = {"private.test": ["127.0.0.1"], "mapped.test": ["::ffff:127.0.0.1"], "zero.test": ["0.0.0.0"],
         "metadata.test": ["169.254.169.254"], "both.test": ["127.0.0.1", PUBLIC, "::1"],
         "rebind.test": [PUBLIC], "redirect.test": [PUBLIC], "public.test": [PUBLIC]}


class EgressTest(end_to_end.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.names = Names()
        self.addCleanup(self.names.close)
        self.receiver = Receiver()
        self.addCleanup(self.receiver.close)
        self.names.addresses = dict(NAMES)
        self.tenants = self.pipeline.folder / "tenants.d"
        self.tenants.mkdir()

    def start(self, hosts, operators=(), kafka=None, **environment):
        destinations = [{"name": name, "type": "otlp", "endpoint": f"http://{host}:{self.receiver.port}/{name}",
                         "traces_path": "/", "batch_records_max": 1} for name, host in hosts.items()]
        if kafka is not None:
            destinations.append({"name": "stream", "type": "kafka", "brokers": kafka, "timeout": "4s"})
        (self.tenants / "acme.yaml").write_text(json.dumps({"account": "acme", "destinations": destinations}))
        self.pipeline.write_config(list(operators), destinations_dir=str(self.tenants), batch_age_max="20ms")
        command = [end_to_end.BINARIES / "sidecastd", "--config", self.pipeline.config]
        engine = self.pipeline.start(command, "engine", environment)
        pipeline.wait_until(lambda: self.pipeline.stats_or_none(), "the engine's stats")
        self.writer = gateway.Gateway(end_to_end.BINARIES.parent / "lib" / "libsidecast.so", self.pipeline.ring_dir,
                                      self.ids)
        return engine

    def write(self, count=1):
        for _ in range(count):
            self.assertEqual(self.writer.write("egress", b"acme"), gateway.OK)

    def destination(self, name):
        return next(each for each in self.pipeline.stats()["destinations"] if each["name"] == name)

    def wait_for_trouble(self, name):
        pipeline.wait_until(lambda: self.destination(name)["last_error"], f"{name}: an answer")

    def assert_told_once(self, engine, name):
        lines = [line for line in engine.log.read_text().splitlines() if f"{name}: " in line]
        self.assertEqual(len(lines), 1, lines)
        return lines[0]

    def test_no_spelling_of_a_private_address_is_reached(self):
        proxies = {name: f"http://127.0.0.1:{self.receiver.port}" for name in
                   ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")}
        engine = self.start({**HOSTS, "public": "public.test", "both": "both.test", "redirect": "redirect.test"},
                            [{"name": "operators", "type": "otlp", "endpoint": "http://169.254.169.254"}], **proxies)
        self.write(2)
        refused = [f"acme/{name}" for name in HOSTS] + ["operators"]
        for name in [*refused, "acme/redirect"]:
            self.wait_for_trouble(name)
        for name in ("acme/public", "acme/both"):
            pipeline.wait_until(lambda name=name: self.destination(name)["delivered"] == 2, name)
        self.assertEqual(self.receiver.private(), [], "something private got a request")
        self.assertEqual(self.receiver.at("/redirect"), [PUBLIC])
        self.assertEqual(self.receiver.at("/private"), [], "a redirect was followed")
        for name in [*refused, "acme/redirect"]:
            self.assertNotEqual(self.destination(name)["state"], "ok", name)
            self.assertEqual(self.destination(name)["delivered"], 0, name)
            line = self.assert_told_once(engine, name)
            self.assertNotIn("127.0.0.1", line, "a log line for a tenant names what its name resolves to")
        self.assertIn("redirects are not followed", self.assert_told_once(engine, "acme/redirect"))
        self.pipeline.stats("--check")
        engine.kill()

    def test_a_name_that_changes_its_mind_is_asked_about_at_every_connection(self):
        engine = self.start({"rebind": "rebind.test"})
        self.write()
        pipeline.wait_until(lambda: self.destination("acme/rebind")["delivered"] == 1, "the first record")
        self.names.addresses["rebind.test"] = ["127.0.0.1"]
        asked = len(self.names.asked)
        time.sleep(NAME_AGE_S + 1)
        self.write(3)
        self.wait_for_trouble("acme/rebind")
        self.assertGreater(len(self.names.asked), asked, "the name was not asked for again")
        self.assertEqual(self.receiver.private(), [], "the second answer was believed")
        self.assertEqual(self.destination("acme/rebind")["pending"], 3)
        self.assertIn("may not be connected to", self.assert_told_once(engine, "acme/rebind"))
        engine.kill()

    def test_answers_that_alternate_with_each_question_reach_the_public_one_only(self):
        """As rebinding servers do it: one answer for whoever checks, the other for whoever connects."""
        answer = self.names.answer
        turn = [0]

        def alternate(packet):
            turn[0] += 1
            self.names.addresses["rebind.test"] = [PUBLIC] if turn[0] % 2 else ["127.0.0.1"]
            return answer(packet)

        self.names.answer = alternate
        engine = self.start({"rebind": "rebind.test"})
        for _ in range(4):
            self.write()
            time.sleep(NAME_AGE_S + 0.5)
        self.assertGreater(turn[0], 2)
        self.assertEqual(self.receiver.private(), [])
        engine.kill()


    def test_a_broker_that_names_a_private_one_is_not_followed(self):
        """Kafka's clients go where the cluster sends them: the address that was written down is the smaller part."""
        private = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(private.close)
        broker = advertising_broker.AdvertisingBroker(PUBLIC, private.getsockname())
        self.addCleanup(broker.close)
        engine = self.start({}, kafka=broker.brokers)
        self.write()
        pipeline.wait_until(lambda: broker.asked > 0, "a question for the topic's brokers")
        self.wait_for_trouble("acme/stream")
        self.assertIn("address not allowed", self.assert_told_once(engine, "acme/stream"))
        private.settimeout(0)
        with self.assertRaises(BlockingIOError, msg="the private address was connected to"):
            private.accept()
        engine.kill()


def run_inside():
    """This program again, as root of a network and a mount table of its own."""
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        return None
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sidecast-egress-"))
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    (folder / "hosts").write_text("127.0.0.1 localhost\n")
    set_up = (f"mount --bind {folder}/resolv.conf $(readlink -f /etc/resolv.conf) && "
              f"mount --bind {folder}/hosts /etc/hosts && ip link set lo up && ip addr add {PUBLIC}/32 dev lo && "
              f'exec "$@"')
    command = ["unshare", "--net", "--mount", "sh", "-c", set_up, "sh", sys.executable, "-B", *sys.argv]
    try:
        possible = subprocess.run([*command[:4], "-c", set_up, "sh", "true"], check=False, capture_output=True)
        if possible.returncode != 0:
            return None
        return subprocess.run(command, check=False, env={**os.environ, INSIDE: "1"}).returncode
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if os.environ.get(INSIDE) == "1":
        unittest.main()
    code = run_inside()
    if code is None:
        print("skipped: this needs root, unshare and ip, for a network of its own")
        sys.exit(1 if os.environ.get("SIDECAST_REQUIRE_ALL") == "1" else 77)
    sys.exit(code)
