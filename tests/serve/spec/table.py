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
from tests.serve.spec.clauses import Clause, World, in_order
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
SUITES = Path(__file__).parent / "conformance.json"
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

## The specification's own conformance tests

They are Go programs, which `tests/serve/spec/conformance.py` runs if they are named to it; CI does not have them. These
are the numbers of tests when that was last done, with all four of its parts (pull, push, content discovery, content
management). The tests are told that a blob whose origin is not named is mounted from wherever it is. Tests of content
of which parts are absent are not asked for: such a manifest is refused, as the specification allows.

| version | registry | passed | failed | skipped |
|---|---|---|---|---|
"""

# Of what conformance.json says: version, server, world, counts.
Suites = Mapping[str, Mapping[str, Mapping[World, Mapping[str, int]]]]


def suites() -> Suites:
    """What the specification's own tests said when they were last run."""
    found: Suites = json.loads(SUITES.read_text())
    return found


def _suite_lines(found: Suites) -> list[str]:
    return [
        f"| {version} | {server}, {world} | {counts['passed']} | {counts['failed']} | {counts['skipped']} |"
        for version, servers in found.items()
        for server, worlds in servers.items()
        for world, counts in worlds.items()
    ]


def page(known: Witness, found: Suites) -> str:
    """docs/reference/distribution.md."""
    held = len(CLAUSES) - len(known.broken)
    lines = [_HEAD.format(version=known.version, held=held, all=len(CLAUSES)).rstrip("\n"), *_suite_lines(found)]
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
