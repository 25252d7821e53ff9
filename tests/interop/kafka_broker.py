"""A real Apache Kafka broker of one node (KRaft), from Maven's jars: fetched once, kept outside the tree,
started on free ports. It speaks cleartext, and SASL over TLS."""

import fcntl
import hashlib
import os
import pathlib
import shutil
import socket
import subprocess

import pipeline

VERSION = "4.1.1"
USERS = {"PLAIN": ("bob", "bob-secret")}  # by mechanism
FETCH_SECONDS_MAX = 900
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>sidecast</groupId><artifactId>kafka-broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies><dependency>
    <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
  </dependency></dependencies>
</project>
"""


class Unavailable(Exception):
    """Why there can be no broker on this machine."""


def fetch():
    """The folder of the jars."""
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            raise Unavailable(f"no {tool}, which the Kafka broker needs, is installed")
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "sidecast"
    place = cache / f"kafka-{hashlib.sha256(POM.encode()).hexdigest()[:16]}"
    if place.exists():
        return place
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test run may be fetching the same
        if place.exists():
            return place
        print("fetching the Kafka broker, once: minutes", flush=True)
        unfinished = place.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        (unfinished / "pom.xml").write_text(POM)
        command = ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={unfinished}"]
        try:
            done = subprocess.run(command, cwd=unfinished, capture_output=True, text=True, check=False,
                                  timeout=FETCH_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"the broker's jars did not come within {FETCH_SECONDS_MAX} s") from None
        if done.returncode != 0:
            raise Unavailable("the broker's jars cannot be had: " + " | ".join(done.stdout.splitlines()[-3:]))
        unfinished.rename(place)
    return place


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Broker:
    """Formatted and running, with these settings besides; stop() and start() as often as wanted, with the same data and ports."""

    def __init__(self, run, jars, name="broker", **settings):
        self._run = run
        self._name = name
        self._jars = jars
        self.folder = run.folder / name
        self.folder.mkdir()
        self._starts = 0
        self._ports = [_free_port() for _ in range(3)]
        self.plain = f"127.0.0.1:{self._ports[0]}"
        self.sasl_tls = f"localhost:{self._ports[1]}"
        self.certificate = self._make_certificate()
        self._config = self.folder / "server.properties"
        lines = (f"{key}={value}\n" for key, value in {**self._settings(), **settings}.items())
        self._config.write_text("".join(lines))
        self.tool("kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", str(self._config))
        self.start()

    def _make_certificate(self):
        certificate, key = self.folder / "certificate.pem", self.folder / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-days", "2", "-subj", "/CN=sidecast test", "-addext",
                        "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
                       check=True, capture_output=True)
        (self.folder / "keystore.pem").write_text(key.read_text() + certificate.read_text())
        return certificate

    def _settings(self):
        modules = "org.apache.kafka.common.security"
        user, password = USERS["PLAIN"]
        listeners = (f"PLAINTEXT://127.0.0.1:{self._ports[0]},SASL_SSL://localhost:{self._ports[1]}")
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self._ports[2]}",
            "listeners": f"{listeners},CONTROLLER://127.0.0.1:{self._ports[2]}",
            "advertised.listeners": listeners,
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
            "log.dirs": self.folder / "data",
            "num.partitions": 4,
            "offsets.topic.num.partitions": 1,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self.folder / "keystore.pem",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_ssl.plain.sasl.jaas.config":
                f'{modules}.plain.PlainLoginModule required user_{user}="{password}";',
        }

    def tool(self, main, *arguments):
        """One of Kafka's own tools, to its end; returns what it printed."""
        done = subprocess.run(["java", "-Xmx192m", "-cp", f"{self._jars}/*", main, *arguments], capture_output=True,
                              text=True, check=False, timeout=120)
        if done.returncode != 0:
            raise pipeline.Failure(f"{main} ended with {done.returncode}\n{done.stdout[-500:]}{done.stderr[-500:]}")
        return done.stdout

    def start(self):
        self._starts += 1
        command = ["java", "-Xmx384m", "-Xms128m", "-cp", f"{self._jars}/*", "kafka.Kafka", str(self._config)]
        self.program = self._run.start(command, f"{self._name}-{self._starts}")
        pipeline.wait_until(self._is_ready, "the Kafka broker to start", 120)

    def _is_ready(self):
        if not self.program.is_running():
            raise pipeline.Failure(f"the broker ended\n{self.program.last_words()}")
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self._ports[0])) == 0

    def stop(self):
        self.program.stop()
