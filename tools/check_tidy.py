#!/usr/bin/env python3
"""clang-tidy over the product's sources, two at a time, remembering what was found clean.

    tools/check_tidy.py [--build DIR] [--minutes N] [FILE...]

A file is looked at again only when it, a header of ours that it includes, its flags, .clang-tidy or
the tool have changed. Out of time, the rest is named and not judged. Exit 1: something was found;
77: there is no clang-tidy here.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOL = "clang-tidy-14"
FOLDERS = ("shm", "engine", "exporters", "tools")
# clang 14 cannot parse it: no C++20 coroutines with g++'s library.
EXEMPT = ("tools/receiver/receiver.cc",)
# For warnings that only g++ knows.
EXTRA = ["--extra-arg=-Wno-unknown-warning-option"]


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    folder = pathlib.Path(base) / "sidecast" / "tidy"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def project_dependencies(build):
    """Source file -> the files of ours it was compiled from, as the last build saw it."""
    answer = subprocess.run(["ninja", "-C", build, "-t", "deps"], capture_output=True, text=True, check=True)
    dependencies, current = {}, []
    for line in answer.stdout.splitlines():
        if not line.startswith("    "):
            current = []
            continue
        path = pathlib.Path(os.path.normpath(os.path.join(build, line.strip())))
        if path.is_relative_to(ROOT):
            current.append(path)
            dependencies.setdefault(current[0], current)
    return dependencies


def fingerprint(entry, dependencies, version):
    digest = hashlib.sha256(version.encode())
    digest.update((ROOT / ".clang-tidy").read_bytes())
    # Another checkout at another place has other paths and the same findings.
    digest.update(entry["command"].replace(str(ROOT), "").encode())
    for path in dependencies.get(pathlib.Path(entry["file"]), []):
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()


def entries_to_check(build, wanted):
    seen = set()
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(entry["file"])
        if path in seen or not path.is_relative_to(ROOT):
            continue
        name = path.relative_to(ROOT).as_posix()
        if name not in EXEMPT and (name in wanted if wanted else name.split("/")[0] in FOLDERS):
            seen.add(path)
            yield name, entry


def look_at(name, build):
    command = [TOOL, "-p", str(build), "--quiet", *EXTRA, str(ROOT / name)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    findings = re.sub(r"^\d+ warnings? .*\n?", "", answer.stdout, flags=re.M).strip()
    return answer.returncode == 0, findings or answer.stderr.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=ROOT / "build" / "dev", type=pathlib.Path)
    parser.add_argument("--minutes", default=0.0, type=float, help="stop looking after that long; 0 = no bound")
    parser.add_argument("files", nargs="*", help="from the repository root; none = all")
    options = parser.parse_args()
    if not shutil.which(TOOL):
        print(f"check_tidy: {TOOL} is not installed", file=sys.stderr)
        return 77
    version = subprocess.run([TOOL, "--version"], capture_output=True, text=True, check=True).stdout
    deadline = time.monotonic() + options.minutes * 60 if options.minutes else float("inf")
    cache = cache_folder()
    dependencies = project_dependencies(options.build)
    entries = list(entries_to_check(options.build.resolve(), set(options.files)))
    if not entries:
        print("check_tidy: nothing to look at; build first", file=sys.stderr)
        return 2

    counts = {"clean": 0, "known": 0, "found": 0}
    unseen = []

    def check(name, entry):
        marker = cache / fingerprint(entry, dependencies, version)
        if marker.exists():
            counts["known"] += 1
            return
        if time.monotonic() > deadline:
            unseen.append(name)
            return
        clean, findings = look_at(name, options.build)
        if clean:
            counts["clean"] += 1
            marker.touch()
        else:
            counts["found"] += 1
            print(f"{name}:\n{findings}", flush=True)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        # A failure of the check itself must not look like a clean file.
        for future in [pool.submit(check, *each) for each in entries]:
            future.result()
    print(f"check_tidy: {len(entries)} files: {counts['clean']} clean, {counts['known']} known to be clean, "
          f"{counts['found']} with findings, {len(unseen)} not looked at")
    if unseen:
        print(f"check_tidy: out of time before {', '.join(sorted(unseen))}")
    return 1 if counts["found"] else 0


if __name__ == "__main__":
    sys.exit(main())
