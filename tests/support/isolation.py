"""How much a healthy destination feels of its neighbours: the delay from a request's end to its span's arrival."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

import end_to_end
import faulty_receiver
import pipeline

# What the others do, in turn. "dead" is an address at which nobody listens.
TROUBLES = ("dead", "slow", "flood", "reset", "hang", "status 503")


class Outcome:
    def __init__(self, delays, written, stats):
        self.delays = sorted(delays)
        self.written = written
        self.stats = stats

    @property
    def p99(self):
        return self.delays[len(self.delays) * 99 // 100]

    @property
    def median(self):
        return statistics.median(self.delays)


def _start_others(count):
    """Receivers in a process of their own, so that the healthy one has its thread to itself."""
    manners = [TROUBLES[index % len(TROUBLES)] for index in range(count)]
    command = [sys.executable, "-B", faulty_receiver.__file__, *(m if m != "dead" else "take" for m in manners)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    ports = json.loads(process.stdout.readline())
    return process, manners, ports


def _stats_of_one_moment(run):
    """None while batches move between memory and disk as they are read."""
    stats = run.stats()
    for each in stats["destinations"]:
        ends = sum(each["rejected"].values()) + sum(each["dropped"].values())
        if each["routed"] != each["delivered"] + ends + each["pending"] + each["spooled"]:
            return None
    return stats


def play(run, others, rate, seconds, has_spool=False, **settings):
    """Plays the sample beside so many other destinations, in a fresh pipeline; `run` is that pipeline."""
    if not has_spool:
        return _play(run, others, rate, seconds, **settings)
    # On a real disk where there is one; at once, so that batches move all the time.
    spool = tempfile.mkdtemp(prefix="sidecast-spool-")
    try:
        return _play(run, others, rate, seconds, spool={"dir": spool, "after": "0s"}, **settings)
    finally:
        shutil.rmtree(spool, ignore_errors=True)


def _play(run, others, rate, seconds, **settings):
    receivers = faulty_receiver.Receivers()
    process, manners, ports = _start_others(others)
    ids = run.folder / "ids.log"
    try:
        healthy = receivers.start()
        destinations = [end_to_end.generic_json(healthy.address, name="healthy", compression="gzip")]
        for index, (manner, port) in enumerate(zip(manners, ports)):
            address = f"127.0.0.1:{port if manner != 'dead' else 9}"  # 9: discard, not served
            destinations.append(end_to_end.generic_json(address, name=f"{manner.split()[0]}-{index}",
                                                        compression="gzip", timeout="5s"))
        run.write_config(destinations, **settings)
        engine = run.start_engine()
        run.replay(end_to_end.SAMPLE, "--repeat", "0", "--rate", str(rate), "--duration", str(seconds), "--ids", ids)
        written = pipeline.read_lines(ids)
        pipeline.wait_until(lambda: len(healthy.taken) >= len(set(written)), "the healthy destination to get everything")
        stats = pipeline.wait_until(lambda: _stats_of_one_moment(run), "figures that add up")
        engine.kill()
        return Outcome(healthy.taken.values(), written, {each["name"]: each for each in stats["destinations"]})
    finally:
        process.stdin.close()
        process.terminate()
        process.wait()
        process.stdout.close()
        receivers.close()
