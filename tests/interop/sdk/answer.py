"""An answer as the comparison sees it: whatever client or normaliser it came from."""

import json


def arguments(value):
    """Tool arguments by what they mean: spacing and the order of keys are no difference."""
    if not isinstance(value, str):
        return json.dumps(value if value is not None else {}, sort_keys=True)
    if not value.strip():
        return "{}"
    try:
        return json.dumps(json.loads(value), sort_keys=True)
    except ValueError:
        return value


def as_dict(value):
    """A client's object with all it received, fields it does not know included."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return value


class Answer:
    def __init__(self):
        self.fields = {"text": "", "reasoning": "", "refusal": "", "calls": [], "signatures": []}
        self.fields["finish_reasons"] = []
        self.usage = {}

    def append(self, field, text):
        if isinstance(text, str):
            self.fields[field] += text

    def call(self, identity, name, value):
        self.fields["calls"].append([identity or "", name or "", arguments(value)])

    def finish(self, reason):
        if reason:
            self.fields["finish_reasons"].append(reason)

    def put(self, field, value):
        if value:
            self.fields[field] = value

    def count(self, name, value):
        if value is not None:
            self.usage[name] = value

    def to_json(self):
        return {**self.fields, "usage": self.usage}
