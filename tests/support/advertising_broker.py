"""A Kafka broker that knows four requests: enough to name another one as the leader of a topic's only partition."""

import contextlib
import socket
import struct
import threading

PRODUCE, METADATA, API_VERSIONS, INIT_PRODUCER_ID = 0, 3, 18, 22
# What it says that it speaks: (key, from, to).
SPOKEN = [(PRODUCE, 0, 7), (METADATA, 0, 1), (API_VERSIONS, 0, 3), (INIT_PRODUCER_ID, 0, 0)]
FLEXIBLE_VERSIONS = 3  # of API_VERSIONS, from which on its answer has tags


def text(value):
    return struct.pack(">h", len(value)) + value


class AdvertisingBroker:
    """At `host`; names `advertised`, a (host, port), to whoever asks, and counts those that asked."""

    spoken = SPOKEN

    def __init__(self, host, advertised, topic=b"otlp_spans"):
        self.advertised = advertised
        self.topic = topic
        self.asked = 0
        self._listener = socket.socket()
        self._listener.bind((host, 0))
        self._listener.listen(50)
        self.brokers = f"{host}:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def _topics(self, _):
        return [self.topic]

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        # Either side may end it in the middle.
        with contextlib.suppress(ConnectionError), connection, connection.makefile("rwb") as stream:
            while len(head := stream.read(4)) == 4:
                request = stream.read(struct.unpack(">i", head)[0])
                key, version, correlation = struct.unpack(">hhi", request[:8])
                answer = struct.pack(">i", correlation) + self._answer(key, version, request[8:])
                stream.write(struct.pack(">i", len(answer)) + answer)
                stream.flush()

    def _answer(self, key, version, body):
        if key == API_VERSIONS:
            if version >= FLEXIBLE_VERSIONS:
                rows = b"".join(struct.pack(">hhhx", *row) for row in self.spoken)
                return struct.pack(">hB", 0, len(self.spoken) + 1) + rows + struct.pack(">ix", 0)
            rows = b"".join(struct.pack(">hhh", *row) for row in self.spoken)
            return struct.pack(">hi", 0, len(self.spoken)) + rows + (struct.pack(">i", 0) if version >= 1 else b"")
        if key == METADATA:
            self.asked += 1
            host, port = self.advertised
            broker = struct.pack(">ii", 1, 1) + text(host.encode()) + struct.pack(">i", port) + struct.pack(">h", -1)
            partition = struct.pack(">hiiiiii", 0, 0, 1, 1, 1, 1, 1)
            topics = [struct.pack(">h", 0) + text(name) + struct.pack(">?i", False, 1) + partition
                      for name in self._topics(body)]
            return broker + struct.pack(">ii", 1, len(topics)) + b"".join(topics)
        if key == INIT_PRODUCER_ID:
            return struct.pack(">ihqh", 0, 0, 1000, 0)
        raise ValueError(f"request {key}")
