"""in-toto statements: the layers of an attestation manifest, read and decoded within limits (in-toto, v1/statement.md).

A statement comes from whoever pushed the image. Its size and nesting are limited, and only the parts that are needed
are decoded: the JSON of a predicate stays as it is.
"""

import base64
import binascii
import re
from typing import Any

import msgspec

from polyarch.errors import CorruptError, NotFoundError
from polyarch.oci import nesting
from polyarch.oci.attestation import IN_TOTO, LARGEST_STATEMENT, PREDICATE_TYPE
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Manifest
from polyarch.oci.place import Source

_DSSE = re.compile(r"application/vnd\.in-toto\..*\+dsse")


class NamedSubject(msgspec.Struct, frozen=True):
    """What a statement is about: a name, often a package URL, and digests by algorithm, without `sha256:`."""

    name: str = ""
    digest: dict[str, str] = {}


class RawStatement(msgspec.Struct, frozen=True, rename={"type": "_type", "predicate_type": "predicateType"}):
    """A statement. `predicate` is its undecoded JSON."""

    type: str = ""
    predicate_type: str = ""
    subject: tuple[NamedSubject, ...] = ()
    predicate: msgspec.Raw = msgspec.Raw(b"null")


class _SignedStatement(msgspec.Struct, frozen=True):
    """A signed statement (DSSE)."""

    payload: str = ""


def is_statement(layer: Descriptor) -> bool:
    """Whether a layer of an attestation manifest is a statement, plain or signed."""
    return layer.media_type == IN_TOTO or is_signed(layer)


def is_signed(layer: Descriptor) -> bool:
    """Whether a statement is in an envelope with signatures."""
    return _DSSE.fullmatch(layer.media_type) is not None


def layers_of(manifest: Manifest, kind: str) -> tuple[Descriptor, ...]:
    """The statements of a manifest whose predicate type, as annotated, begins with `kind`, in order."""
    return tuple(
        layer
        for layer in manifest.layers
        if is_statement(layer) and layer.annotations.get(PREDICATE_TYPE, "").startswith(kind)
    )


def read(source: Source, layer: Descriptor) -> RawStatement:
    """The statement in a layer. Raises NotFoundError, RegistryError; CorruptError if it is none, or too large."""
    what = f"the statement {layer.digest}"
    if layer.size > LARGEST_STATEMENT:
        raise CorruptError(f"{what} claims {layer.size} bytes; at most {LARGEST_STATEMENT} are read")
    try:
        with source.open_blob(layer) as reader:
            raw = reader.read()
    except NotFoundError as error:
        raise NotFoundError(f"{what} is missing: {error.message}", error.hint) from error
    try:
        if is_signed(layer):
            raw = base64.b64decode(msgspec.json.decode(raw, type=_SignedStatement).payload)
        nesting.check(raw, what)
        return msgspec.json.decode(raw, type=RawStatement)
    except (msgspec.DecodeError, binascii.Error, UnicodeDecodeError, RecursionError) as error:
        raise CorruptError(f"{what} cannot be read: {error}") from error


def predicate(statement: RawStatement) -> Any:
    """The predicate as plain values. Raises CorruptError."""
    try:
        return msgspec.json.decode(statement.predicate)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptError(f"a predicate of type {statement.predicate_type} cannot be read: {error}") from error
