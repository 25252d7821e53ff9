"""Runs inside MLflow's environment: what its client says a server holds, as JSON."""

import json
import sys

import mlflow

mlflow.set_tracking_uri(sys.argv[1])
traces = []
for trace in mlflow.search_traces(locations=["0"], return_type="list", max_results=500):
    traces.append({
        "id": trace.info.trace_id,
        "session": trace.info.trace_metadata.get("mlflow.trace.session"),
        "user": trace.info.trace_metadata.get("mlflow.trace.user"),
        "tokens": trace.info.token_usage,
        "spans": [{"name": span.name, "type": span.span_type, "parent": span.parent_id, "inputs": span.inputs,
                   "outputs": span.outputs, "status": span.status.status_code.value,
                   "attributes": {key: span.get_attribute(key) for key in span.attributes}}
                  for span in trace.data.spans],
    })
print(json.dumps(traces, default=str))
