"""Values as bytes, even if their texts are not UTF-8, as in a Dockerfile or the name of a file."""

from typing import Any

import msgspec

from polyarch.oci import text


def to_json(value: Any) -> bytes:
    """`value` as JSON for hashing. Different texts have different results."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        from json import dumps

        # Python's own encoder writes a surrogate escape as such.
        return dumps(msgspec.to_builtins(value), separators=(",", ":")).encode()


def to_msgpack(value: Any) -> bytes:
    """`value` as MessagePack to be stored, with replacement characters for bytes that are not UTF-8."""
    try:
        return msgspec.msgpack.encode(value)
    except UnicodeEncodeError:
        return msgspec.msgpack.encode(text.cleaned(msgspec.to_builtins(value)))
