"""The rows of rows.toml."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

# "works": the lines of amd64; "wrong": status 0 and others; "refuses": it says that it cannot; "fails": another status.
Verdict = Literal["works", "wrong", "refuses", "fails"]


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program, its script, and the verdicts by version of qemu where it is not "works".

    `refusal` is a pattern for what it says if it refuses.
    """

    name: str
    script: str
    refusal: str = ""
    seen: Mapping[str, Verdict] = {}


class _File(msgspec.Struct, frozen=True):
    row: tuple[Row, ...]


def rows() -> tuple[Row, ...]:
    """All rows, in the order of the file."""
    text = (Path(__file__).parent / "rows.toml").read_text()
    return msgspec.convert(tomllib.loads(text), _File).row
