"""The signature of a local context: which changes are noticed, and when files need not be read again."""

import hashlib
import io
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from polyarch.builder.contexts.local import LocalContext
from polyarch.dockerfile import ignorefile
from polyarch.layers.compression import Compression
from polyarch.layers.pack import pack
from polyarch.store import Store

LATER = 3_600_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "context"
    (made / "a").mkdir(parents=True)
    (made / "a" / "one").write_text("1")
    (made / "two").write_text("2")
    (made / "link").symlink_to("two")
    return made


def signature(directory: Path, store: Store, ignore: str = "") -> str:
    matcher = ignorefile.Matcher(ignorefile.parse(ignore)) if ignore else None
    return LocalContext(directory, store, time.time_ns() + LATER, matcher).signature()


def _same_size_and_time(directory: Path) -> None:
    status = (directory / "two").stat()
    (directory / "two").write_text("3")
    os.utime(directory / "two", ns=(status.st_atime_ns, status.st_mtime_ns))


def _linked_elsewhere(directory: Path) -> None:
    (directory / "link").unlink()
    (directory / "link").symlink_to("a")


CHANGES: list[Callable[[Path], object]] = [
    lambda directory: (directory / "a" / "three").write_text(""),
    lambda directory: (directory / "a" / "one").unlink(),
    lambda directory: (directory / "a" / "one").rename(directory / "a" / "uno"),
    lambda directory: (directory / "two").chmod(0o700),
    lambda directory: os.link(directory / "two", directory / "a" / "two"),
    _same_size_and_time,
    _linked_elsewhere,
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_directory_in_which_something_changed_has_another_signature(
    directory: Path, store: Store, change: Callable[[Path], object]
) -> None:
    before = signature(directory, store)
    assert before == signature(directory, store) != ""
    time.sleep(0.02)  # a tick of the kernel's coarse clock
    change(directory)
    assert signature(directory, store) != before


def test_what_is_ignored_may_change(directory: Path, store: Store) -> None:
    before = signature(directory, store, "a/one\n")
    time.sleep(0.02)
    (directory / "a" / "one").write_text("changed")
    assert signature(directory, store, "a/one\n") == before


def test_files_as_young_as_the_command_have_no_signature(directory: Path, store: Store) -> None:
    (directory / "a" / "one").touch()
    assert LocalContext(directory, store, time.time_ns()).signature() == ""


def test_files_are_no_later_than_their_signature(directory: Path, store: Store) -> None:
    context = LocalContext(directory, store, time.time_ns() + LATER)
    assert context.files.entry("two") is not None
    (directory / "three").write_text("3")
    assert context.signature() != signature(directory, store)


@pytest.mark.parametrize("ignore", ["", "a/one\n", "a\n!a/one\n"])
def test_the_walk_for_the_files_gives_the_same_signature(directory: Path, store: Store, ignore: str) -> None:
    matcher = ignorefile.Matcher(ignorefile.parse(ignore)) if ignore else None
    context = LocalContext(directory, store, time.time_ns() + LATER, matcher)
    assert context.files.entry("link") is not None
    assert context.signature() == signature(directory, store, ignore) != ""


def test_files_that_changed_after_something_was_named_by_their_signature_are_noticed(
    directory: Path, store: Store
) -> None:
    steady, changing = (LocalContext(directory, store, time.time_ns() + LATER) for _ in range(2))
    for context in (steady, changing):
        context.rely()
    assert steady.files.entry("two") is not None
    (directory / "three").write_text("3")
    assert changing.files.entry("three") is not None
    assert not steady.changed
    assert changing.changed


@pytest.mark.parametrize("size", [1, 3 << 20])
def test_a_file_that_was_packed_is_not_read_again_to_know_it(directory: Path, store: Store, size: int) -> None:
    (directory / "two").write_bytes(b"2" * size)
    files = LocalContext(directory, store, time.time_ns() + LATER).files
    entry = files.entry("two")
    assert entry is not None
    pack([(entry, files.content("two"))], io.BytesIO(), Compression("none"))
    (directory / "two").unlink()
    assert files.fingerprint("two") == hashlib.sha256(b"2" * size).hexdigest()
