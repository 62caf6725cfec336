"""What a server did about the clauses that it was asked."""

from tests.serve.spec.clauses import Clause
from tests.serve.spec.table import Outcome, run


class Asked:
    """A server at `address`, which is asked about each clause once."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._outcomes: dict[str, Outcome] = {}

    def about(self, clause: Clause) -> Outcome:
        if clause.name not in self._outcomes:
            self._outcomes[clause.name] = run(clause, self.address)
        return self._outcomes[clause.name]
