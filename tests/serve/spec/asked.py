"""What a server did about the clauses that it was asked."""

from collections.abc import Callable

from tests.serve.spec.clauses import Clause, World
from tests.serve.spec.table import Outcome, run


class Asked:
    """A server, which is asked about each clause once. `start` starts it for a world, and returns its `host:port`."""

    def __init__(self, start: Callable[[World], str]) -> None:
        self._start = start
        self._addresses: dict[World, str] = {}
        self._outcomes: dict[str, Outcome] = {}

    def address(self, world: World = "open") -> str:
        if world not in self._addresses:
            self._addresses[world] = self._start(world)
        return self._addresses[world]

    def about(self, clause: Clause) -> Outcome:
        if clause.name not in self._outcomes:
            self._outcomes[clause.name] = run(clause, self.address(clause.world))
        return self._outcomes[clause.name]
