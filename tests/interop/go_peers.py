"""Servers from Go modules that cannot be installed by name, since their go.mod replaces modules: built in a copy of
the module's own folder, once, and kept outside the tree."""

import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import collector

BUILD_SECONDS_MAX = 1100


def build(name, module, version, package):
    """The binary of that package of that module."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "sidecast"
    binary = cache / f"{name}-{version}"
    if binary.exists():
        return binary
    go = collector.find_go()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test run may be building the same
        if binary.exists():
            return binary
        print(f"building {name} {version}, once: minutes", flush=True)
        environment = {**os.environ, "GOFLAGS": "-mod=mod -buildvcs=false", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        with tempfile.TemporaryDirectory(prefix="sidecast-go-") as folder:
            found = _run([go, "mod", "download", "-json", f"{module}@{version}"], name, folder, environment)
            source = pathlib.Path(folder) / "source"
            shutil.copytree(json.loads(found)["Dir"], source)
            subprocess.run(["chmod", "-R", "u+w", str(source)], check=True)
            shutil.rmtree(source / "vendor", ignore_errors=True)  # a module's zip holds none of it
            unfinished = binary.with_suffix(".unfinished")
            _run([go, "build", "-trimpath", "-ldflags=-s -w", "-o", str(unfinished), package], name, source, environment)
            unfinished.rename(binary)
    return binary


def _run(command, name, folder, environment):
    try:
        done = subprocess.run(["nice", *map(str, command)], cwd=folder, env=environment, capture_output=True, text=True,
                              check=False, timeout=BUILD_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        raise collector.Unavailable(f"{name} did not build within {BUILD_SECONDS_MAX} s") from None
    if done.returncode != 0:
        raise collector.Unavailable(f"{name} does not build here: " + " | ".join(done.stderr.splitlines()[-3:]))
    return done.stdout
