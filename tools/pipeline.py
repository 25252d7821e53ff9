"""Starts and ends the real programs: sink, engine, replay. For the demo and the end-to-end tests.

Nothing here knows what a test wants to see. Every program is a child of this process, is ended by
its own pid, and dies with this process, however that ends.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

WATCHDOG_S = 120  # no wait for a condition lasts longer; far above what any of them takes
_POLL_S = 0.02
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """A program did not do what it was started for. The text is for people."""


def wait_until(condition, what, seconds=WATCHDOG_S):
    """Returns the first true value of condition()."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"waited {seconds} s in vain: {what}")
        time.sleep(_POLL_S)


def _die_with_parent():
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Program:
    """One running child. Its standard error goes to a log beside its other files."""

    def __init__(self, command, log, environment=None):
        self.command = [str(word) for word in command]
        self.log = pathlib.Path(log)
        with self.log.open("ab") as errors:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True,
                env={**os.environ, **(environment or {})}, preexec_fn=_die_with_parent)

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        return self.process.poll() is None

    def wait(self, seconds=WATCHDOG_S):
        """Its exit code and what it printed, once it has ended by itself."""
        try:
            output, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name()} still runs after {seconds} s\n{self.last_words()}") from None
        return self.process.returncode, output

    def stop(self, seconds=WATCHDOG_S):
        """SIGTERM, then as wait()."""
        if self.is_running():
            self.process.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self):
        """kill -9, whatever it is doing."""
        self.process.kill()
        self.process.communicate()

    def name(self):
        return " ".join([pathlib.Path(self.command[0]).name, *self.command[1:2]])

    def last_words(self, lines=20):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Pipeline:
    """A directory of its own in shared memory with everything one run needs; gone with the object."""

    def __init__(self, binaries):
        self.binaries = pathlib.Path(binaries)
        shared_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sidecast-run-", dir=shared_memory))
        self.ring_dir = self.folder / "rings"
        self.config = self.folder / "sidecast.yaml"
        self._programs = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for program in self._programs:
            if program.is_running():
                program.kill()
            if program.process.stdout:
                program.process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, command, name, environment=None):
        program = Program(command, self.folder / f"{name}.log", environment)
        self._programs.append(program)
        return program

    def start_sink(self, name, *arguments, listen="127.0.0.1:0"):
        """A receiver that writes NAME.jsonl; `program.address` is where it listens."""
        out = self.folder / f"{name}.jsonl"
        command = [self.binaries / "sidecast", "sink", "--listen", listen, "--out", out, "--quiet", "--json", *arguments]
        program = self.start(command, name)
        line = program.process.stdout.readline().strip()
        if not line.startswith("listening on "):
            program.process.wait()
            raise Failure(f"the sink did not start: {line}\n{program.last_words()}")
        program.address = line.removeprefix("listening on ")
        program.out = out
        return program

    def write_config(self, destinations, **settings):
        """The engine's config; JSON is YAML. Returns its path."""
        settings = {"ring_dir": str(self.ring_dir), **settings, "destinations": destinations}
        self.config.write_text(json.dumps(settings, indent=1) + "\n")
        return self.config

    def start_engine(self, *arguments):
        """sidecastd on this pipeline's config, when it has said in its stats that it runs."""
        program = self.start([self.binaries / "sidecastd", "--config", self.config, *arguments], "engine")

        def runs():
            if not program.is_running():
                raise Failure(f"the engine ended with {program.process.returncode}\n{program.last_words()}")
            stats = self.stats_or_none()
            return stats is not None and stats["engine"]["pid"] == program.pid

        if "--drain" not in arguments:
            wait_until(runs, "the engine's stats")
        return program

    def start_replay(self, *arguments, name="replay"):
        command = [self.binaries / "sidecast", "replay", "--ring-dir", self.ring_dir, *arguments]
        return self.start(command, name)

    def replay(self, *arguments, seconds=WATCHDOG_S):
        """Plays to the end; an exit code other than 0 is a Failure. Returns what it printed."""
        program = self.start_replay(*arguments)
        code, output = program.wait(seconds)
        if code != 0:
            raise Failure(f"replay ended with {code}\n{output}{program.last_words()}")
        return output

    def stats_or_none(self, *arguments):
        """`sidecast stats --json`, or None when it could not tell."""
        command = [str(self.binaries / "sidecast"), "stats", "--ring-dir", str(self.ring_dir), "--json", *arguments]
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WATCHDOG_S)
        with contextlib.suppress(json.JSONDecodeError):
            return json.loads(answer.stdout)
        return None

    def stats(self, *arguments):
        stats = self.stats_or_none(*arguments)
        if stats is None:
            raise Failure("sidecast stats --json printed no JSON")
        return stats

    def is_settled(self):
        """Nothing of what was written is on its way any more."""
        stats = self.stats_or_none()
        if stats is None or stats["records"]["unread"] > 0:
            return False
        return all(each["pending"] == 0 and each["spooled"] == 0 for each in stats["destinations"])

    def wait_until_settled(self, seconds=WATCHDOG_S):
        wait_until(self.is_settled, "every record to be settled", seconds)


def read_lines(path):
    """The whole lines of a file that may still be growing; [] while there is none."""
    if not pathlib.Path(path).exists():
        return []
    return pathlib.Path(path).read_text(encoding="utf-8").split("\n")[:-1]


def read_spans(path):
    """What a sink has written, one span at a time."""
    for line in read_lines(path):
        yield json.loads(line)
