#!/usr/bin/env python3
"""The layer table of the architecture as a test over #include lines.

    tools/check_layers.py [ROOT]

One line per breach, exit 1 when there is one. A file's module follows from its path. An include in
quotes is one of ours and is written from the repository root, so that each crossing is visible; one
in angle brackets is the standard library's or the system's unless LIBRARIES names it.
"""

import fnmatch
import pathlib
import re
import sys

# module: (its files, what of ours it may include, why not more). The first match decides.
MODULES = [
    ("shm", "shm/*", ["shm/*"], "it runs inside gateways and needs no other module"),
    ("engine/base", "engine/base/*", ["engine/base/*"], "everything stands on it"),
    ("engine/model", "engine/model/*", ["engine/base/*", "engine/model/*"], "it is plain data"),
    (
        "exporters",
        "exporters/*",
        ["engine/base/*", "engine/model/*", "exporters/*"],
        "it knows neither rings nor the pipeline",
    ),
    (
        "engine",
        "engine/*",
        [
            "engine/*",
            # The reader's side of the ring, and the enumerators that writers put into records.
            "shm/include/sidecast.h",
            "shm/reader.h",
            "shm/record.h",
            "shm/settings.h",
            # Destinations by name, their interface, and what makes and sends a batch's bytes.
            "exporters/registry.h",
            "exporters/exporter.h",
            "exporters/write.h",
            "exporters/exchange.h",
            "exporters/compress/compress.h",
            "exporters/http/egress.h",
            "exporters/compress/decompress.h",
            "exporters/http/loop.h",
        ],
        "it sees the ring's reader side and exporters by name only",
    ),
    ("tools", "tools/*", ["*"], ""),
    ("bench", "bench/*", ["*"], ""),
    ("tests", "tests/*", ["*"], ""),
]

# Narrower than the module: within exporters, destinations neither open sockets nor know each other.
FORBIDDEN = [
    ("exporters/destinations/*", "exporters/http/*", "destinations are pure functions; the loop is not theirs"),
    ("exporters/destinations/*", "exporters/kafka/*", "destinations are pure functions; the channel is not theirs"),
    ("exporters/kafka/*", "exporters/destinations/*", "a channel does not know destinations"),
    ("exporters/dialects/*", "exporters/destinations/*", "dialects do not know destinations"),
    ("exporters/encode/*", "exporters/destinations/*", "encoders do not know destinations"),
    ("exporters/http/*", "exporters/destinations/*", "the loop does not know destinations"),
]
# A destination is a line of this list; its files are NAME.* and NAME_*. What stands in the folder under
# no such name (the OTLP exporter behind the preset table, answers, options) is shared by all.
DESTINATIONS = "exporters/destinations/*"
REGISTRY = "exporters/registry.h"

# A library: (its headers, the product's files that may include it). tools, bench and tests may use all.
LIBRARIES = [
    ("Boost.Interprocess", ["boost/interprocess/*"], ["shm/ring_file.cc"]),
    ("Boost", ["boost/*"], []),
    ("libcurl", ["curl/*"], ["exporters/http/*"]),
    ("librdkafka", ["librdkafka/*", "rdkafka*"], ["exporters/kafka/*"]),
    ("yaml-cpp", ["yaml-cpp/*"], ["engine/config/*"]),
    ("simdjson", ["simdjson.h"], ["engine/normalise/*", "exporters/*"]),
    ("protozero", ["protozero/*"], ["exporters/*"]),
    ("zstd", ["zstd*.h", "zdict.h"], ["exporters/compress/*"]),
    ("ISA-L", ["isa-l*", "igzip_lib.h"], ["exporters/compress/*", "engine/normalise/event_stream.cc"]),
    ("libsodium", ["sodium*"], ["engine/base/*", "engine/config/*"]),
    ("RE2", ["re2/*"], ["engine/config/*", "engine/route/*"]),
    ("spdlog", ["spdlog/*"], ["engine/base/log.*"]),
    ("fmt", ["fmt/*"], ["engine/*", "exporters/*"]),
    ("tl::expected", ["tl/*"], ["engine/*", "exporters/*"]),
    ("xxhash", ["xxhash.h", "xxh3.h"], ["engine/*"]),
    ("ConcurrentQueue", ["concurrentqueue/*", "concurrentqueue.h", "blockingconcurrentqueue.h"], ["engine/*", "exporters/http/*"]),
    ("CLI11", ["CLI/*"], ["engine/main.cc"]),
    ("nlohmann-json", ["nlohmann/*"], []),
    ("OpenSSL", ["openssl/*"], ["engine/base/*"]),
    ("zlib", ["zlib.h"], ["exporters/compress/*"]),
    ("protobuf", ["google/protobuf/*"], []),
    ("cpp-httplib", ["httplib.h"], []),
    ("GoogleTest", ["gtest/*", "gmock/*"], []),
    ("rapidcheck", ["rapidcheck*"], []),
    ("Google Benchmark", ["benchmark/*"], []),
]
UNBOUND = ("tools/*", "bench/*", "tests/*")

SUFFIXES = {".h", ".hpp", ".cc", ".cpp", ".c"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
# Written by the build from a .proto: found in the build tree, and for tools and tests only.
GENERATED = re.compile(r"\.pb\.h$")


def matches(path, patterns):
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def module_of(path):
    for module in MODULES:
        if matches(path, [module[1]]):
            return module
    return None


def destination_of(root, path):
    """The registered destination a file belongs to, or None."""
    registry = root / REGISTRY
    if not matches(path, [DESTINATIONS]) or not registry.is_file():
        return None
    stem = pathlib.PurePath(path).stem
    for name in re.findall(r"\bX\((\w+)\)", registry.read_text(encoding="utf-8")):
        if stem == name or stem.startswith(name + "_"):
            return name
    return None


def breach_of_own(root, path, module, target):
    """What is wrong with `#include "target"` in `path`, or None."""
    name, _, allowed, reason = module
    if GENERATED.search(target):
        return None if matches(path, UNBOUND) else f"{name} may not include generated {target}"
    if not (root / target).is_file():
        return f'"{target}" is not a file from the repository root'
    if not matches(target, allowed):
        return f"{name} may not include {target}: {reason}"
    for files, targets, why in FORBIDDEN:
        if matches(path, [files]) and matches(target, [targets]):
            return f"may not include {target}: {why}"
    owner = destination_of(root, target)
    if owner and matches(path, [DESTINATIONS]) and destination_of(root, path) != owner:
        return f"may not include {target}: it is {owner}'s, and a destination does not know another"
    return None


def breach_of_library(path, target):
    """What is wrong with `#include <target>` in `path`, or None."""
    if matches(path, UNBOUND):
        return None
    for library, headers, allowed in LIBRARIES:
        if matches(target, headers):
            if matches(path, allowed):
                return None
            where = f"only in {', '.join(allowed)}" if allowed else "only in tools, bench and tests"
            return f"may not include <{target}>: {library} {where}"
    return None


def check_file(root, path):
    module = module_of(path)
    breaches = []
    text = (root / path).read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        found = INCLUDE.match(line)
        if not found:
            continue
        own, library = found.groups()
        if own is not None:
            breach = breach_of_own(root, path, module, own)
        else:
            breach = breach_of_library(path, library)
        if breach:
            breaches.append(f"{path}:{number}: {breach}")
    return breaches


def sources(root):
    for folder in sorted({module[1].split("/")[0] for module in MODULES}):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                yield path.relative_to(root).as_posix()


def check(root):
    """Every breach in the tree, and how many files were read."""
    root = pathlib.Path(root)
    files = list(sources(root))
    return [breach for path in files for breach in check_file(root, path)], len(files)


def main(arguments):
    if len(arguments) > 1:
        print(__doc__, file=sys.stderr)
        return 2
    root = arguments[0] if arguments else pathlib.Path(__file__).resolve().parent.parent
    breaches, files = check(root)
    for breach in breaches:
        print(breach)
    if files == 0:
        print(f"check_layers: no sources below {root}", file=sys.stderr)
        return 2
    print(f"check_layers: {files} files, {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
