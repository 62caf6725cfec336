"""The grammar of authentication: what a registry asks for (challenges), and what a token allows (scopes).

The grammar of a challenge is in RFC 9110, section 11; that of a scope is in the "Token Authentication Specification".
"""

import re
from collections.abc import Iterable, Mapping

import msgspec

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# Patterns are text until they are needed: compiling them would cost every start of a command.
_PARAMETER = rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))\s*(?:,|$)'
_SCHEME = rf"[\s,]*({_TOKEN})(?:\s+|(?=,)|$)"


class Scope(msgspec.Struct, frozen=True):
    """The permissions of a token: pairs of a resource (`repository:library/debian`) and an action (`pull`)."""

    grants: frozenset[tuple[str, str]] = frozenset()

    def __or__(self, other: "Scope") -> "Scope":
        return Scope(self.grants | other.grants)

    def contains(self, other: "Scope") -> bool:
        """Whether a token for this scope is sufficient for `other`."""
        return self.grants >= other.grants

    def texts(self) -> tuple[str, ...]:
        """The canonical texts, one for each resource: `repository:library/debian:pull,push`."""
        resources: dict[str, list[str]] = {}
        for resource, action in sorted(self.grants):
            resources.setdefault(resource, []).append(action)
        return tuple(f"{resource}:{','.join(actions)}" for resource, actions in resources.items())


def repository_scope(path: str, *actions: str) -> Scope:
    """The scope of actions on a repository."""
    return Scope(frozenset((f"repository:{path}", action) for action in actions))


def parse_scope(text: str) -> Scope:
    """The scope in a challenge's `scope` parameter. Several are separated by spaces."""
    grants: set[tuple[str, str]] = set()
    for part in text.split():
        resource, colon, actions = part.rpartition(":")
        if colon:
            grants.update((resource, action) for action in actions.split(",") if action)
    return Scope(frozenset(grants))


class Challenge(msgspec.Struct, frozen=True):
    """One challenge of a WWW-Authenticate header; scheme and parameter names in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(values: Iterable[str]) -> tuple[Challenge, ...]:
    """The challenges in WWW-Authenticate headers, in order. Malformed challenges are skipped."""
    found: list[Challenge] = []
    scheme, parameter = re.compile(_SCHEME), re.compile(_PARAMETER)
    for value in values:
        position = 0
        while match := scheme.match(value, position):
            position = match.end()
            parameters: dict[str, str] = {}
            while pair := parameter.match(value, position):
                quoted = re.sub(r"\\(.)", r"\1", pair[2]) if pair[2] is not None else pair[3]
                parameters.setdefault(pair[1].lower(), quoted)
                position = pair.end()
            found.append(Challenge(match[1].lower(), parameters))
    return tuple(found)
