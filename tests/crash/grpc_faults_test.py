"""OTLP/gRPC servers that misbehave, each in one way, once: the right verdict and an exact ledger for every one.

The table stands on reference "otlp" §6 and §7, and on nothing that the engine does.
"""

import itertools
import unittest

import end_to_end
import grpc_receiver
import pipeline

RECORDS = 5
NO_ANSWER_S = 2
CANCEL, REFUSED_STREAM, INTERNAL_ERROR, ENHANCE_YOUR_CALM = 8, 7, 2, 11
WEB_PAGE = b"<!DOCTYPE html><html><head><title>Oh no</title></head></html>"
RETRY, PAUSE, REFUSE, WAIT, TAKE, PARTLY = "retry", "pause", "refuse", "wait", "take", "partly"
RESEND = "resend"  # was not looked at (RFC 9113 8.7): sent once more at once, which is no retry

CODES = {1: RETRY, 2: REFUSE, 3: REFUSE, 4: RETRY, 5: PAUSE, 6: REFUSE, 7: PAUSE, 8: REFUSE, 9: REFUSE, 10: RETRY,
         11: RETRY, 12: PAUSE, 13: REFUSE, 14: RETRY, 15: RETRY, 16: PAUSE, 99: REFUSE}
HTTP = {400: REFUSE, 401: PAUSE, 403: PAUSE, 404: PAUSE, 429: RETRY, 500: REFUSE, 502: RETRY, 503: RETRY, 504: RETRY}


def trailers_only(**fields):
    return lambda connection, stream: connection.begin(stream, ends=True, **fields)


def headers_and_trailers(content=b"", **fields):
    def answer(connection, stream):
        connection.begin(stream)
        if content:
            connection.data(stream, content)
        connection.headers(stream, {name.replace("_", "-"): value for name, value in fields.items()}, ends=True)
    return answer


def end_the_connection(*_):
    raise ConnectionError


def no_status(connection, stream):
    connection.begin(stream)
    connection.data(stream, grpc_receiver.message(), ends=True)


def web_page(connection, stream):
    connection.begin(stream, kind="text/html")
    connection.data(stream, WEB_PAGE, ends=True)


def half_a_message(connection, stream):
    connection.begin(stream)
    connection.data(stream, grpc_receiver.message(b"x" * 100)[:20])
    raise ConnectionError


def half_a_frame(connection, stream):
    connection.begin(stream)
    connection.raw(b"\x00\x40\x00\x00\x00" + stream.to_bytes(4, "big") + b"cut")
    raise ConnectionError


def resets(code, begins):
    def answer(connection, stream):
        if begins:
            connection.begin(stream)
        connection.reset(stream, code)
    return answer


def goes_away(code, is_processed):
    def answer(connection, stream):
        connection.goaway(stream if is_processed else 0, code)
        raise ConnectionError
    return answer


def never_ends(connection, stream):
    connection.begin(stream)
    for _ in itertools.count():
        connection.data(stream, b"x" * 16384)


def another_protocol(connection, _):
    connection.raw(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")
    raise ConnectionError


def faults():
    """Name -> (answer, what a sender must make of it)."""
    partial = grpc_receiver.message(b"\x0a\x06\x08\x02\x12\x02no")  # partial_success {2, "no"}
    table = {
        "ok of trailers only": (trailers_only(grpc_status=0), TAKE),
        "two rejected": (headers_and_trailers(partial, grpc_status=0), PARTLY),
        "exhausted, in a second": (trailers_only(grpc_status=8, grpc_status_details_bin=grpc_receiver.retry_info(8, 1)), RETRY),
        "exhausted, in 52 minutes": (trailers_only(grpc_status=8, grpc_status_details_bin=grpc_receiver.retry_info(8, 3120)), WAIT),
        "unavailable, in 52 minutes": (headers_and_trailers(
            grpc_status=14, grpc_status_details_bin=grpc_receiver.retry_info(14, 3120)), WAIT),
        "details that are none": (trailers_only(grpc_status=14, grpc_status_details_bin="!!!!"), RETRY),
        "no status": (no_status, RETRY),
        "web page": (web_page, PAUSE),
        "half a message": (half_a_message, RETRY),
        "half a frame": (half_a_frame, RETRY),
        "closed": (end_the_connection, RETRY),
        "never an answer": (lambda *_: None, RETRY),
        "an answer without end": (never_ends, RETRY),
        "another protocol": (another_protocol, RETRY),
        "goes away before": (goes_away(0, False), RETRY),
        "goes away amid": (goes_away(0, True), RETRY),
        "goes away in anger": (goes_away(ENHANCE_YOUR_CALM, True), RETRY),
    }
    for code, meaning in CODES.items():
        table[f"code {code} of trailers only"] = (trailers_only(grpc_status=code), meaning)
        table[f"code {code}"] = (headers_and_trailers(grpc_status=code), meaning)
    for status, meaning in HTTP.items():
        table[f"HTTP {status}"] = (trailers_only(status=status, kind="text/plain"), meaning)
    for name, code in (("cancel", CANCEL), ("refused", REFUSED_STREAM), ("internal", INTERNAL_ERROR)):
        meaning = RESEND if code == REFUSED_STREAM else RETRY
        table[f"reset, {name}"] = (resets(code, False), meaning)
        table[f"reset amid, {name}"] = (resets(code, True), meaning)
    return table


STATES = {PAUSE: "paused", WAIT: "backing off"}


class GrpcFaults(end_to_end.EndToEndTest):
    def test_each_has_its_verdict_its_counters_and_an_exact_ledger(self):
        table = faults()
        receivers = {name: grpc_receiver.Receiver(answer) for name, (answer, _) in table.items()}
        for receiver in receivers.values():
            self.addCleanup(receiver.close)
        self.let_the_engine_make_its_directory_with([])
        self.pipeline.replay(end_to_end.SAMPLE, "--limit", RECORDS, "--ids", self.ids)
        self.pipeline.write_config(
            [{"name": name, "type": "otlp", "protocol": "grpc", "endpoint": receiver.address, "compression": "none",
              "timeout": f"{NO_ANSWER_S}s", "connections": 1} for name, receiver in receivers.items()],
            workers=1, batch_age_max="300ms", shutdown_deadline="1s")
        engine = self.pipeline.start_engine()

        def is_there(each):
            meaning = table[each["name"]][1]
            return each["routed"] == RECORDS and each["state"] == STATES.get(meaning, "ok") and (
                meaning in STATES or each["pending"] == 0)

        def wrong_ones():
            return [f"{each['name']}: {each['state']}, {each['pending']} pending, {each['last_error']}"
                    for each in self.pipeline.stats()["destinations"] if not is_there(each)]

        try:
            pipeline.wait_until(lambda: not wrong_ones(), "every fault to have its verdict", 60)
        except pipeline.Failure as failure:
            self.fail(f"{failure}\n" + "\n".join(wrong_ones()))
        destinations = {each["name"]: each for each in self.pipeline.stats("--check")["destinations"]}
        for name, (_, meaning) in table.items():
            with self.subTest(name=name, meaning=meaning):
                self.check(destinations[name], receivers[name], meaning)
        self.assertEqual(engine.stop()[0], 0, engine.last_words())

    def let_the_engine_make_its_directory_with(self, destinations):
        self.pipeline.write_config(destinations)
        self.let_the_engine_make_its_directory()

    def check(self, now, receiver, meaning):
        rejected = sum(now["rejected"].values())
        self.assertEqual(sum(now["dropped"].values()), 0)
        self.assertEqual(now["delivered"] + rejected + now["pending"], RECORDS)
        kept = meaning in STATES
        self.assertEqual(now["pending"], RECORDS if kept else 0)
        # The first answer of these two is the last word; of the rest the receiver holds what it took later.
        first = {TAKE: RECORDS, PARTLY: RECORDS - 2}.get(meaning, 0)
        held = {each for each in self.logged_ids() if any(each.encode() in body for body in receiver.taken)}
        self.assertEqual(now["delivered"], first or len(held))
        self.assertEqual(rejected, {REFUSE: RECORDS, PARTLY: 2}.get(meaning, 0))
        self.assertEqual(now["rejected"]["partial"], 2 if meaning == PARTLY else 0)
        if meaning in (RETRY, RESEND):
            self.assertEqual(len(held), RECORDS)
            self.assertEqual(now["retries"] > 0, meaning == RETRY)
        if meaning in (PAUSE, WAIT, REFUSE, TAKE, PARTLY):
            self.assertEqual(len(receiver.bodies), 1)
        self.assertEqual(bool(now["last_error"]), meaning not in (TAKE, RESEND))


if __name__ == "__main__":
    unittest.main()
