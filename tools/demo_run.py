#!/usr/bin/env python3
"""The run behind tools/demo: two gateway processes, the engine, a receiver, and what came of it."""

import argparse
import os
import pathlib
import subprocess
import sys
import time

import pipeline

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = pathlib.Path(os.environ.get("SIDECAST_DATA") or ROOT.parent / "shared" / "data")
BINARIES = ROOT / "build" / "release" / "bin"
GATEWAYS = 2
TRACES_SHOWN = 4
TRACE_SPANS_SHOWN_MAX = 10
SAMPLE_RECORDS_PER_SECOND = 200


def choose_input():
    """What to play and at which pace: (what it is, arguments of replay)."""
    recorded = DATA / "exchanges.jsonl.gz"
    arrivals = DATA / "arrivals" / "servegen_m-large_10min.csv.gz"
    if recorded.is_file() and arrivals.is_file():
        what = "recorded exchanges with some forty providers, at the pace of a real arrival trace"
        return what, [recorded, "--arrivals", arrivals]
    print(f"No recorded exchanges in {DATA} (SIDECAST_DATA says where they are): playing the sample.")
    what = f"the repository's own sample of every API shape, {SAMPLE_RECORDS_PER_SECOND} a second"
    sample = ROOT / "tools" / "sample" / "exchanges.jsonl"
    return what, [sample, "--rate", str(SAMPLE_RECORDS_PER_SECOND), "--repeat", "0"]


def heading(text):
    print(f"\n── {text} " + "─" * max(0, 76 - len(text)), flush=True)


class Progress:
    """One line that is written over; where there is no terminal, a line every five seconds."""

    def __init__(self):
        self.started = time.monotonic()
        self.said_at = 0.0
        self.overwrites = sys.stdout.isatty()

    def show(self, stats):
        elapsed = time.monotonic() - self.started
        if elapsed - self.said_at < (0.2 if self.overwrites else 5):
            return
        self.said_at = elapsed
        destination = stats["destinations"][0]
        rings = stats["rings"]
        line = (f"{elapsed:5.1f} s  written {stats['records']['written']:,}  delivered {destination['delivered']:,}  "
                f"on the way {stats['records']['unread'] + destination['pending']:,}  "
                f"rings {sum(ring['used_bytes'] for ring in rings) / 1024:,.0f} KiB full  "
                f"answer {destination['latency_ms']['p50']:.0f} ms")
        print(f"\r\x1b[K{line}" if self.overwrites else line, end="" if self.overwrites else "\n", flush=True)

    def end(self):
        if self.overwrites:
            print()


def show(*command):
    subprocess.run([str(word) for word in command], check=False)


def pick_traces(spans, picked):
    """A few traces that fit a screen and differ: with a cost first, then with most spans, one a name."""
    traces = {}
    for line, span in zip(pipeline.read_lines(spans), pipeline.read_spans(spans)):
        traces.setdefault(span["traceId"], []).append((line, span))

    def interest(trace):
        has_cost = any("gen_ai.usage.total_cost" in span["attributes"] for _, span in trace)
        return has_cost, len(trace)

    fitting = [trace for trace in traces.values() if len(trace) <= TRACE_SPANS_SHOWN_MAX]
    # The sample is played over and over: its traces grow, and their beginning must do.
    fitting = fitting or [trace[:TRACE_SPANS_SHOWN_MAX] for trace in traces.values()]
    chosen = {}
    for trace in sorted(fitting, key=interest, reverse=True):
        chosen.setdefault(trace[0][1]["name"], trace)
        if len(chosen) == TRACES_SHOWN:
            break
    picked.write_text("".join(f"{line}\n" for trace in chosen.values() for line, _ in trace))


def play(run, seconds):
    """The whole run; its verdict, as (records written, distinct records delivered)."""
    sink = run.start_sink("sink")
    run.write_config([{"name": "demo", "type": "otlp", "endpoint": f"http://{sink.address}", "compression": "zstd"}],
                     batch_age_max="500ms")
    engine = run.start_engine()
    what, arguments = choose_input()
    heading(f"{GATEWAYS} gateway processes > shared memory > sidecastd > OTLP receiver, {seconds} s")
    print(f"Playing {what}.")
    ids = run.folder / "ids.log"
    replay = run.start_replay(*arguments, "--duration", str(seconds), "--processes", str(GATEWAYS), "--with-trace",
                              "--ids", ids)
    progress = Progress()
    while replay.is_running():
        stats = run.stats_or_none()
        if stats:
            progress.show(stats)
        time.sleep(0.2)
    progress.end()
    code, summary = replay.wait()
    if code != 0:
        raise pipeline.Failure(f"replay ended with {code}\n{summary}{replay.last_words()}")
    print(summary.splitlines()[0])
    run.wait_until_settled()
    heading("The ledger: sidecast stats")
    show(BINARIES / "sidecast", "stats", "--ring-dir", run.ring_dir)
    engine.stop()
    sink.stop()
    heading("A few of the traces that arrived: sidecast traces")
    picked = run.folder / "picked.jsonl"
    pick_traces(sink.out, picked)
    show(BINARIES / "sidecast", "traces", picked, "-n", TRACES_SHOWN)
    return judge(run.stats("--check"), pipeline.read_lines(ids), sink)


def judge(stats, ids, sink):
    key = "trace.metadata.gateway.generation_id"
    arrived = {span["attributes"][key] for span in pipeline.read_spans(sink.out) if key in span["attributes"]}
    heading("The verdict")
    destination = stats["destinations"][0]
    print(f"written by the gateways   {len(ids):>8,}")
    print(f"delivered by the engine   {destination['delivered']:>8,}")
    print(f"found at the receiver     {len(arrived & set(ids)):>8,}   (distinct generation ids)")
    return len(ids) > 0 and arrived == set(ids) and destination["delivered"] == len(ids)


def say_what_next():
    heading("What to do next")
    print("""\
  build/release/bin/sidecast init > sidecast.yaml    a commented config to start from
  build/release/bin/sidecastd --config sidecast.yaml
  build/release/bin/sidecast stats --watch           what it is doing, now
  shm/include/sidecast.h, README.md                  a writer for your own gateway, in ten minutes
  tools/test                                         every test""")


def main():
    parser = argparse.ArgumentParser(prog="tools/demo")
    parser.add_argument("--seconds", type=int, default=20, help="how long the gateways write")
    options = parser.parse_args()
    with pipeline.Pipeline(BINARIES) as run:
        try:
            complete = play(run, options.seconds)
        except pipeline.Failure as failure:
            print(f"\nThe demo failed: {failure}")
            return 1
    if not complete:
        print("\nNot everything that was written was delivered.")
        return 1
    print("Everything that was written was delivered, once.")
    say_what_next()
    return 0


if __name__ == "__main__":
    sys.exit(main())
