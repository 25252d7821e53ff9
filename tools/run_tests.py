#!/usr/bin/env python3
"""The stages of tools/test: builds each preset, runs its tests and the checks, sums up.

Each stage prints one line when it begins and one when it ends; what its commands print goes to
build/test-logs/ and is shown when something fails. The last line is the sum over all presets and
checks. Exit 1 when anything failed.
"""

import argparse
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOGS = ROOT / "build" / "test-logs"
JOBS = os.environ.get("SIDECAST_JOBS") or str(os.cpu_count() or 2)
REQUIRE_ALL = os.environ.get("SIDECAST_REQUIRE_ALL") == "1"
# Skips that no installation mends: the data set, a sanitizer in the way, tests that need root.
EXCUSED = re.compile(r"SIDECAST_DATA|data set|NOT CHECKED|sanitizer|needs root", re.IGNORECASE)
SKIPPED = 77  # the exit code by which a check or a test says that it could not run
TIDY_MINUTES = "5"
SOAK_SECONDS = os.environ.get("SIDECAST_SOAK_SECONDS") or "600"
FAILED_TESTS_SHOWN_MAX = 10
OUTPUT_LINES_SHOWN_MAX = 40

# Where threads and processes meet. The rest are pure functions: nothing there for TSan.
THREADED = ["sidecast", "sidecastd", "tests/unit/shm/all", "tests/unit/engine/all", "tests/unit/http/all",
            "tests/unit/spool/all", "tests/unit/tools/all", "tests/property/all", "tests/crash/all"]

# preset: (compiler it cannot do without, what is built, which tests run).
# Tests labelled dev_only would wait, or build a server, once more to see the same bytes. CTest says of
# the tests of a program that was left out that they did not run.
PRESETS = {
    "dev": ("g++", [], []),
    "asan": ("g++", [], ["--label-exclude", "dev_only"]),
    "tsan": ("g++", ["--target", *THREADED], ["--label-exclude", "dev_only", "--exclude-regex", "^repository|^model|^fuzz|^recorded_dialects|exported_symbols"]),
    "fuzz": ("clang++-14", ["--target", "tests/fuzz/all"], ["--tests-regex", "^fuzz[.]"]),
}


class Tally:
    """What became of every test and check."""

    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []  # (name, why)

    def skip(self, name, why):
        if REQUIRE_ALL and not EXCUSED.search(why):
            self.failed.append(f"{name}: skipped, and SIDECAST_REQUIRE_ALL=1 forbids it: {why}")
        else:
            self.skipped.append((name, why))


def say(text):
    print(text, flush=True)


def show_progress(name, started, log):
    """On a terminal one line that is written over; elsewhere a sign of life now and then."""
    seconds = int(time.monotonic() - started)
    lines = log.read_text(errors="replace")[-2000:].splitlines() if log.exists() else []
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    if sys.stdout.isatty():
        print(f"\r\x1b[K  {name} {seconds} s  {last[:60]}", end="", flush=True)
    elif seconds % 60 == 0 and seconds > 0:
        say(f"  {name} {seconds} s  {last[:100]}")


class Command:
    """A command that runs, with its output in a log."""

    def __init__(self, name, command, environment=None):
        LOGS.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.log = LOGS / (re.sub(r"[^a-z0-9]+", "-", name) + ".log")
        self.started = time.monotonic()
        with self.log.open("wb") as output:
            # A group of its own: an interrupt ends the command and what it started, and nothing else.
            self.child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output,
                                          stderr=subprocess.STDOUT, start_new_session=True,
                                          env={**os.environ, **(environment or {})})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGTERM)
            self.child.wait()

    def wait(self):
        """Its exit code."""
        while True:
            try:
                code = self.child.wait(timeout=1)
                break
            except subprocess.TimeoutExpired:
                show_progress(self.name, self.started, self.log)
        if sys.stdout.isatty():
            print("\r\x1b[K", end="")
        return code


def run(name, command, environment=None):
    """Runs one command to its end; its exit code and the log."""
    with Command(name, command, environment) as running:
        return running.wait(), running.log


def show_end(log):
    for line in log.read_text(errors="replace").splitlines()[-OUTPUT_LINES_SHOWN_MAX:]:
        say(f"    {line}")
    say(f"  all of it: {log.relative_to(ROOT)}")


def reason_of_skip(output):
    """What a skipped test said: the line GoogleTest prints after "Skipped", or the last one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    after = [lines[i + 1] for i, line in enumerate(lines[:-1]) if line.endswith(": Skipped")]
    excuses = [line for line in lines if EXCUSED.search(line)]
    return (after + excuses + lines[-1:] + ["it did not say why"])[0]


def read_results(preset, junit, tally):
    """Adds CTest's results to the tally; how many tests there were."""
    shown = 0
    cases = xml.etree.ElementTree.parse(junit).getroot().findall("testcase")
    if PRESETS[preset][1]:  # only some programs are built: the others' tests are none of this preset's
        cases = [case for case in cases if case.get("status") != "notrun"]
    for case in cases:
        name = f"{preset}: {case.get('name')}"
        output = (case.findtext("system-out") or "").strip()
        status = case.get("status")
        if status == "run":
            tally.passed += 1
        elif status == "notrun" or case.find("skipped") is not None:
            tally.skip(name, reason_of_skip(output))
        elif status == "disabled":
            tally.skip(name, "it is disabled")
        else:
            tally.failed.append(name)
            if shown < FAILED_TESTS_SHOWN_MAX:
                shown += 1
                say(f"  FAILED {name}")
                for line in output.splitlines()[-OUTPUT_LINES_SHOWN_MAX:]:
                    say(f"    {line}")
    return len(cases)


def run_preset(preset, tally):
    compiler, build_arguments, test_arguments = PRESETS[preset]
    if not shutil.which(compiler):
        tally.skip(f"preset {preset}", f"no {compiler} here")
        return
    steps = [
        (f"{preset}: configure", ["cmake", "--preset", preset]),
        (f"{preset}: build", ["cmake", "--build", "--preset", preset, "-j", JOBS, *build_arguments]),
    ]
    for name, command in steps:
        started = time.monotonic()
        code, log = run(name, command, {"CCACHE_BASEDIR": str(ROOT), "CCACHE_NOHASHDIR": "1"})
        say(f"{name}: {'done' if code == 0 else 'FAILED'}, {time.monotonic() - started:.0f} s")
        if code != 0:
            show_end(log)
            tally.failed.append(name)
            return

    name = f"{preset}: test"
    junit = LOGS / f"{preset}.xml"
    junit.unlink(missing_ok=True)
    started = time.monotonic()
    command = ["ctest", "--preset", preset, "-j", JOBS, "--output-junit", str(junit), *test_arguments]
    _, log = run(name, command)
    before = len(tally.failed)
    count = read_results(preset, junit, tally) if junit.exists() else 0
    if count == 0:
        show_end(log)
        tally.failed.append(f"{name}: no test ran")
    say(f"{name}: {count} tests, {len(tally.failed) - before} failed, {time.monotonic() - started:.0f} s")


def run_check(name, command, tally):
    with Command(name, command) as running:
        finish_check(running, tally)


def finish_check(running, tally):
    name, log, code = running.name, running.log, running.wait()
    if code == 0:
        tally.passed += 1
    elif code == SKIPPED:
        tally.skip(name, log.read_text(errors="replace").strip())
    else:
        show_end(log)
        tally.failed.append(name)
    word = {0: "done", SKIPPED: "skipped"}.get(code, "FAILED")
    lines = log.read_text(errors="replace").strip().splitlines()
    last = f" ({lines[-1]})" if code == 0 and lines else ""
    say(f"{name}: {word}, {time.monotonic() - running.started:.0f} s{last}")


def begin_soak():
    """Ten minutes at a fixed rate that a busy machine holds, beside the other presets."""
    return Command("soak", [sys.executable, "-B", "tests/crash/soak_test.py"],
                   {"SIDECAST_SOAK_SECONDS": SOAK_SECONDS, "SIDECAST_BINARIES": str(ROOT / "build" / "dev" / "bin"),
                    "PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "support"), str(ROOT / "tools")])})


def say_what_is_missing():
    data = pathlib.Path(os.environ.get("SIDECAST_DATA") or ROOT.parent / "shared" / "data")
    if not (data / "exchanges.jsonl.gz").is_file():
        say("!!!! The recorded exchanges are not here: tests use the small sample in tools/sample instead.")
        say(f"!!!! Put them into {data}, or say where they are with SIDECAST_DATA.")


def sum_up(tally, started):
    say(f"\n{time.monotonic() - started:.0f} s in all")
    for name, why in tally.skipped:
        say(f"skipped  {name}: {why}")
    for name in tally.failed:
        say(f"FAILED   {name}")
    skipped = f", {len(tally.skipped)} skipped" if tally.skipped else ""
    say(f"{tally.passed} passed, {len(tally.failed)} failed{skipped}")
    return 1 if tally.failed else 0


def main():
    parser = argparse.ArgumentParser(prog="tools/test", description="Builds and tests everything.")
    parser.add_argument("--fast", action="store_true", help="the dev preset and the format check only")
    parser.add_argument("--preset", action="append", choices=PRESETS, help="only this preset; may be repeated")
    parser.add_argument("--no-install", action="store_true", help="do not look for missing packages")
    options = parser.parse_args()

    # Ended from outside, it ends what it started: see run().
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    started = time.monotonic()
    tally = Tally()
    presets = options.preset or (["dev"] if options.fast else list(PRESETS))
    say_what_is_missing()
    if not options.preset:
        run_check("format", ["tools/check_format"], tally)
    if options.preset or options.fast:
        for preset in presets:
            run_preset(preset, tally)
    else:
        run_preset("dev", tally)
        with begin_soak() as soak:
            for preset in presets[1:]:
                run_preset(preset, tally)
            run_check("tidy", ["tools/check_tidy.py", "--minutes", TIDY_MINUTES], tally)
            finish_check(soak, tally)
    say_what_is_missing()
    return sum_up(tally, started)


if __name__ == "__main__":
    sys.exit(main())
