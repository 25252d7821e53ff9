"""Receivers of OTLP in JSON that do what they should not, each at a port of its own, changeable while they run.

What a receiver took it remembers by generation id, with the delay since the request ended; of every
request it notes when it came, how long it was open and how many others were. One thread serves all of
a process. As a program it prints its ports and serves until its input ends:

    faulty_receiver.py MANNER...
"""

import asyncio
import gzip
import json
import random
import socket
import struct
import sys
import threading
import time

import end_to_end

PAGE = b"<!DOCTYPE html><html><head><title>Bad gateway</title></head><body>Sorry.</body></html>"
SLOW_BYTES_PER_S = 20_000

# What stands for a request's end when it is one of many faults at random.
PASSING_FAULTS = ("reset", "closed", "half", "lose", "status 429", "status 503", "status 502", "hang 1")


class Receiver:
    """One listener. `manner` may be changed at any time and holds for requests that come later.

    take        200, and remembers what was in it         partial N   the same, but for the last N spans
    status N    answers N                                 html N      answers N with a web page
    hang [S]    no answer, or a 503 after S seconds       slow        200 at a hundredth of what others need
    flood       200 and a body without end                reset       resets the connection
    closed      ends it without an answer                 half        half an answer, stored
    lose        stored, then reset                        random      one of PASSING_FAULTS, three times in ten
    """

    def __init__(self, manner="take", seed=0):
        self.manner = manner
        self.headers = {}  # of every answer
        self.taken = {}  # generation id -> when it came first, in seconds after the record's end
        self.requests = []  # (time it was read, seconds it was open, records, others open meanwhile)
        self.open = 0
        self.host = "127.0.0.1"
        self.port = 0
        self._dice = random.Random(seed)
        self._server = None
        self._writers = set()

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    async def listen(self):
        self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=1 << 20, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]

    async def go_away(self):
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader, writer):
        self._writers.add(writer)
        try:
            while await self._serve_request(reader, writer):
                pass
        except (ConnectionError, asyncio.CancelledError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client has gone, or the receiver shall
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _serve_request(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        body = await reader.readexactly(int(fields.get("content-length", "0")))
        began = time.time()
        self.open += 1
        others = self.open
        records = 0
        try:
            manner, *argument = self.manner.split()
            if manner == "random":
                manner, *argument = self._chance().split()
            number = float(argument[0]) if argument else None
            if manner in ("take", "partial", "slow", "lose", "half"):
                records = self._take(fields, body, int(number) if manner == "partial" else 0, began)
            return await self._answer(writer, manner, number, len(body))
        finally:
            self.open -= 1
            self.requests.append((began, time.time() - began, records, others))

    def _chance(self):
        return self._dice.choice(PASSING_FAULTS) if self._dice.random() < 0.3 else "take"

    def _take(self, fields, body, but, now):
        if fields.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        spans = [span for resource in json.loads(body)["resourceSpans"]
                 for scope in resource["scopeSpans"] for span in scope["spans"]]
        for span in spans[:len(spans) - but]:
            for attribute in span["attributes"]:
                if attribute["key"] == end_to_end.GENERATION_KEY:
                    ended = int(span["endTimeUnixNano"]) / 1e9
                    self.taken.setdefault(attribute["value"]["stringValue"], now - ended)
        return len(spans)

    async def _answer(self, writer, manner, number, size):
        if manner in ("reset", "lose"):
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if manner == "closed":
            return False
        if manner == "half":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
            await writer.drain()
            return False
        if manner == "flood":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        status, type_, answer = 200, "application/json", b"{}"
        if manner == "slow":
            await asyncio.sleep(1 + size / SLOW_BYTES_PER_S)
        elif manner == "partial":
            answer = json.dumps({"partialSuccess": {"rejectedSpans": str(int(number))}}).encode()
        elif manner == "status":
            status = int(number)
        elif manner == "html":
            status, type_, answer = int(number), "text/html; charset=utf-8", PAGE
        elif manner == "hang":
            await asyncio.sleep(number or 3600)
            status = 503
        fields = {"Content-Type": type_, "Content-Length": len(answer), **self.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"HTTP/1.1 {status} As asked\r\n{head}\r\n".encode() + answer)
        await writer.drain()
        return True


class Receivers:
    """A thread that serves any number of them, until close()."""

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        self._receivers = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def start(self, manner="take", seed=0):
        receiver = Receiver(manner, seed)
        self.listen(receiver)
        return receiver

    def listen(self, receiver):
        self._run(receiver.listen())
        self._receivers.append(receiver)

    def go_away(self, receiver):
        """As when a server's process ends: its connections break, and new ones are refused."""
        self._run(receiver.go_away())

    def close(self):
        for receiver in self._receivers:
            self.go_away(receiver)
        self._run(self._cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @staticmethod
    async def _cancel_all():
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def main():
    receivers = Receivers()
    print(json.dumps([receivers.start(manner).port for manner in sys.argv[1:]]), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
