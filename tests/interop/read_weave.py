"""Runs inside Weave's environment: what its trace server's ingestion makes of an OTLP request on stdin, as JSON."""

import json
import sys

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from weave.trace_server.opentelemetry.python_spans import ResourceSpans

request = ExportTraceServiceRequest()
request.ParseFromString(sys.stdin.buffer.read())
calls = []
for message in request.resource_spans:
    for scope_spans in ResourceSpans.from_proto(message):
        for span in scope_spans:
            start, end = span.to_call("entity/project")
            calls.append({"op_name": start.op_name, "display_name": start.display_name, "thread_id": start.thread_id,
                          "turn_id": start.turn_id, "inputs": start.inputs, "attributes": start.attributes,
                          "output": end.output, "summary": end.summary, "exception": end.exception})
print(json.dumps(calls, default=str))
