"""More destinations that never answer than the engine has connections: one that answers feels nothing of it, be it
there from the beginning or added later."""

import asyncio
import threading
import unittest

import end_to_end
import faulty_receiver
import pipeline

HANGING = 1200  # over twice what may be open at once
TIMEOUT = "300s"  # no wait of the test may be explained by it


class Hanging:
    """Accepts, reads nothing, says nothing."""

    def __init__(self):
        self.open = 0
        self.open_max = 0
        self._writers = []
        self._loop = asyncio.new_event_loop()
        server = asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=4096)
        self._server = self._loop.run_until_complete(server)
        self.port = self._server.sockets[0].getsockname()[1]
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    async def _serve(self, reader, writer):
        self.open += 1
        self.open_max = max(self.open_max, self.open)
        self._writers.append(writer)
        while await reader.read(1 << 16):
            pass
        self.open -= 1
        writer.close()

    def close(self):
        self._loop.call_soon_threadsafe(self._loop.stop)


class HangingTest(end_to_end.EndToEndTest):
    def destinations(self, healthy):
        hanging = [{"name": f"hanging-{number}", "type": "otlp", "endpoint": f"http://127.0.0.1:{self.hanging.port}",
                    "timeout": TIMEOUT, "encoding": "otlp_json", "compression": "none"} for number in range(HANGING)]
        half = len(hanging) // 2
        return hanging[:half] + [end_to_end.generic_json(receiver.address, name=name, compression="gzip")
                                 for name, receiver in healthy.items()] + hanging[half:]

    def test_those_that_answer_get_everything(self):
        self.hanging = Hanging()
        self.addCleanup(self.hanging.close)
        receivers = faulty_receiver.Receivers()
        self.addCleanup(receivers.close)
        healthy = {"first": receivers.start()}
        self.pipeline.write_config(self.destinations(healthy), batch_age_max="50ms")
        engine = self.pipeline.start_engine()
        for number in range(5):
            self.pipeline.replay(end_to_end.SAMPLE, "--ids", self.ids)
            wanted = len(set(self.logged_ids()))
            pipeline.wait_until(lambda wanted=wanted: len(healthy["first"].taken) == wanted, f"round {number}")
        self.assertGreater(self.hanging.open, 200, "they do not hang")
        self.assertLess(self.hanging.open_max, 400, "they have more than their share")
        healthy["second"] = receivers.start()
        self.pipeline.write_config(self.destinations(healthy), batch_age_max="50ms")
        command = [end_to_end.BINARIES / "sidecast", "reload", "--ring-dir", self.pipeline.ring_dir]
        self.assertEqual(self.pipeline.start(command, "reload").wait()[0], 0)
        before = len(set(self.logged_ids()))
        self.pipeline.replay(end_to_end.SAMPLE, "--ids", self.ids)
        wanted = len(set(self.logged_ids()))
        pipeline.wait_until(lambda: len(healthy["first"].taken) == wanted, "the first one after the reload")
        pipeline.wait_until(lambda: len(healthy["second"].taken) == wanted - before, "the one that came later")
        self.pipeline.stats("--check")
        engine.kill()


if __name__ == "__main__":
    unittest.main()
