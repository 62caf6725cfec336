"""All clauses in the order of the specification, what docker-registry does about each, and the page that shows both."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.serve.spec import (
    api,
    categories,
    chunks,
    clients,
    discovery,
    docker_api,
    http_rules,
    manage,
    passwords,
    pull,
    push,
    reading,
    tokens,
    uploads,
)
from tests.serve.spec.calls import Calls
from tests.serve.spec.clauses import Clause, in_order
from tests.serve.spec.wire import Broken, Connection, Exchange, Recorder

CLAUSES = tuple(
    in_order(
        categories.categories,
        pull.manifests,
        pull.blobs,
        pull.existence,
        push.push,
        uploads.post_put,
        uploads.single_post,
        chunks.chunks,
        chunks.cancel,
        uploads.mounts,
        push.manifests,
        push.subjects,
        discovery.tags,
        discovery.referrers,
        manage.tags,
        manage.manifests,
        manage.blobs,
        reading.reading,
        discovery.enabling,
        api.support,
        api.codes,
        api.warnings,
        api.algorithms,
        api.later,
        docker_api.docker,
        passwords.passwords,
        tokens.tokens,
        http_rules.http,
        clients.clients,
    )
)
WITNESS = Path(__file__).parent / "docker-registry.json"
PAGE = Path("docs/reference/distribution.md")


class Outcome(NamedTuple):
    """What a server does about a clause: None, or how it breaks it; and what was said."""

    broken: str | None
    exchanges: tuple[Exchange, ...]


def run(clause: Clause, address: str, always: Mapping[str, str] | None = None) -> Outcome:
    """Ask a server on `host:port`; `always` are headers of every request."""
    connection = Connection(address, always)
    recorder = Recorder(connection)
    try:
        clause.check(Calls(recorder, clause.name))
    except Broken as problem:
        return Outcome(str(problem), tuple(recorder.exchanges))
    finally:
        connection.close()
    return Outcome(None, tuple(recorder.exchanges))


class Witness(NamedTuple):
    """What docker-registry of some version does: how it breaks a clause, by name; what is not there holds."""

    version: str
    broken: Mapping[str, str]


def witness() -> Witness:
    document = json.loads(WITNESS.read_text())
    return Witness(document["version"], document["broken"])


_HEAD = """\
# The registry and the specification

Written by `make docs` from `tests/serve/spec/`, which asks each line of both servers in every test run.

`polyarch serve` does what the [OCI distribution specification](https://github.com/opencontainers/distribution-spec)
1.1 asks of a registry. Each line is a clause of it, in the order of its sections, with the word that it uses; a line
without a word says what a section describes without one, or, in the last sections, what docker's API, HTTP and clients
ask for beyond the specification. What was added to its text after 1.1 is marked. docker-registry is Debian's, version
{version}, and is asked the same: it does {held} of the {all} lines. It leaves tokens to another program.

The specification's own conformance tests were not run: they are a Go program that Debian does not package. What they
ask is in these lines.
"""


def page(known: Witness) -> str:
    """docs/reference/distribution.md."""
    held = len(CLAUSES) - len(known.broken)
    lines = [_HEAD.format(version=known.version, held=held, all=len(CLAUSES))]
    section = ""
    for clause in CLAUSES:
        if clause.section != section:
            section = clause.section
            lines += ["", f"## {section}", "", "| # | | what is asked | `polyarch serve` | docker-registry |"]
            lines.append("|---|---|---|---|---|")
        broken = known.broken.get(clause.name)
        said = "yes" if broken is None else f"no: {broken}"
        cells = (str(clause.number), clause.level, clause.asks, "yes", said)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"
