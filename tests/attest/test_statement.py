"""In-toto statements are read as they were written, in both versions; anything else is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.attest import statement
from polyarch.attest.statement import Statement, Subject
from polyarch.errors import CorruptError, PolyarchError
from polyarch.oci import attestation

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_SUBJECTS = st.builds(Subject, st.text(), st.dictionaries(st.sampled_from(["sha256", "sha1"]), st.text(max_size=8)))


@given(
    st.builds(
        Statement,
        predicate_type=st.text(),
        subject=st.lists(_SUBJECTS, max_size=3).map(tuple),
        predicate=_JSON,
        type=st.sampled_from(sorted(attestation.STATEMENTS)),
    ),
    st.sampled_from([0, 2]),
)
def test_a_statement_is_read_as_it_was_written(one: Statement, indent: int) -> None:
    assert statement.decode(one.encode(indent=indent)) == one


def test_the_fields_are_in_the_order_of_in_toto() -> None:
    raw = Statement(predicate_type="t", subject=(Subject("n", {"sha256": "00"}),), predicate={"a": 1}).encode()
    assert raw == (
        b'{"_type":"https://in-toto.io/Statement/v1","predicateType":"t",'
        b'"subject":[{"name":"n","digest":{"sha256":"00"}}],"predicate":{"a":1}}'
    )


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"_type": "https://in-toto.io/Statement/v9", "predicateType": "t"}',
        b'{"_type": "https://in-toto.io/Statement/v1"}',
        b'{"_type": "https://in-toto.io/Statement/v1", "predicateType": "t", "subject": [{"name": 1}]}',
        b'{"_type": "https://in-toto.io/Statement/v1", "predicateType": "t", "subject": 1}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_anything_else_is_refused(document: bytes) -> None:
    with pytest.raises(CorruptError):
        statement.decode(document)


def test_a_statement_that_no_reader_accepts_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attestation, "LARGEST_STATEMENT", 1000)
    large: Any = {"text": "x" * 1000}
    with pytest.raises(PolyarchError, match="more than the 1000"):
        Statement(predicate_type="t", subject=(), predicate=large).encode()


def test_other_fields_are_ignored() -> None:
    plain = {"_type": attestation.STATEMENT, "predicateType": "t", "predicate": {}, "extra": 1}
    assert statement.decode(json.dumps(plain).encode()) == Statement(predicate_type="t", subject=(), predicate={})
