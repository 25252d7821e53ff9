"""The vendors' own clients: a virtual environment made once, kept outside the tree."""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

REQUIREMENTS = pathlib.Path(__file__).resolve().parent / "sdk" / "requirements.txt"
INSTALL_SECONDS_MAX = 900


class Unavailable(Exception):
    """Why there can be no such environment on this machine."""


def python():
    """An interpreter with every package of the requirements; the environment is made when it is missing."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "sidecast"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(version.encode() + REQUIREMENTS.read_bytes()).hexdigest()[:16]
    folder = cache / f"sdk-{digest}"
    interpreter = folder / "bin" / "python"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "sdk.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test run may be making the same
        if (folder / "complete").exists():
            return interpreter
        print("installing the vendors' clients, once: a minute", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        run([sys.executable, "-m", "venv", str(folder)], "no virtual environment can be made")
        run([str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
             "-r", str(REQUIREMENTS)], "the vendors' clients cannot be installed")
        (folder / "complete").touch()
    return interpreter


def run(command, failure):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS_MAX)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{failure}: {error}") from None
    if done.returncode != 0:
        raise Unavailable(f"{failure}: " + " | ".join(done.stderr.splitlines()[-3:]))
