"""OTLP/gRPC receivers that answer their first request as no server should, and take what comes later.

A few frames of HTTP/2 are all that this speaks (RFC 9113, RFC 7541 without compression), so that it can also break
them where a library would not. Requests are to come uncompressed: what was taken is known by the ids that stand in it.
"""

import base64
import contextlib
import socket
import struct
import threading

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_PREFACE_BYTES = 24
_WINDOW = 1 << 20


def message(content=b""):
    return struct.pack(">BI", 0, len(content)) + content


def _field(number, content):
    return bytes([number << 3 | 2, len(content)]) + content


def retry_info(code, seconds):
    """grpc-status-details-bin with a wait, without padding, as grpc-go sends it."""
    varint = bytearray()
    while seconds >= 0x80:
        varint.append(seconds & 0x7F | 0x80)
        seconds >>= 7
    delay = _field(1, b"\x08" + bytes(varint) + bytes([seconds]))
    detail = _field(1, b"type.googleapis.com/google.rpc.RetryInfo") + _field(2, delay)
    status = bytes([0x08, code]) + _field(3, detail)
    return base64.b64encode(status).rstrip(b"=").decode()


class Connection:
    """One client's. `answer` of a fault writes through this."""

    def __init__(self, stream):
        self._socket = stream

    def frame(self, kind, flags, stream, content=b""):
        self._socket.sendall(struct.pack(">I", len(content))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + content)

    def headers(self, stream, fields, ends=False):
        """Each as a literal that is never indexed."""
        block = b""
        for name, value in fields.items():
            name, value = name.encode(), str(value).encode()
            block += b"\x10"
            for text in (name, value):
                block += bytes([len(text)]) if len(text) < 127 else bytes([127, len(text) - 127])
                block += text
        self.frame(_HEADERS, _END_HEADERS | (_END_STREAM if ends else 0), stream, block)

    def begin(self, stream, status=200, kind="application/grpc", ends=False, **more):
        fields = {name.replace("_", "-"): value for name, value in more.items()}
        self.headers(stream, {":status": status, "content-type": kind, **fields}, ends)

    def data(self, stream, content, ends=False):
        self.frame(_DATA, _END_STREAM if ends else 0, stream, content)

    def reset(self, stream, code):
        self.frame(_RST_STREAM, 0, stream, struct.pack(">I", code))

    def goaway(self, last_stream, code=0):
        self.frame(_GOAWAY, 0, 0, struct.pack(">II", last_stream, code))

    def raw(self, content):
        self._socket.sendall(content)

    def close(self):
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def take(self, stream):
        self.begin(stream)
        self.data(stream, message())
        self.headers(stream, {"grpc-status": 0}, ends=True)

    # ---- what comes in

    def _read(self, size):
        content = b""
        while len(content) < size:
            part = self._socket.recv(size - len(content))
            if not part:
                raise ConnectionError("the client has gone")
            content += part
        return content

    def requests(self):
        """(stream, body) of each, as they end."""
        self._read(_PREFACE_BYTES)
        self.frame(_SETTINGS, 0, 0, struct.pack(">HI", 4, _WINDOW))  # INITIAL_WINDOW_SIZE
        self.frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _WINDOW))
        bodies = {}
        while True:
            head = self._read(9)
            size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            stream = int.from_bytes(head[5:], "big") & 0x7FFFFFFF
            content = self._read(size)
            if kind == _SETTINGS and not flags & _ACK:
                self.frame(_SETTINGS, _ACK, 0)
            elif kind == _PING and not flags & _ACK:
                self.frame(_PING, _ACK, 0, content)
            elif kind == _DATA:
                bodies[stream] = bodies.get(stream, b"") + content
            if kind in (_DATA, _HEADERS) and flags & _END_STREAM:
                yield stream, bodies.pop(stream, b"")


class Receiver:
    """`answer(connection, stream)` writes the first answer, or raises ConnectionError to end the connection."""

    def __init__(self, answer):
        self.bodies = []  # of every request
        self.taken = []   # of those that were answered with 0
        self._answer = answer
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                stream, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(Connection(stream),), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError):
            for stream, body in connection.requests():
                with self._lock:
                    self.bodies.append(body)
                    is_first = len(self.bodies) == 1
                if is_first:
                    self._answer(connection, stream)
                    continue
                with self._lock:
                    self.taken.append(body)
                connection.take(stream)
        connection.close()
