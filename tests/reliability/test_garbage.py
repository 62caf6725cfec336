"""What prune removes: nothing that a name, a running command or the build cache needs; otherwise everything."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests import bases, trees
from tests.needs import need_root
from tests.people import Person
from tests.program import Program
from tests.reliability import crash

_DOCKERFILE = """\
FROM busybox
COPY file /file
RUN --mount=type=cache,target=/cache echo kept >>/cache/log && mkdir -m 700 /private && chown 33:33 /private && \\
    echo done >/private/done && chown 33:33 /private/done
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return trees.write(tmp_path / "context", {"Dockerfile": _DOCKERFILE, "file": "text\n" * 1000})


def build(polyarch: Program, context: Path, name: str = "app") -> str:
    """What a build says, line by line."""
    return polyarch("build", "-t", name, "--progress", "plain", context).stderr


def cached_steps(said: str) -> int:
    return said.count("CACHED") - 1  # the base always is


def test_prune_keeps_what_the_build_cache_has(polyarch: Program, busybox: str, context: Path) -> None:
    build(polyarch, context)
    polyarch("rmi", "--no-prune", "app")
    polyarch("system", "prune", "-f")
    assert cached_steps(build(polyarch, context)) == 2
    polyarch("system", "fsck")


def test_prune_all_takes_the_build_cache_and_leaves_the_images(polyarch: Program, busybox: str, context: Path) -> None:
    build(polyarch, context)
    before = crash.names(polyarch.root)
    polyarch("system", "prune", "-a", "-f")
    assert list((polyarch.root / "snapshots").iterdir()) == list((polyarch.root / "caches").iterdir()) == []
    assert crash.looked_at(polyarch.root, before, set()) == []
    polyarch("run", "--rm", "app", "test", "-f", "/private/done")
    assert cached_steps(build(polyarch, context)) == 0
    assert polyarch("run", "--rm", "app", "true").status == 0


def test_a_limit_takes_the_longest_unused_first(polyarch: Program, busybox: str, context: Path) -> None:
    def large() -> set[Path]:
        return {path for path in polyarch.root.glob("oci/blobs/sha256/*") if path.stat().st_size > 300_000}

    known, made = large(), []
    for number in range(4):
        (context / "file").write_bytes(os.urandom(400_000))
        (context / "Dockerfile").write_text(f"FROM busybox\nCOPY file /file{number}\n")
        build(polyarch, context)
        polyarch("rmi", "--no-prune", "app")
        made += large() - known
        known = large()
    total = sum(path.stat().st_size for path in polyarch.root.glob("oci/blobs/sha256/*"))
    polyarch("buildx", "prune", "-f", "--keep-storage", str(total - 700_000))
    assert [path.exists() for path in made] == [False, False, True, True]
    assert cached_steps(build(polyarch, context)) == 1
    polyarch("system", "fsck")


def test_a_limit_counts_cache_mounts_and_unpacked_layers(polyarch: Program, busybox: str, context: Path) -> None:
    build(polyarch, context)
    polyarch("buildx", "prune", "-f", "--keep-storage", "1GB")
    assert len(list((polyarch.root / "caches").iterdir())) == 1
    assert cached_steps(build(polyarch, context)) == 2
    said = polyarch("buildx", "prune", "-f", "--keep-storage", "0").lines()
    assert [line.split()[1] for line in said if line.startswith("Removed cache")] == ["cache"]
    assert list((polyarch.root / "caches").iterdir()) == []
    polyarch("run", "--rm", "app", "test", "-f", "/private/done")
    polyarch("system", "fsck")


def test_what_a_user_without_root_made_as_other_ids_is_given_back(
    unprivileged: Person, busybox_store: Path, context: Path
) -> None:
    polyarch = unprivileged.polyarch
    bases.copy_store(busybox_store, polyarch.root)
    unprivileged.give(polyarch.root)
    place = unprivileged.directory / "context"
    shutil.copytree(context, place)
    unprivileged.give(place)
    build(polyarch, place)
    polyarch("rmi", "app")
    polyarch("system", "prune", "-a", "-f")
    assert list((polyarch.root / "tmp").iterdir()) == list((polyarch.root / "snapshots").iterdir()) == []


def test_what_a_killed_build_left_as_other_ids_goes_with_the_next_build(
    unprivileged: Person, busybox_store: Path, context: Path
) -> None:
    need_root()  # to look into what belongs to the user's other ids
    polyarch = unprivileged.polyarch
    bases.copy_store(busybox_store, polyarch.root)
    place = trees.write(
        unprivileged.directory / "context",
        {
            "Dockerfile": f"{_DOCKERFILE}RUN mkdir -m 700 /other && touch /other/x && chown 7:7 /other && sleep 60\n",
            "file": "",
        },
    )
    unprivileged.give(unprivileged.directory)
    words = ["build", "-t", "app", str(place)]
    process = subprocess.Popen(
        [*polyarch.prefix, str(polyarch.path), *words],
        env=polyarch.env,
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while not (found := list((polyarch.root / "tmp").glob("*/new/fs/other/x"))):
        assert time.monotonic() < deadline, "the RUN did not begin"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    polyarch("images")
    # Only the namespace of the user may remove it: it waits.
    assert found[0].parents[2].exists() or list((polyarch.root / "tmp").glob("*.stuck"))
    (place / "Dockerfile").write_text("FROM busybox\nRUN true\n")
    polyarch(*words)
    assert list((polyarch.root / "tmp").iterdir()) == []
