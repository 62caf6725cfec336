"""Each clause, asked of `polyarch serve` and of docker-registry; and whether its case notices a broken answer."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.serve.spec.asked import Asked
from tests.serve.spec.calls import Calls
from tests.serve.spec.clauses import Clause
from tests.serve.spec.table import CLAUSES, PAGE, WITNESS, page, run, suites, witness
from tests.serve.spec.tokens import WRITER
from tests.serve.spec.wire import Answer, Broken, Elsewhere, Exchange, Replay

# One worker asks everything, so that each server starts once.
pytestmark = pytest.mark.xdist_group("serve-spec")

_ROOT = Path(__file__).resolve().parents[3]

Change = Callable[[Answer], Answer]


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.name)
def test_our_server_does_what_the_clause_asks(clause: Clause, served: Asked) -> None:
    assert served.about(clause).broken is None


def test_with_rights_that_differ_by_repository_all_holds_but_anonymous_mounts(served: Asked) -> None:
    """A blob is then in a repository only if it was pushed or mounted there, or a manifest of it names the blob."""
    writer = {"Authorization": WRITER}
    address = served.address("token")
    broken = {clause.name: run(clause, address, writer).broken for clause in CLAUSES if clause.world == "open"}
    assert {name for name, how in broken.items() if how} == {"anonymous_mount"}


@pytest.mark.integration
def test_docker_registry_does_what_the_table_says(witnessing: Asked) -> None:
    broken = {clause.name: witnessing.about(clause).broken for clause in CLAUSES}
    assert {name: how for name, how in broken.items() if how} == witness().broken


# What a case looks at, by the words of the clause: each has to make it fail when it is wrong in one of the answers.
_HEADERS = (
    "Location",
    "Docker-Content-Digest",
    "Docker-Upload-UUID",
    "Docker-Distribution-Api-Version",
    "Content-Type",
    "Content-Length",
    "Content-Range",
    "Accept-Ranges",
    "OCI-Subject",
    "OCI-Filters-Applied",
    "OCI-Tag",
    "OCI-Chunk-Min-Length",
    "OCI-Namespace",
    "ETag",
    "Allow",
    "Link",
    "Warning",
)
# A clause that says these may mean what the client sends.
_OF_REQUESTS = ("Content-Type", "Content-Range")
_BODY = re.compile(r"\b((?<!\d )bytes|byte for byte|pulled|lists?|listed|entry|JSON|whole blob|artifactType)\b")


def _status(answer: Answer) -> Answer:
    return answer._replace(status=599)


def _without(name: str) -> Change:
    return lambda answer: answer._replace(headers=_others(answer, name))


def _with_another(name: str) -> Change:
    """The header with another value, also where it was absent."""
    return lambda answer: answer._replace(headers=(*_others(answer, name), (name, "another; and=more")))


def _others(answer: Answer, name: str) -> tuple[tuple[str, str], ...]:
    return tuple(pair for pair in answer.headers if pair[0].lower() != name.lower())


def _body(answer: Answer) -> Answer:
    return answer._replace(body=answer.body[:-1] + b"?")


def notices(clause: Clause, exchanges: tuple[Exchange, ...], *changes: Change) -> bool:
    """Whether the case fails when one of the recorded answers is changed in one of these ways."""
    for place in reversed(range(len(exchanges))):  # What a case looks at is mostly near its end.
        for change in changes:
            try:
                clause.check(Calls(Replay(exchanges, place, change), clause.name))
            except Broken:
                return True
            except Elsewhere:
                continue
    return False


def unnoticed(clause: Clause, exchanges: tuple[Exchange, ...]) -> list[str]:
    """What may be wrong in every answer without the case noticing it."""
    changes: dict[str, tuple[Change, ...]] = {"status": (_status,)}
    for name in _HEADERS:
        sent = any(header.lower() == name.lower() for one in exchanges for header, _ in one.request.headers)
        if re.search(rf"(?<!without )(?<!without a )\b{name}\b", clause.asks) and not (sent and name in _OF_REQUESTS):
            changes[name] = (_without(name), _with_another(name))
    if _BODY.search(re.sub("`[^`]*`", "", clause.asks)):
        changes["body"] = (_body,)
    return [name for name, changed in changes.items() if not notices(clause, exchanges, *changed)]


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.name)
def test_a_case_fails_when_an_answer_is_wrong(clause: Clause, served: Asked) -> None:
    outcome = served.about(clause)
    assert outcome.broken is None
    assert unnoticed(clause, outcome.exchanges) == []


def test_names_are_unique_and_the_record_of_docker_registry_is_of_these_clauses() -> None:
    names = [clause.name for clause in CLAUSES]
    assert sorted(set(names)) == sorted(names)
    assert set(witness().broken) <= set(names)
    assert WITNESS.exists()


def test_the_page_is_what_the_table_says() -> None:
    assert (_ROOT / PAGE).read_text() == page(witness(), suites()), "run `make docs`"
