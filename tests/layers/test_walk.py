"""Walking a local directory as layer entries."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyarch.errors import NotFoundError, PolyarchError
from polyarch.layers.content import read_whole
from polyarch.layers.entry import LocalFile
from polyarch.layers.walk import stamps, walk


def _paths(root: Path, *arguments: object) -> list[str]:
    return [found.entry.path for found in walk(str(root), *arguments)]  # type: ignore[arg-type]


def test_a_walk_gives_all_kinds_with_modes_times_and_links(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir(mode=0o750)
    (tmp_path / "d/f").write_bytes(b"12345")
    os.utime(tmp_path / "d/f", (1, 77))
    (tmp_path / "l").symlink_to("d/f")
    os.link(tmp_path / "d/f", tmp_path / "z")
    os.mkfifo(tmp_path / "p")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
    found = {item.entry.path: item for item in walk(str(tmp_path))}
    assert {path: item.entry.kind for path, item in found.items()} == {
        "d": "directory",
        "d/f": "file",
        "l": "symlink",
        "p": "fifo",
        "z": "hardlink",
    }
    assert (found["d/f"].entry.size, found["d/f"].entry.mtime) == (5, 77)
    assert (found["l"].entry.link, found["z"].entry.link) == ("d/f", "d/f")
    assert found["d"].entry.mode == 0o750
    status = (tmp_path / "d/f").stat()
    assert found["d/f"].stamp == (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, 5)
    assert found["d/f"].path == str(tmp_path / "d/f")


def test_names_come_in_the_order_of_their_bytes_and_directories_before_their_content(tmp_path: Path) -> None:
    for name in ("b", "B", "é", "a-b"):
        (tmp_path / name).touch()
    (tmp_path / "a").mkdir()
    (tmp_path / "a/z").touch()
    (tmp_path / "\udcff").touch()
    assert _paths(tmp_path) == ["B", "a", "a/z", "a-b", "b", "é", "\udcff"]


def test_a_skipped_directory_is_not_even_looked_into(tmp_path: Path) -> None:
    (tmp_path / "node_modules/deep").mkdir(parents=True)
    (tmp_path / "src").mkdir()
    (tmp_path / "src/x").touch()
    asked: list[tuple[str, bool]] = []

    def skip(path: str, is_directory: bool) -> bool:
        asked.append((path, is_directory))
        return path == "node_modules"

    assert _paths(tmp_path, skip) == ["src", "src/x"]
    assert asked == [("node_modules", True), ("src", True), ("src/x", False)]


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").touch()
    (tmp_path / "root").mkdir()
    (tmp_path / "root/l").symlink_to("../outside")
    assert _paths(tmp_path / "root") == ["l"]


def test_xattrs_are_read_where_asked_for(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    os.setxattr(tmp_path / "f", "user.note", b"x")
    assert [found.entry.xattrs for found in walk(str(tmp_path))] == [()]
    assert [found.entry.xattrs for found in walk(str(tmp_path), xattrs=True)] == [(("user.note", b"x"),)]


def test_a_root_that_is_no_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="gone is not a directory"):
        _paths(tmp_path / "gone")


def test_a_deep_directory_needs_no_deep_stack(tmp_path: Path) -> None:
    here = tmp_path
    for _ in range(1500):
        here /= "d"
        here.mkdir()
    assert len(_paths(tmp_path)) == 1500
    # pytest's own removal is recursive.
    subprocess.run(["rm", "-r", tmp_path / "d"], check=True)


@pytest.fixture
def long(tmp_path: Path) -> Iterator[Path]:
    """A directory whose own path, and the paths below it, are longer than a system call takes."""
    before = Path.cwd()
    os.chdir(tmp_path)
    for name in ["a" * 250] * 20 + ["ж" * 120] * 20:
        os.mkdir(name)
        os.chdir(name)
    Path("f").write_bytes(b"content")
    Path("l").symlink_to("f")
    os.link("f", "z")
    os.setxattr("f", "user.x", b"y")
    os.chdir(before)
    yield tmp_path
    # pytest's own removal is recursive.
    subprocess.run(["rm", "-r", tmp_path], check=True)
    tmp_path.mkdir()


def test_paths_that_no_system_call_takes_are_walked_and_read(long: Path) -> None:
    before = os.listdir("/proc/self/fd")
    found = {item.entry.path.rpartition("/")[2]: item for item in walk(str(long), None, True)}
    assert {name: found[name].entry.kind for name in "flz"} == {"f": "file", "l": "symlink", "z": "hardlink"}
    assert found["f"].entry.xattrs == (("user.x", b"y"),)
    assert len(found["f"].path) > 4096
    assert found["f"].path == f"{long}/{found['f'].entry.path}"
    assert read_whole(found["f"].entry, LocalFile(found["f"].path, found["f"].stamp)) == b"content"
    assert [path for rows in stamps(str(long)) for path, _, _ in rows] == _paths(long)
    root = found["f"].path.removesuffix("/f")
    assert _paths(Path(root)) == ["f", "l", "z"]
    assert os.listdir("/proc/self/fd") == before


def test_a_walk_that_is_given_up_closes_what_it_opened(long: Path) -> None:
    before = os.listdir("/proc/self/fd")
    going = walk(str(long))
    for _ in range(30):
        next(going)
    going.close()
    assert os.listdir("/proc/self/fd") == before


def test_a_message_shows_both_ends_of_a_long_path(long: Path) -> None:
    missing = f"{long}/{'a' * 250}/" + "/".join(["b" * 250] * 20)
    with pytest.raises(PolyarchError) as caught:
        _paths(Path(missing))
    assert len(caught.value.message) < 400
    assert caught.value.message.startswith(str(long))


def calls_of(directory: Path) -> int:
    """How many functions a walk calls, those of Python itself included."""
    count = 0

    def called(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(called)
    try:
        _paths(directory)
    finally:
        sys.setprofile(None)
    return count


def test_a_walk_of_twice_as_many_files_calls_no_more_than_twice_as_many_functions(tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    (tmp_path / "many").mkdir()
    for number in range(2000):
        (tmp_path / "many" / str(number)).touch()
        if number % 2:
            (tmp_path / "few" / str(number)).touch()
    assert calls_of(tmp_path / "many") <= 2 * calls_of(tmp_path / "few")
