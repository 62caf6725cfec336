"""What is prepared before it is needed: copies of emulators in a child process, the first RUN in a thread."""

import os
from pathlib import Path

import pytest

from polyarch.oci.platform import parse
from polyarch.sandbox import CopiesAhead, emulators, find_emulator
from polyarch.sandbox.host import host_platform
from tests.needs import need
from tests.people import Person
from tests.sandbox.inside import SEARCH_PATH, Room, inside

pytestmark = pytest.mark.integration

_FOREIGN = "linux/s390x"  # foreign everywhere where tests run


@pytest.fixture
def emulator() -> str:
    need("qemu-s390x-static")
    found = find_emulator(parse(_FOREIGN), SEARCH_PATH)
    assert found is not None
    return found


def _ahead(directory: Path, *platforms: str) -> CopiesAhead:
    return CopiesAhead([(parse(name), None) for name in platforms], SEARCH_PATH, str(directory), {})


def _models() -> tuple[str, ...]:
    from polyarch.sandbox.emulation import _answers

    return _answers.table("s390x")


def test_a_copy_that_is_missing_is_made_by_a_child(tmp_path: Path, emulator: str) -> None:
    ahead = _ahead(tmp_path, _FOREIGN, str(host_platform()))
    assert ahead._child is not None
    assert os.waitpid(ahead._child, 0)[1] == 0
    ahead._child = None
    copies = emulators.EmulatorCopies(str(tmp_path))
    assert copies.has(emulator, "s390x", _models())
    (made,) = (path for path in tmp_path.iterdir() if path.name not in ("known.json", "lock"))
    number = made.stat().st_ino
    assert copies.copy(emulator, "s390x", _models()).path == str(made)
    assert made.stat().st_ino == number


def test_nothing_is_started_for_what_is_native_or_there(tmp_path: Path, emulator: str) -> None:
    assert _ahead(tmp_path, str(host_platform()))._child is None
    emulators.EmulatorCopies(str(tmp_path)).copy(emulator, "s390x", _models())
    assert _ahead(tmp_path, _FOREIGN)._child is None


def test_who_needs_a_copy_waits_for_the_child(tmp_path: Path, emulator: str) -> None:
    ahead = _ahead(tmp_path, _FOREIGN)
    copy = emulators.EmulatorCopies(str(tmp_path)).copy(emulator, "s390x", _models())
    ahead.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([Path(copy.path).name, "known.json", "lock"])


def test_the_child_ends_with_its_owner(tmp_path: Path, emulator: str) -> None:
    ahead = _ahead(tmp_path, _FOREIGN)
    child = ahead._child
    assert child is not None
    ahead.close()
    ahead.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(child, 0)


def _while_a_copy_is_made(room: Room) -> list[int]:
    """The statuses of a native step, during which another process makes the copy, and of a step that needs it."""
    copies = emulators.EmulatorCopies(str(room.directory / "emulators"))
    with copies._locked():
        room.sandbox.expect([(parse("linux/arm64"), None)])
        native = room.run("true").status
    return [native, room.run("true", "linux/arm64").status]


def test_a_native_step_does_not_wait_for_the_copy_of_an_emulator(
    someone: Person, two_platforms: dict[str, Path]
) -> None:
    need("qemu-aarch64-static")
    assert inside(someone, _while_a_copy_is_made, two_platforms) == [0, 0]


def _errors(room: Room) -> list[int]:
    room.sandbox.expect([(parse("linux/unknown"), None), (parse("linux/amd64"), None)])
    return [room.run("true").status]


def test_an_error_is_raised_by_the_step_that_needs_the_platform_only(someone: Person, amd64: dict[str, Path]) -> None:
    assert inside(someone, _errors, amd64) == [0]
