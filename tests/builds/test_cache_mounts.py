"""Cache mounts that travel: `mounts=` of --cache-to and --cache-from."""

import json
import re
from pathlib import Path

import pytest

from polyarch.builder.cache import mounts
from scripts.local_registry import LocalRegistry
from tests.builds.test_remote_cache import Context, Machine
from tests.people import Person
from tests.program import Program

DOCKERFILE = """\
FROM {base}
COPY file /file
RUN --mount=type=cache,id=pip,target=/pip \\
    cat /pip/known /file > /found 2>/dev/null; \\
    mkdir -p /pip/dir && echo kept > /pip/known && chmod 640 /pip/known && ln -sf ../known /pip/dir/link && \\
    ln -f /pip/known /pip/hard && chown 1000:1000 /pip/dir
RUN --mount=type=cache,target=/other,sharing=locked echo {number} > /other/file
"""


def text(base: str, number: int = 1) -> str:
    return DOCKERFILE.format(base=base, number=number)


def contents(machine: Program, place: str) -> list[tuple[str, str]]:
    """What a cache has: kinds and names."""
    rows = [json.loads(line) for line in machine("cache", "inspect", "--format", "json", place).lines()]
    return sorted((row["Kind"], row["Name"]) for row in rows)


@pytest.fixture
def place(tmp_path: Path) -> str:
    return f"type=local,dest={tmp_path / 'cache'}"


def test_a_cold_machine_gets_the_mount_with_its_files_owners_and_links(
    machine: Machine, base: str, context: Context, place: str
) -> None:
    directory = context(text(base), "file = one")
    first = machine()
    first("build", "-q", "--cache-to", f"{place},mounts=pip;/other", directory)
    found = contents(first, place.replace("dest", "src"))
    assert ("mount", "pip") in found
    assert ("mount", "/other") in found
    (directory / "file").write_text("two")
    look = "RUN --mount=type=cache,id=pip,target=/pip ls -ln /pip /pip/dir > /listed && cat /pip/dir/link >> /listed\n"
    (directory / "Dockerfile").write_text(text(base) + look)
    second = machine()
    result = second(
        "build",
        "--progress=plain",
        "-t",
        "app",
        "--cache-from",
        f"{place.replace('dest', 'src')},mounts=pip",
        directory,
    )
    assert "filling the cache mount pip for linux/amd64 from" in result.stderr
    assert "filling the cache mount //other" not in result.stderr
    assert second("run", "app", "cat", "/found").stdout.split() == ["kept", "two"]
    listed = second("run", "app", "cat", "/listed").stdout
    assert "-rw-r-----    2 0" in listed
    assert "drwxr-xr-x    2 1000" in listed
    assert listed.endswith("kept\n")


def test_a_mount_that_is_here_already_is_not_replaced(
    machine: Machine, base: str, context: Context, place: str
) -> None:
    directory = context(text(base), "file = one")
    machine()("build", "-q", "--cache-to", f"{place},mounts=pip", directory)
    second = machine()
    second("build", "-q", directory)
    (directory / "file").write_text("two")
    result = second(
        "build", "--progress=plain", "--cache-from", f"{place.replace('dest', 'src')},mounts=pip", directory
    )
    assert "filling the cache mount" not in result.stderr


def test_a_mount_is_packed_again_only_if_a_step_used_it(
    machine: Machine, base: str, context: Context, place: str
) -> None:
    directory = context(text(base), "file = one")
    first = machine()
    # The first time everything is in the cache of this machine, and the mount is sent all the same.
    first("build", "-q", directory)
    packing = "packing the cache mount pip for linux/amd64"
    build = ("build", "--progress=plain", "--cache-to", f"{place},mounts=pip", directory)
    assert packing in first(*build).stderr
    assert packing not in first(*build).stderr
    assert ("mount", "pip") in contents(first, place.replace("dest", "src"))
    (directory / "file").write_text("two")
    assert packing in first(*build).stderr


def test_a_mount_that_does_not_exist_or_was_never_used_is_a_note(
    machine: Machine, base: str, context: Context, place: str
) -> None:
    directory = context(text(base), "file = one")
    first = machine()
    result = first("build", "--progress=plain", "--cache-to", f"{place},mode=max,mounts=pi", directory)
    assert result.stderr.count("mounts=pi: no RUN of this build has a cache mount with this id") == 1
    cold = machine()
    source = place.replace("dest", "src")
    result = cold("build", "--progress=plain", "--cache-from", source, "--cache-to", f"{place},mounts=pip", directory)
    assert result.stderr.count("is not sent: no step has used it on this machine") == 1
    assert all(kind == "layer" for kind, _ in contents(cold, source))


def test_a_damaged_mount_is_a_note_and_the_step_begins_with_an_empty_one(
    machine: Machine, base: str, context: Context, place: str, tmp_path: Path
) -> None:
    directory = context(text(base), "file = one")
    first = machine()
    source = place.replace("dest", "src")
    first("build", "-q", "--cache-to", f"{place},mounts=pip", directory)
    rows = [json.loads(line) for line in first("cache", "inspect", "--format", "json", source).lines()]
    digest = next(row["Digest"] for row in rows if row["Kind"] == "mount")
    file = tmp_path / "cache/blobs/sha256" / digest.partition(":")[2]
    content = bytearray(file.read_bytes())
    content[-20] ^= 1
    file.write_bytes(content)
    (directory / "file").write_text("two")
    second = machine()
    result = second("build", "--progress=plain", "-t", "app", "--cache-from", f"{source},mounts=pip", directory)
    assert "the cache mount pip for linux/amd64 is not filled from" in result.stderr
    assert second("run", "app", "cat", "/found").stdout == "two"


def test_without_root_owners_travel_too(unprivileged: Person, base: str, registry: LocalRegistry) -> None:
    directory = unprivileged.directory / "context"
    directory.mkdir()
    (directory / "Dockerfile").write_text(
        f"FROM {base}\nCOPY file /file\nRUN --mount=type=cache,id=pip,target=/pip ls -ln /pip > /listed; "
        "touch /pip/kept && chown 1000:1000 /pip/kept\n"
    )
    (directory / "file").write_text("one")
    cache = f"type=registry,ref={registry.address}/x:cache,mounts=pip"
    unprivileged.polyarch("build", "-q", directory)
    # Everything is in the cache of this machine, so that nothing has entered the user namespace before.
    unprivileged.polyarch(
        "build", "-q", "-t", f"{registry.address}/app:1", "--push", "--cache-to", f"{cache},mode=max", directory
    )
    (directory / "file").write_text("two")
    cold = Program(unprivileged.directory / "cold", unprivileged.directory, unprivileged.prefix)
    cold("build", "-q", "-t", "app", "--cache-from", cache, directory)
    assert re.search(r" 1000 +1000 .* kept", cold("run", "app", "cat", "/listed").stdout)


@pytest.mark.parametrize(
    ("identity", "name", "expected"),
    [
        ("/pip@linux/amd64", "pip", True),
        ("team/pip@linux/amd64", "pip", True),
        ("/pip", "pip", True),
        ("//root/.cache@linux/arm/v7", "/root/.cache", True),
        ("/pip@linux/amd64", "pi", False),
        ("/pip@home@linux/amd64", "pip", False),
        ("/pip@home@linux/amd64", "pip@home", True),
        ("/pip@home", "pip", False),
        ("/pip@home", "pip@home", True),
    ],
)
def test_a_mount_is_named_as_in_the_dockerfile(identity: str, name: str, expected: bool) -> None:
    assert mounts.named(identity, (name,)) == (name if expected else "")
