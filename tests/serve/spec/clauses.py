"""What a clause is, and how the files of this package declare theirs."""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from tests.serve.spec.calls import Calls

# How a server is started: everyone may do all, all may only read, or only who has a password, or a token with rights.
World = Literal["open", "read-only", "password", "token"]
Check = Callable[[Calls], None]


class Clause(NamedTuple):
    """One thing that a text asks of a registry, with the requests that show whether a server does it.

    `section` and `number` are its place in the table; `level` is the text's own word (MUST, SHOULD, MAY, or "" where
    no specification asks for it); `asks` says what, as Markdown. `check` raises Broken when a server does not do it.
    `world` is how the server that it is asked of was started.
    """

    name: str
    section: str
    number: int
    level: str
    asks: str
    check: Check
    world: World


class Section:
    """A section of a text, whose clauses are numbered in the order in which they are declared."""

    def __init__(self, name: str, world: World = "open") -> None:
        self.name = name
        self.world: World = world
        self.clauses: list[Clause] = []

    def must(self, asks: str) -> Callable[[Check], Check]:
        return self._clause("MUST", asks)

    def must_not(self, asks: str) -> Callable[[Check], Check]:
        return self._clause("MUST NOT", asks)

    def should(self, asks: str) -> Callable[[Check], Check]:
        return self._clause("SHOULD", asks)

    def should_not(self, asks: str) -> Callable[[Check], Check]:
        return self._clause("SHOULD NOT", asks)

    def may(self, asks: str) -> Callable[[Check], Check]:
        """For what is optional: how it has to be done when it is done."""
        return self._clause("MAY", asks)

    def asks(self, asks: str) -> Callable[[Check], Check]:
        """For what a section says without one of the words of RFC 2119, or what clients rely on."""
        return self._clause("", asks)

    def _clause(self, level: str, asks: str) -> Callable[[Check], Check]:
        def declare(check: Check) -> Check:
            self.clauses.append(
                Clause(check.__name__, self.name, len(self.clauses) + 1, level, asks, check, self.world)
            )
            return check

        return declare


def in_order(*sections: Section) -> Iterator[Clause]:
    for section in sections:
        yield from section.clauses
