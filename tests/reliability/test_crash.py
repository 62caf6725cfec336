"""Commands that are killed, or whose disk fails, lose nothing. `make soak` does the same at many more points."""

import random
import shutil
import subprocess
import sys

import pytest

from polyarch.store import Store
from tests import bases
from tests.needs import need_root
from tests.people import Person
from tests.program import Program
from tests.reliability import crash, faults
from tests.reliability.crash import Aims
from tests.reliability.scenarios import SCENARIOS

_SEED = 20_261
_ERRORS = ("ENOSPC", "EIO", "EDQUOT")


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_command_that_is_hit_loses_nothing_and_succeeds_the_next_time(aims: Aims, name: str) -> None:
    need_root()  # newuidmap is set-uid, and a user's strace takes that from it
    dice = random.Random(f"{_SEED} {name}")
    # One error each: what one command does with an error, another does through the same few functions.
    for fault in ("KILL", "KILL", dice.choice(_ERRORS)):
        outcome = crash.hit(aims, name, fault, dice, witness=fault == "KILL")
        assert not outcome.wrong, f"{name}, {outcome.point}:\n" + "\n".join(outcome.wrong)


@pytest.mark.parametrize("name", ["build", "pull", "prune"])
def test_a_disk_that_is_really_full_loses_nothing(aims: Aims, name: str) -> None:
    need_root()
    outcome = crash.fill_up(aims, name, random.Random(f"{_SEED} {name}"))
    assert not outcome.wrong, f"{name}, {outcome.point}:\n" + "\n".join(outcome.wrong)


def test_a_user_without_root_leaves_neither_process_nor_mount_nor_files_when_killed(
    unprivileged: Person, busybox_store: object, aims: Aims
) -> None:
    polyarch = unprivileged.polyarch
    bases.copy_store(aims.site.template, polyarch.root)
    unprivileged.give(polyarch.root)
    context = unprivileged.directory / "context"
    shutil.copytree(aims.site.context, context)
    unprivileged.give(context)
    before = names(polyarch)
    dice = random.Random(_SEED)
    words = ["build", "-t", "built", "--no-cache", "--progress", "plain", str(context)]
    for _ in range(4):
        _, remaining = crash.kill_after(polyarch, words, dice.uniform(0.2, 1.2))
        assert remaining == []
        assert faults.mounts_of(polyarch.root) == []
        assert {name: digest for name, digest in names(polyarch).items() if name in before} == before
    polyarch(*words)
    polyarch("system", "fsck")
    # Files of subordinate ids too, which the user alone could not remove.
    assert list((polyarch.root / "tmp").iterdir()) == []


def names(polyarch: Program) -> dict[str, str]:
    """As a user of the store sees them."""
    listed = polyarch("images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").lines()
    return dict(line.split() for line in listed)


def test_a_store_that_is_killed_while_it_is_made_is_made_the_next_time(aims: Aims) -> None:
    polyarch = aims.site.fresh(aims.next_number())
    words = [str(polyarch.path), "images"]
    # The first run of a command opens more files, because it keeps the code of its modules in one file.
    polyarch("images")
    shutil.rmtree(polyarch.root)
    possible = faults.possible_points(words, polyarch.env, polyarch.root, aims.site.directory)["DISK"]
    for point in random.Random(_SEED).sample(possible, 5):
        shutil.rmtree(polyarch.root)
        assert faults.aim(point._replace(fault="KILL"), words, polyarch.env, aims.site.directory).was_hit, point
        polyarch("images")
        assert list((polyarch.root / "tmp").iterdir()) == [], point
        polyarch("system", "fsck")
    assert len(possible) >= 10


class TestTheHarnessNotices:
    """The harness must notice the damage that a careless program causes."""

    @pytest.fixture
    def polyarch(self, aims: Aims) -> Program:
        return aims.site.fresh(aims.next_number())

    def test_a_blob_that_was_spoilt_with_its_length_kept(self, polyarch: Program) -> None:
        before = crash.names(polyarch.root)
        blob = max((polyarch.root / "oci/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
        blob.write_bytes(bytes(blob.stat().st_size))
        assert any("other content" in wrong for wrong in crash.looked_at(polyarch.root, before, set()))

    def test_a_name_whose_layer_is_gone(self, polyarch: Program) -> None:
        before = crash.names(polyarch.root)
        max((polyarch.root / "oci/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size).unlink()
        assert any(" lacks " in wrong for wrong in crash.looked_at(polyarch.root, before, set()))

    def test_a_name_that_moved_and_one_that_is_gone(self, polyarch: Program) -> None:
        before = crash.names(polyarch.root)
        with Store.open(polyarch.root) as store:
            store.tag("docker.io/library/one:latest", store.resolve("docker.io/library/old:latest"))
            store.untag("docker.io/library/tied:latest")
        wrong = crash.looked_at(polyarch.root, before, set())
        assert {line.split()[0].partition(":")[0] for line in wrong} == {
            "docker.io/library/one",
            "docker.io/library/tied",
        }

    def test_a_process_that_goes_on(self, polyarch: Program) -> None:
        sleeper = subprocess.Popen([sys.executable, "-c", "input()"], env=polyarch.env, stdin=subprocess.PIPE)
        try:
            assert len(faults.processes_of(polyarch.root)) == 1
        finally:
            sleeper.communicate(b"\n")
        assert faults.processes_of(polyarch.root) == []

    def test_garbage_that_the_next_command_does_not_take_away(self, polyarch: Program) -> None:
        before = crash.names(polyarch.root)
        (polyarch.root / "tmp/left").write_text("")
        assert any("garbage" in wrong for wrong in crash.looked_at(polyarch.root, before, set()))

    def test_a_command_that_is_not_hit(self, aims: Aims) -> None:
        polyarch = aims.site.fresh(aims.next_number())
        never = faults.Point("EIO", "write", 60_000)
        done = faults.aim(never, [str(polyarch.path), "images"], polyarch.env, aims.site.directory)
        assert (done.was_hit, done.status) == (False, 0)
