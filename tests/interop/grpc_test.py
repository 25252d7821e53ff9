"""OTLP/gRPC against a real Collector: what a server does that closes connections of age, or takes only
small messages, loses nothing and counts nothing as delivered that did not arrive.

SIDECAST_GRPC_REQUESTS: requests to each receiver; 10,000 take about a minute.
"""

import os
import sys
import unittest

import collector
import end_to_end
import pipeline

RECORDS_OF_A_ROUND = 500
REQUESTS = int(os.environ.get("SIDECAST_GRPC_REQUESTS", "1500"))
# A GOAWAY that often; streams under way may end within the grace.
AGING = {"keepalive": {"server_parameters": {"max_connection_age": "150ms", "max_connection_age_grace": "1s"}}}
MESSAGE_MIB_MAX = 1
LARGE_RECORDS = 1200
SKIPPED = 77

BINARY = None  # the Collector's, set by main()


def destination(name, address, certificate, **more):
    authority = {"ca_file": str(certificate)} if address.startswith("https") else {}
    return {"name": name, "type": "otlp", "protocol": "grpc", "endpoint": address, "service_name": name,
            **authority, **more}


class GrpcTest(end_to_end.EndToEndTest):
    def assert_all_at(self, collectors, written):
        """Every record at every destination, by the Collectors' own files; returns the stats."""
        self.pipeline.wait_until_settled(300)
        stats = self.assert_ledger_exact(written)
        wanted = set(self.logged_ids())
        self.assertEqual(len(wanted), written)
        held = {}
        for each in collectors:
            each.stop()
            for span in collector.read_spans(each.out):
                held.setdefault(span["resource"]["service.name"], set()).add(end_to_end.generation_id(span))
        for each in stats["destinations"]:
            self.assertFalse(wanted - held.get(each["name"], set()), each["name"])
        return stats

    def test_connections_that_the_server_closes_lose_nothing(self):
        steady = collector.Collector(self.pipeline, BINARY, name="steady")
        aging = collector.Collector(self.pipeline, BINARY, name="aging", **AGING)
        places = {"plain": steady.grpc_plain, "tls": steady.grpc_tls,
                  "plain aging": aging.grpc_plain, "tls aging": aging.grpc_tls}
        certificates = {"tls": steady.certificate, "tls aging": aging.certificate}
        self.pipeline.write_config([destination(name, address, certificates.get(name), batch_records_max=1)
                                    for name, address in places.items()])
        engine = self.pipeline.start_engine()
        rounds = -(-REQUESTS // RECORDS_OF_A_ROUND)
        self.pipeline.replay(self.exchanges, "--limit", str(RECORDS_OF_A_ROUND), "--repeat", str(rounds),
                             "--ids", self.ids, seconds=600)
        stats = self.assert_all_at((steady, aging), rounds * RECORDS_OF_A_ROUND)
        for each in stats["destinations"]:
            self.assertGreaterEqual(each["requests"], REQUESTS, each["name"])
            print(f"{each['name']}: {each['requests']} requests, {each['retries']} retries", flush=True)
        self.assertEqual(engine.stop()[0], 0)

    def test_a_server_of_small_messages_gets_all_in_parts(self):
        small = collector.Collector(self.pipeline, BINARY, name="small", max_recv_msg_size_mib=MESSAGE_MIB_MAX)
        self.pipeline.write_config([destination("plain", small.grpc_plain, None),
                                    destination("tls", small.grpc_tls, small.certificate)])
        engine = self.pipeline.start_engine()
        self.pipeline.replay(self.exchanges, "--limit", str(LARGE_RECORDS), "--ids", self.ids)
        stats = self.assert_all_at((small,), LARGE_RECORDS)
        for each in stats["destinations"]:  # it was refused before it was taken
            self.assertIn("RESOURCE_EXHAUSTED", each["last_error"], each["name"])
        self.assertEqual(engine.stop()[0], 0)


if __name__ == "__main__":
    try:
        BINARY = collector.build()
    except collector.Unavailable as reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    unittest.main()
