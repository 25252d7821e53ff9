"""Runs inside the environment of OpenTelemetry's GenAI utilities: holds spans, one JSON object a line on standard input,
against the JSON schemas of the message models published there. Prints what was checked and each complaint, as JSON."""

import collections
import dataclasses
import json
import sys
import typing

import jsonschema
import pydantic
from opentelemetry.util.genai import types

LISTS = {
    "gen_ai.input.messages": types.InputMessage,
    "gen_ai.output.messages": types.OutputMessage,
    "gen_ai.system_instructions": types.MessagePart,
}
# The catch-all takes every part with a type: one that bears the name of a model must be that model.
MODELS = {typing.get_args(field.type)[0]: model
          for model in vars(types).values() if dataclasses.is_dataclass(model) and model.__name__.endswith("Part")
          for field in dataclasses.fields(model) if field.name == "type" and typing.get_args(field.type)}


def validator(kind):
    schema = pydantic.TypeAdapter(kind).json_schema()
    checker = jsonschema.validators.validator_for(schema)
    checker.check_schema(schema)
    return checker(schema)


VALIDATORS = {name: validator(list[kind]) for name, kind in LISTS.items()}
PARTS = {name: validator(model) for name, model in MODELS.items()}
# The released text asks for it; the models call it deprecated.
FINISH_REASONS = typing.get_args(types.FinishReason)


def complaints(name, value):
    for error in VALIDATORS[name].iter_errors(value):
        yield error.message
    parts = value if name == "gen_ai.system_instructions" else [part for message in value for part in message["parts"]]
    for part in parts:
        counts[f"part {part['type']}"] += 1
        if part["type"] in PARTS:
            for error in PARTS[part["type"]].iter_errors(part):
                yield f"part {part['type']}: {error.message}"
    if name == "gen_ai.output.messages":
        for message in value:
            counts[f"finish_reason {message.get('finish_reason')}"] += 1
            if not isinstance(message.get("finish_reason"), str):
                yield "an output message without finish_reason"


counts, found = collections.Counter(), []
for line in sys.stdin:
    span = json.loads(line)
    for name in LISTS:
        text = span["attributes"].get(name)
        if text is None:
            continue
        counts[name] += 1
        try:
            found.extend(f"{span['spanId']} {name}: {each[:300]}" for each in complaints(name, json.loads(text)))
        except (ValueError, KeyError, TypeError) as error:
            found.append(f"{span['spanId']} {name}: {error!r}"[:300])
print(json.dumps({"counts": counts, "complaints": found, "parts": sorted(PARTS), "finish_reasons": FINISH_REASONS}))
