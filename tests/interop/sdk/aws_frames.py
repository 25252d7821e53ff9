"""Binary AWS event streams. The recorded ones were written as lines; here they are framed again, by AWS's
documentation and not by our decoder."""

import base64
import binascii
import json
import struct


def header(name, value):
    name, value = name.encode(), value.encode()
    return struct.pack("!B", len(name)) + name + struct.pack("!BH", 7, len(value)) + value


def frame(headers, payload):
    headers = b"".join(header(name, value) for name, value in headers.items())
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack("!I", binascii.crc32(prelude)) + headers + payload
    return message + struct.pack("!I", binascii.crc32(message))


def to_event_stream(lines):
    """`event:` and `data:` lines as application/vnd.amazon.eventstream."""
    frames, name = [], "chunk"
    for line in lines.splitlines():
        if line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            payload = line[5:].strip().encode()
            if name == "chunk":
                payload = json.dumps({"bytes": base64.b64encode(payload).decode(), "p": "abcd"}).encode()
            kind = "exception" if name.endswith("Exception") else "event"
            frames.append(frame({f":{kind}-type": name, ":content-type": "application/json",
                                 ":message-type": kind}, payload))
    return b"".join(frames)
