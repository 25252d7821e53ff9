"""A real OpenTelemetry Collector: built once, kept outside the tree, started on free ports."""

import fcntl
import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import urllib.request

import pipeline

MODULE = pathlib.Path(__file__).resolve().parent / "collector"
GO_PLACES = ("/usr/local/go/bin/go", "/usr/lib/go/bin/go")
BUILD_SECONDS_MAX = 1000


class Unavailable(Exception):
    """Why there can be no Collector on this machine."""


def find_go():
    go = shutil.which("go") or next((place for place in GO_PLACES if os.access(place, os.X_OK)), None)
    if go is None:
        raise Unavailable("no Go toolchain, which builds the Collector, is installed")
    needed = re.search(r"^go (\d+)\.(\d+)", (MODULE / "go.mod").read_text(), re.M)
    version = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=True, cwd="/").stdout
    found = re.match(r"go(\d+)\.(\d+)", version)
    if not found or tuple(map(int, found.groups())) < tuple(map(int, needed.groups())):
        raise Unavailable(f"the Collector needs Go {needed[1]}.{needed[2]}; {go} is {version.strip()}")
    return go


def build():
    """The Collector's binary, made when none of these sources is in the cache."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum", "main.go"):
        digest.update((MODULE / name).read_bytes())
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "sidecast"
    binary = cache / f"collector-{digest.hexdigest()[:16]}"
    if binary.exists():
        return binary
    go = find_go()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "collector.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test run may be building the same
        if binary.exists():
            return binary
        print("building the Collector, once: minutes", flush=True)
        unfinished = binary.with_suffix(".unfinished")
        command = [go, "build", "-trimpath", "-ldflags=-s -w", "-o", str(unfinished), "."]
        environment = {**os.environ, "GOFLAGS": "-mod=readonly -buildvcs=false", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        try:
            done = subprocess.run(command, cwd=MODULE, env=environment, capture_output=True, text=True,
                                  check=False, timeout=BUILD_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"the Collector did not build within {BUILD_SECONDS_MAX} s") from None
        if done.returncode != 0:
            raise Unavailable("the Collector does not build here: " + " | ".join(done.stderr.splitlines()[-5:]))
        unfinished.rename(binary)
    return binary


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_certificate(folder):
    """A throw-away certificate for 127.0.0.1 that is its own authority: (certificate, key)."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=sidecast test", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return certificate, key


class Collector:
    """Running: OTLP over HTTP and gRPC, each plain and over TLS, every span into one file.

    `files`: a pattern of files of JSON Lines that it reads as well; `grpc` are further settings of both gRPC
    receivers."""

    def __init__(self, run, binary, name="collector", files=None, **grpc):
        folder = run.folder / name
        folder.mkdir()
        self.certificate, key = make_certificate(folder)
        self.out = folder / "spans.jsonl"
        self.files = files
        self.grpc_settings = grpc
        ports = [free_port() for _ in range(5)]
        self.plain = f"http://127.0.0.1:{ports[0]}"
        self.tls = f"https://127.0.0.1:{ports[1]}"
        self.metrics = f"http://127.0.0.1:{ports[2]}/metrics"
        self.grpc_plain = f"http://127.0.0.1:{ports[3]}"
        self.grpc_tls = f"https://127.0.0.1:{ports[4]}"
        config = folder / "config.yaml"
        config.write_text(json.dumps(self._config(ports, key)))
        self.program = run.start([binary, "--config", f"file:{config}"], name)
        pipeline.wait_until(self._is_ready, "the Collector to start")

    def _config(self, ports, key):
        def receiver(port, **more):
            return {"endpoint": f"127.0.0.1:{port}", **more}

        tls = {"tls": {"cert_file": str(self.certificate), "key_file": str(key)}}
        prometheus = {"host": "127.0.0.1", "port": ports[2]}
        # Longer lines than these it cuts in two; the default is 1 MiB.
        files = {"otlp_json_file": {"include": [self.files], "start_at": "beginning", "max_log_size": "16MiB",
                                    "include_file_name": False}}
        files = files if self.files else {}
        return {
            "receivers": {
                **files,
                "otlp": {"protocols": {"http": receiver(ports[0]), "grpc": receiver(ports[3], **self.grpc_settings)}},
                "otlp/tls": {"protocols": {"http": receiver(ports[1], **tls),
                                           "grpc": receiver(ports[4], **tls, **self.grpc_settings)}},
            },
            "exporters": {"file": {"path": str(self.out)}},
            "service": {
                # Detailed: the server's own count of requests by HTTP version.
                "telemetry": {"metrics": {"level": "detailed",
                                          "readers": [{"pull": {"exporter": {"prometheus": prometheus}}}]}},
                "pipelines": {"traces": {"receivers": ["otlp", "otlp/tls", *files], "exporters": ["file"]}},
            },
        }

    def _is_ready(self):
        if not self.program.is_running():
            raise pipeline.Failure(f"the Collector ended\n{self.program.last_words()}")
        return "Everything is ready" in self.program.log.read_text()

    def http_versions(self):
        """The HTTP versions in which requests came, by the Collector's own metrics."""
        with urllib.request.urlopen(self.metrics, timeout=10) as answer:
            text = answer.read().decode()
        return set(re.findall(r'network_protocol_version="([^"]+)"', text))

    def stop(self):
        code, _ = self.program.stop()
        if code != 0:
            raise pipeline.Failure(f"the Collector ended with {code}\n{self.program.last_words()}")


def _value(value):
    """An OTLP JSON AnyValue as the sink writes it: integers and doubles stay apart."""
    if not value:
        return None
    (kind, content), = value.items()
    if kind == "intValue":
        return int(content)
    if kind == "doubleValue":
        return float(content)
    if kind == "arrayValue":
        return [_value(each) for each in content.get("values", [])]
    if kind == "kvlistValue":
        return _attributes(content.get("values", []))
    return content


def _attributes(attributes):
    return {each["key"]: _value(each["value"]) for each in attributes}


def as_held(span):
    """A sink's line without what belongs to the request, and with the fields it leaves out when zero."""
    kept = {name: value for name, value in span.items() if name not in ("request", "schemaUrl")}
    return {"flags": 0, "droppedAttributesCount": 0, **kept}


def read_spans(path):
    """The Collector's file, span by span, in the shape of a sink's line."""
    for line in pipeline.read_lines(path):
        yield from spans_of(json.loads(line))


def spans_of(traces):
    """The same of one request in OTLP JSON."""
    for resource_spans in traces["resourceSpans"]:
        resource = _attributes(resource_spans["resource"].get("attributes", []))
        for scope_spans in resource_spans["scopeSpans"]:
            scope = {"name": "", "version": "", **scope_spans["scope"]}
            for span in scope_spans["spans"]:
                yield _span(span, resource, scope)


def _span(span, resource, scope):
    status = {name: value for name, value in span.get("status", {}).items() if value not in (0, "")}
    events = [{"name": event.get("name", ""), "timeUnixNano": event["timeUnixNano"],
               "attributes": _attributes(event.get("attributes", []))} for event in span.get("events", [])]
    return {
        "traceId": span["traceId"],
        "spanId": span["spanId"],
        "parentSpanId": span.get("parentSpanId", ""),
        "name": span.get("name", ""),
        "kind": span.get("kind", 0),
        "startTimeUnixNano": int(span["startTimeUnixNano"]),
        "endTimeUnixNano": int(span["endTimeUnixNano"]),
        "status": status,
        "attributes": _attributes(span.get("attributes", [])),
        "events": [{**event, "timeUnixNano": int(event["timeUnixNano"])} for event in events],
        "flags": span.get("flags", 0),
        "droppedAttributesCount": span.get("droppedAttributesCount", 0),
        "resource": dict(resource),
        "scope": scope,
    }
