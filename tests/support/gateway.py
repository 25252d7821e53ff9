"""A gateway in one file: libsidecast.so by ctypes, as a Python gateway would use it, in many process shapes.

As a program: gateway.py LIBRARY RING_DIR IDS SHAPE. The id of each record is appended to IDS after its
write returned. Needs nothing but the standard library, so that it runs in any container.
"""

import ctypes
import multiprocessing
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

OK, DISABLED = 0, 5
RECORDS = 40  # per process
WATCHDOG_S = 60


class _Text(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("size", ctypes.c_size_t)]


class _Body(ctypes.Structure):
    _fields_ = [("slices", ctypes.c_void_p), ("count", ctypes.c_size_t)]


class _Options(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("ring_dir", ctypes.c_char_p), ("process", ctypes.c_char_p),
                ("ring_bytes", ctypes.c_uint64), ("lanes", ctypes.c_uint32), ("flags", ctypes.c_uint32),
                ("record_bytes_max", ctypes.c_uint64)]


class _Generation(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("flags", ctypes.c_uint32), ("http_status", ctypes.c_int32),
                *((name, _Text) for name in (
                    "generation_id", "account", "api_key_id", "api_key_name", "user_id", "session_id", "trace_json",
                    "attributes_json", "operation", "provider", "model_requested", "model_served", "endpoint",
                    "region")),
                ("request", _Body), ("response", _Body),
                *((name, ctypes.c_int64) for name in ("start_ns", "first_token_ns", "end_ns")),
                ("error_type", _Text), ("error_message", _Text),
                ("usage_present", ctypes.c_uint32), ("attempt_count", ctypes.c_uint32),
                ("usage", ctypes.c_int64 * 6), ("cost", ctypes.c_double * 3), ("attempts", ctypes.c_void_p)]


class _Span(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("flags", ctypes.c_uint32), ("kind", ctypes.c_int32),
                *((name, _Text) for name in (
                    "span_id", "parent_id", "name", "account", "api_key_id", "api_key_name", "user_id", "session_id",
                    "trace_json", "attributes_json")),
                ("input", _Body), ("output", _Body), ("start_ns", ctypes.c_int64), ("end_ns", ctypes.c_int64),
                ("error_type", _Text), ("error_message", _Text)]


class Gateway:
    """One writer. Ids are unique over all processes and logged once their write has returned."""

    def __init__(self, library, ring_dir, ids, process="gateway"):
        self._ids = ids
        self._written = 0
        self._library = ctypes.CDLL(str(library))
        options = _Options(struct_size=ctypes.sizeof(_Options), ring_dir=os.fsencode(ring_dir),
                           process=process.encode(), ring_bytes=1 << 20, lanes=4)
        self._writer = ctypes.c_void_p()
        self.opened = self._library.sidecast_open(ctypes.byref(options), ctypes.byref(self._writer))

    def refresh(self):
        return self._library.sidecast_refresh(self._writer)

    def write(self, name, account=b""):
        generation = f"{name}-{os.getpid()}-{self._written}"
        self._written += 1
        now = time.time_ns()
        record = _Generation(struct_size=ctypes.sizeof(_Generation), http_status=200, start_ns=now, end_ns=now)
        record.generation_id = _Text(generation.encode(), len(generation))
        record.account = _Text(account, len(account))
        status = self._library.sidecast_write_generation(self._writer, ctypes.byref(record))
        if status == OK:
            log = os.open(self._ids, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            os.write(log, f"{generation}\n".encode())
            os.close(log)
        return status

    def write_fields(self, request=b"", **texts):
        """One record with these text fields and that request body. Returns the status."""
        now = time.time_ns()
        record = _Generation(struct_size=ctypes.sizeof(_Generation), http_status=200, start_ns=now, end_ns=now)
        kept = {name: text.encode() for name, text in texts.items()}
        for name, text in kept.items():
            setattr(record, name, _Text(text, len(text)))
        piece = _Text(request, len(request))
        record.request = _Body(ctypes.cast(ctypes.pointer(piece), ctypes.c_void_p), 1)
        return self._library.sidecast_write_generation(self._writer, ctypes.byref(record))

    def write_span(self, kind, **fields):
        """One explicit span that ends now; `fields` are texts by their names in the C struct."""
        now = time.time_ns()
        record = _Span(struct_size=ctypes.sizeof(_Span), kind=kind, start_ns=now, end_ns=now)
        keep = []  # what the struct points to
        for name, text in fields.items():
            encoded = text.encode()
            slice_ = _Text(encoded, len(encoded))
            keep.append(slice_)
            value = _Body(ctypes.addressof(slice_), 1) if name in ("input", "output") else slice_
            setattr(record, name, value)
        return self._library.sidecast_write_span(self._writer, ctypes.byref(record))

    def write_many(self, name, count=RECORDS):
        """All must be taken: the ring has room for them."""
        for _ in range(count):
            status = self.write(name)
            if status != OK:
                raise SystemExit(f"{name}: a write returned {status}")


def _fork(body):
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        body()
        code = 0
    finally:
        os._exit(code)


def _reap(children, expected=0):
    for child in children:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status != expected:
            raise SystemExit(f"a child ended with {status}, not {expected}")


def _write_then_die(gateway):
    gateway.write_many("killed")
    os.kill(os.getpid(), signal.SIGKILL)


# ---- The shapes. Each is given an open gateway and how it was opened.


def preload(gateway, _):
    """gunicorn --preload: the application writes before it forks its workers; some are killed."""
    gateway.write_many("master")
    workers = [_fork(lambda: gateway.write_many("worker")) for _ in range(3)]
    killed = _fork(lambda: _write_then_die(gateway))
    _reap(workers)
    _reap([killed], -signal.SIGKILL)
    gateway.write_many("master-later")


def master_never_writes(gateway, _):
    """uwsgi: loaded in the master, used in the workers, and workers forked again after a crash."""
    for _ in range(3):
        _reap([_fork(lambda: (gateway.refresh(), gateway.write_many("worker")))])


def pool(gateway, arguments):
    """multiprocessing, both ways to start a process."""
    gateway.write_many("parent")
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        children = [context.Process(target=_in_pool, args=arguments) for _ in range(2)]
        for child in children:
            child.start()
        for child in children:
            child.join(WATCHDOG_S)
            if child.exitcode != 0:
                raise SystemExit(f"{method}: a child ended with {child.exitcode}")


def _in_pool(*arguments):
    Gateway(*arguments).write_many("pool")


def spawned_programs(gateway, _):
    """posix_spawn and vfork: other programs come and go, the ring stays ours."""
    for _ in range(5):
        pid = os.posix_spawn("/bin/true", ["true"], os.environ)
        gateway.write_many("beside-spawn", 5)
        _reap([pid])
        subprocess.run(["true"], check=True, close_fds=False)  # vfork, where Python may
        gateway.write_many("after-spawn", 5)


def closed_descriptors(gateway, _):
    """closefrom(): the lock is gone, we look dead. What was taken counts; refresh() makes a new ring."""
    gateway.write_many("before")
    os.closerange(3, 4096)
    deadline = time.monotonic() + WATCHDOG_S
    while gateway.write("closed") != DISABLED:
        time.sleep(0.005)  # a ring of this size would be full otherwise
        if time.monotonic() > deadline:
            raise SystemExit("the engine never took the ring of a writer without a lock")
    if gateway.refresh() != OK:
        raise SystemExit("no new ring after closefrom()")
    gateway.write_many("after")


def loaded_twice(gateway, arguments):
    """Two copies of the library in one process: two writers, two rings."""
    library, ring_dir, ids = arguments
    copy = pathlib.Path(ids).with_suffix(".so")
    shutil.copy(library, copy)
    other = Gateway(copy, ring_dir, ids)
    gateway.write_many("first-copy")
    other.write_many("second-copy")
    gateway.write_many("first-copy-again")


def replaced_by_exec(gateway, arguments):
    """exec without close: the new program is another gateway with the same pid."""
    gateway.write_many("before-exec")
    os.execv(sys.executable, [sys.executable, "-B", __file__, *arguments, "exit_without_close"])


def exit_without_close(gateway, _):
    gateway.write_many("last")
    os._exit(0)


def killed_with_idle_children(gateway, _):
    """The parent is killed; children that never write live on, with copies of its descriptors."""
    gateway.write_many("parent")
    child = _fork(lambda: (os.read(0, 1), None))  # until whoever started us closes our input
    print(child, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for_input(gateway, _):
    """Writes, says so, and lives on until its input ends."""
    gateway.write_many("living")
    print("written", flush=True)
    os.read(0, 1)


def stranger(gateway, arguments):
    """May create in the ring directory, but neither list it nor read or remove the rings of others."""
    ring_dir = arguments[1]
    for what, forbidden in (
            ("list", lambda: os.listdir(ring_dir)),
            ("read", lambda: open(os.path.join(ring_dir, os.environ["OTHERS_RING"]), "rb").close()),
            ("remove", lambda: os.unlink(os.path.join(ring_dir, os.environ["OTHERS_RING"])))):
        try:
            forbidden()
        except PermissionError:
            continue
        raise SystemExit(f"a stranger may {what}")
    wait_for_input(gateway, arguments)


SHAPES = (preload, master_never_writes, pool, spawned_programs, closed_descriptors, loaded_twice, replaced_by_exec,
          exit_without_close)


def main():
    *arguments, shape = sys.argv[1:]
    gateway = Gateway(*arguments)
    if gateway.opened != OK:
        raise SystemExit(f"open returned {gateway.opened}")
    globals()[shape](gateway, arguments)


if __name__ == "__main__":
    main()
