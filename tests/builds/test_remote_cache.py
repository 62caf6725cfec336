"""`--cache-to` and `--cache-from`: a machine that starts empty builds what others built already."""

import re
from collections.abc import Callable
from pathlib import Path

from scripts.local_registry import LocalRegistry
from tests.program import Program, Result

Context = Callable[..., Path]
Machine = Callable[[], Program]

DOCKERFILE = """\
FROM {base} AS tools
RUN echo tool $(cat /proc/sys/kernel/random/uuid) > /tool
FROM {base}
COPY file /file
RUN echo made $(cat /proc/sys/kernel/random/uuid) > /made
COPY --from=tools /tool /tool
RUN cat /tool /made > /both
"""


def digest(result: Result) -> str:
    """The digest that a build with -q prints."""
    return result.stdout.strip()


def ran(result: Result) -> int:
    """How many steps a build with --progress=plain did, and did not find."""
    steps = re.findall(r"#(\d+) \[linux.*\d/\d\] (?:RUN|COPY|WORKDIR)", result.stderr)
    return sum(f"#{step} CACHED" not in result.stderr for step in steps)


def test_a_cold_machine_runs_nothing_and_gets_the_same_image(
    machine: Machine, registry: LocalRegistry, base: str, context: Context
) -> None:
    directory = context(DOCKERFILE.format(base=base), "file = content")
    name, cache = f"{registry.address}/app:1", f"type=registry,ref={registry.address}/app:cache"
    first = machine()("build", "-q", "--push", "-t", name, "--cache-to", f"{cache},mode=max", directory)
    cold, asked = machine(), len(registry.requests())
    second = cold(
        "build", "--push", "--progress=plain", "-t", f"{registry.address}/b:1", "--cache-from", cache, directory
    )
    assert ran(second) == 0
    assert digest(first) in second.stderr
    assert "importing cache manifest from" in second.stderr
    moved = [line for line in registry.requests()[asked:] if line.startswith("GET /v2/app/blobs/")]
    assert moved == [], "nothing reads the layers"
    uploads = [line for line in registry.requests()[asked:] if line.startswith("PUT /v2/b/blobs/")]
    assert len(uploads) <= 1, "only the config is sent, because the layers are mounted"
    explained = cold("explain", f"{registry.address}/b:1").stdout
    assert explained.count(f"found in {registry.address}/app:cache") == 4
