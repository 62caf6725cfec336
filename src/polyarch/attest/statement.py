"""In-toto statements: a predicate, and the artifacts that it is about (github.com/in-toto/attestation, spec/v1)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from polyarch.errors import CorruptError, PolyarchError
from polyarch.oci import attestation, nesting


class Subject(msgspec.Struct, frozen=True):
    """An artifact: a name, and its digest by algorithm, as in {"sha256": "9f86d0…"}."""

    name: str
    digest: Mapping[str, str]


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One statement. `predicate` is decoded JSON; what it means depends on `predicate_type`."""

    predicate_type: str
    subject: tuple[Subject, ...]
    predicate: Any
    type: str = attestation.STATEMENT

    def encode(self, *, indent: int = 0) -> bytes:
        """The statement as JSON, in one line unless `indent` is given.

        Raises PolyarchError if it is larger than readers accept.
        """
        document = {
            "_type": self.type,
            "predicateType": self.predicate_type,
            "subject": self.subject,
            "predicate": self.predicate,
        }
        raw = msgspec.json.encode(document)
        if indent:
            raw = msgspec.json.format(raw, indent=indent)
        if len(raw) > attestation.LARGEST_STATEMENT:
            raise PolyarchError(
                f"the statement of type {self.predicate_type} has {len(raw)} bytes, "
                f"more than the {attestation.LARGEST_STATEMENT} that readers accept",
                "an SBOM is smaller without BUILDKIT_SBOM_SCAN_CONTEXT, provenance with mode=min",
            )
        return raw


class _StatementDocument(msgspec.Struct, frozen=True):
    """The fields of a statement as they are in JSON."""

    predicateType: str  # noqa: N815
    type: str = msgspec.field(name="_type")
    subject: tuple[Subject, ...] = ()
    predicate: Any = None


def decode(raw: bytes) -> Statement:
    """The statement in `raw`, in the form of v1 or v0.1. Raises CorruptError for anything else."""
    nesting.check(raw, "an attestation")
    try:
        found = msgspec.json.decode(raw, type=_StatementDocument)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptError(f"an attestation is not an in-toto statement: {error}") from error
    if found.type not in attestation.STATEMENTS:
        raise CorruptError(f"an attestation is not an in-toto statement: its _type is {found.type!r}")
    return Statement(
        predicate_type=found.predicateType, subject=found.subject, predicate=found.predicate, type=found.type
    )
