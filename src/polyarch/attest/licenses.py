"""License texts of package metadata → SPDX license expressions (SPDX 2.3, annex D).

An expression is valid only if each identifier is on the SPDX License List. Anything else becomes a LicenseRef, whose
text is what the metadata says: nothing is guessed.
"""

import hashlib
import re
from collections.abc import Iterable

import msgspec

from polyarch.attest.spdx_ids import EXCEPTIONS, LICENSES

NOASSERTION = "NOASSERTION"
# Longer texts are licenses themselves, not expressions.
_LONGEST = 500
_DEEPEST = 20
_LONGEST_NAME = 60
_TOKEN = re.compile(r"[()]|[^\s()]+")
_LICENSES = {name.lower(): name for name in LICENSES}
_EXCEPTIONS = {name.lower(): name for name in EXCEPTIONS}
# Short names of Debian's copyright format 1.0 ("License specification") that differ from those of SPDX.
_GNU = re.compile(r"(a?gpl|lgpl|gfdl)-([0-9]+(?:\.[0-9]+)?)(\+?)")
_DEBIAN = {
    "expat": "MIT",
    "artistic": "Artistic-1.0",
    "perl": "Artistic-1.0-Perl OR GPL-1.0-or-later",
}
_LAST_VERSIONS = {"gfdl-1": "1.1", "gpl-1": "1.0", "gpl-2": "2.0", "gpl-3": "3.0", "lgpl-2": "2.0", "lgpl-3": "3.0"}


class DeclaredLicense(msgspec.Struct, frozen=True):
    """A license as an SPDX expression, or NOASSERTION; `references` are the texts of the LicenseRefs in it."""

    expression: str
    references: dict[str, str] = {}


def declared(texts: Iterable[str], *, debian: bool = False) -> DeclaredLicense:
    """The license of a package all of whose `texts` apply. `debian` says that they have the names of Debian."""
    parts: dict[str, None] = {}
    references: dict[str, str] = {}
    for text in texts:
        stripped = text.strip()
        if not stripped or stripped.upper() in (NOASSERTION, "NONE", "UNKNOWN"):
            continue
        part = _expression(stripped, debian)
        if part is None:
            part = _reference(stripped)
            references[part] = stripped
        parts[part] = None
    several = len(parts) > 1
    joined = " AND ".join(f"({part})" if several and " OR " in part else part for part in parts)
    return DeclaredLicense(joined or NOASSERTION, references)


def _reference(text: str) -> str:
    """The LicenseRef for a text: readable if the text is a name, else from its hash."""
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")
    if len(text) <= _LONGEST_NAME and slug == text:
        return f"LicenseRef-{slug}"
    # Two texts may have the same slug.
    hashed = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
    return (
        f"LicenseRef-{slug[:40].rstrip('-.')}-{hashed}"
        if len(text) <= _LONGEST_NAME and slug
        else (f"LicenseRef-{hashed}")
    )


def _expression(text: str, debian: bool) -> str | None:
    """The expression in its normal form; None if the text is not one."""
    if len(text) > _LONGEST:
        return None
    parser = _ExpressionParser(_TOKEN.findall(text), debian)
    try:
        found = parser.either(_DEEPEST)
    except ValueError:
        return None
    return found if parser.at_end else None


class _ExpressionParser:
    """Reads one expression. Identifiers and operators may have any case."""

    def __init__(self, tokens: list[str], debian: bool) -> None:
        self._tokens = tokens
        self._at = 0
        self._debian = debian

    @property
    def at_end(self) -> bool:
        return self._at == len(self._tokens)

    def either(self, depth: int) -> str:
        parts = [self._all(depth)]
        while self._take("or"):
            parts.append(self._all(depth))
        return " OR ".join(parts)

    def _all(self, depth: int) -> str:
        parts = [self._one(depth)]
        while self._take("and"):
            parts.append(self._one(depth))
        return " AND ".join(parts)

    def _one(self, depth: int) -> str:
        if self._take("("):
            if not depth:
                raise ValueError("nested too deeply")
            inner = self.either(depth - 1)
            if not self._take(")"):
                raise ValueError("a parenthesis is not closed")
            return f"({inner})"
        name = self._license(self._next())
        if self._take("with"):
            exception = _EXCEPTIONS.get(self._next().lower())
            if exception is None or " " in name:
                raise ValueError("not an exception")
            return f"{name} WITH {exception}"
        return name

    def _license(self, word: str) -> str:
        name = word.lower()
        if self._debian:
            if name in _DEBIAN:
                found = _DEBIAN[name]
                return f"({found})" if " " in found and len(self._tokens) > 1 else found
            if (gnu := _GNU.fullmatch(name)) is not None:
                version = _LAST_VERSIONS.get(f"{gnu[1]}-{gnu[2]}", gnu[2])
                name = f"{gnu[1]}-{version}-{'or-later' if gnu[3] else 'only'}"
        found = _LICENSES.get(name, "")
        if not found and name.endswith("+") and not name.endswith("++"):
            found = _LICENSES.get(name[:-1], "")
            found = f"{found}+" if found else ""
        if not found:
            raise ValueError(f"{word} is not on the list")
        return found

    def _next(self) -> str:
        if self.at_end:
            raise ValueError("it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, word: str) -> bool:
        if self.at_end or self._tokens[self._at].lower() != word:
            return False
        self._at += 1
        return True
