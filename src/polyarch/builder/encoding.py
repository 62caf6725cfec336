"""Values as bytes, whatever bytes their texts came from: a Dockerfile and a file's name need not be UTF-8."""

from typing import Any

import msgspec

from polyarch.oci import text


def to_json(value: Any) -> bytes:
    """`value` as JSON to be hashed, in which any two texts differ."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        from json import dumps

        # Python's own encoder writes a surrogate escape as such.
        return dumps(msgspec.to_builtins(value), separators=(",", ":")).encode()


def to_msgpack(value: Any) -> bytes:
    """`value` as MessagePack to be remembered, with replacement characters for what is not UTF-8."""
    try:
        return msgspec.msgpack.encode(value)
    except UnicodeEncodeError:
        return msgspec.msgpack.encode(text.cleaned(msgspec.to_builtins(value)))
