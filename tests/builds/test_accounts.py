"""Owners of copied files when /etc/passwd is not at hand: it is in a cached RUN, or still in a registry."""

import tarfile
from collections.abc import Callable
from pathlib import Path

from scripts.local_registry import LocalRegistry
from tests.program import Program

Context = Callable[..., Path]


def _owners(archive: Path) -> dict[str, tuple[int, int]]:
    with tarfile.open(archive) as tar:
        return {member.name.rstrip("/"): (member.uid, member.gid) for member in tar}


def test_a_user_that_a_cached_run_made_is_known(
    polyarch: Program, busybox: str, context: Context, tmp_path: Path
) -> None:
    made = f"FROM {busybox}\nRUN echo made:x:7:8::/:/bin/sh >> /etc/passwd\n"
    platforms = ("--platform", "linux/amd64,linux/arm64")
    polyarch("build", "-q", *platforms, context(f"{made}RUN true\n"))
    directory = context(f"{made}COPY --chown=made f /f\nUSER made\nWORKDIR /w\n", "f = f")
    polyarch("build", "-q", *platforms, "-o", f"type=local,dest={tmp_path}/out", directory)
    for platform in ("amd64", "arm64"):
        out = f"type=tar,dest={tmp_path}/{platform}.tar"
        polyarch("build", "-q", "--platform", f"linux/{platform}", "-o", out, directory)
        owners = _owners(tmp_path / f"{platform}.tar")
        assert (owners["f"], owners["w"]) == ((7, 8), (7, 8))


def test_a_passwd_that_no_table_of_contents_keeps_is_fetched(
    polyarch: Program, registry: LocalRegistry, context: Context, tmp_path: Path
) -> None:
    files = "tree/etc/passwd -> ../usr/lib/passwd\ntree/usr/lib/passwd = alice:x:7:8::/:\\n"
    base = context("FROM scratch\nCOPY tree /\n", files)
    (base / "tree/big").write_bytes(bytes(2 << 20))
    name = f"{registry.address}/base:1"
    polyarch("build", "-q", "-t", name, "--push", base)
    fresh = Program(tmp_path / "other", tmp_path)
    directory = context(f"FROM {name}\nCOPY --chown=alice f /f\n", "f = f")
    fresh("build", "-q", "-o", f"type=tar,dest={tmp_path}/out.tar", directory)
    assert _owners(tmp_path / "out.tar")["f"] == (7, 8)


def test_an_unknown_owner_is_warned_of_when_everything_is_cached_too(
    polyarch: Program, busybox: str, context: Context
) -> None:
    directory = context(f"FROM {busybox}\nCOPY --chown=ghost f /f\nCOPY --chown=ghost f /g\n", "f = f")
    words = ("build", "--platform", "linux/amd64,linux/arm64", directory)
    for _ in range(2):
        said = polyarch(*words).stderr
        assert said.count("UnknownOwner: --chown=ghost: ") == 2
        assert said.count("(Dockerfile:2)") == said.count("(Dockerfile:3)") == 1


def test_an_unknown_owner_can_be_an_error(polyarch: Program, busybox: str, context: Context) -> None:
    directory = context(f"# check=error=true\nFROM {busybox}\nCOPY --chown=ghost f /f\n", "f = f")
    assert "lint violation found for rules: UnknownOwner" in polyarch.fails("build", directory).stderr
