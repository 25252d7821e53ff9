"""A Kafka broker that has whatever topic it is asked for, with one partition, and hands what is produced to its owner. It
knows no more requests than a producer needs, and checks neither checksums nor sequence numbers."""

import struct

import advertising_broker

FETCH = 1  # nobody does, but without it a producer believes that records of today are not known


class Reader:
    """The fields of a request, one after the other."""

    def __init__(self, body):
        self._body = body
        self._at = 0

    def number(self, form):
        (value,) = struct.unpack_from(form, self._body, self._at)
        self._at += struct.calcsize(form)
        return value

    def bytes(self, form=">h"):
        size = max(self.number(form), 0)
        self._at += size
        return self._body[self._at - size:self._at]


class TakingBroker(advertising_broker.AdvertisingBroker):
    """`take(topic, records)` returns Kafka's error code, or None to end the connection. Records are as they came, so what
    is not compressed can be read in them."""

    spoken = [*advertising_broker.SPOKEN, (FETCH, 4, 11)]

    def __init__(self, host, take):
        self._take = take
        super().__init__(host, None)
        name, _, port = self.brokers.rpartition(":")
        self.advertised = (name, int(port))

    def _topics(self, body):
        reader = Reader(body)
        reader.bytes()  # the client's name
        return [reader.bytes() for _ in range(max(reader.number(">i"), 0))]

    def _answer(self, key, version, body):
        if key != advertising_broker.PRODUCE:
            return super()._answer(key, version, body)
        if version != 7:
            raise ValueError(f"version {version}")
        reader = Reader(body)
        reader.bytes()  # the client's name
        reader.bytes()  # a transaction's
        reader.number(">h")  # acks
        reader.number(">i")  # timeout
        answers = []
        for _ in range(reader.number(">i")):
            topic = reader.bytes()
            rows = []
            for _ in range(reader.number(">i")):
                partition = reader.number(">i")
                code = self._take(topic.decode(), reader.bytes(">i"))
                if code is None:
                    raise ConnectionAbortedError
                rows.append(struct.pack(">ihqqq", partition, code, 0, -1, 0))
            answers.append(advertising_broker.text(topic) + struct.pack(">i", len(rows)) + b"".join(rows))
        return struct.pack(">i", len(answers)) + b"".join(answers) + struct.pack(">i", 0)
