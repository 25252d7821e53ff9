"""Peers from PyPI, each in a virtual environment of its own outside the tree, made once per list of
requirements: a vendor's SDK, a database engine, an emulated service."""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

INSTALL_SECONDS_MAX = 900
SKIPPED = 77


class Unavailable(Exception):
    """Why there can be no such peer on this machine."""


def python(name, *requirements):
    """The interpreter of an environment that holds the requirements, given with exact versions."""
    digest = hashlib.sha256("\n".join((sys.version, *sorted(requirements))).encode()).hexdigest()[:16]
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "sidecast"
    place = cache / f"{name}-{digest}"
    interpreter = place / "bin" / "python"
    if interpreter.exists():
        return interpreter
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test run may be installing the same
        if interpreter.exists():
            return interpreter
        print(f"installing {', '.join(requirements)}, once: minutes", flush=True)
        unfinished = place.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(unfinished)], name)
        _run([str(unfinished / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
              *requirements], name)
        unfinished.rename(place)  # the interpreter finds its packages by its own place
    return interpreter


def python_or_skip(name, *requirements):
    """The same for a test that is skipped, as a whole, where there can be none."""
    try:
        return python(name, *requirements)
    except Unavailable as reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)


def _run(command, name):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{name} did not install within {INSTALL_SECONDS_MAX} s") from None
    if done.returncode != 0:
        words = (done.stderr or done.stdout).splitlines()[-3:]
        raise Unavailable(f"{name} cannot be installed here: " + " | ".join(words))
