"""Temporary mount points: the tree afterwards equals the tree before.

These run on a plain directory that plays both the root filesystem and its upper layer; test_run.py has the overlay.
"""

import os
from pathlib import Path

import pytest

from polyarch.errors import PolyarchError
from polyarch.sandbox.mountpoints import MountPoints, Point

_LONG_AGO = 1_000_000_000


def _tree(root: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(root)): (path.lstat().st_mode, path.lstat().st_mtime_ns)
        for path in [root, *sorted(root.rglob("*"))]
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text("")
    (root / "run").symlink_to("/var/run")
    for path in (root / "etc", root):
        os.utime(path, (_LONG_AGO, _LONG_AGO))
    return root


def test_what_was_made_is_removed_and_no_time_has_changed(root: Path) -> None:
    before = _tree(root)
    mount_points = MountPoints(str(root), str(root))
    mount_points.make([Point("/proc", True), Point("/etc/hosts", False), Point("/run/secrets/deep/key", False)])
    assert (root / "etc/hosts").is_file()
    assert (root / "proc").is_dir()
    assert (root / "var/run/secrets/deep/key").is_file()
    mount_points.remove()
    assert _tree(root) == before


def test_what_was_there_stays(root: Path) -> None:
    mount_points = MountPoints(str(root), str(root))
    mount_points.make([Point("/etc/passwd", False), Point("/etc", True)])
    mount_points.remove()
    assert (root / "etc/passwd").exists()


def test_a_directory_in_which_the_process_made_something_stays(root: Path) -> None:
    mount_points = MountPoints(str(root), str(root))
    mount_points.make([Point("/cache/pip", True)])
    (root / "cache/mine").write_text("kept")
    mount_points.remove()
    assert sorted(os.listdir(root / "cache")) == ["mine"]


def test_the_time_that_a_process_gave_a_directory_is_kept(root: Path) -> None:
    mount_points = MountPoints(str(root), str(root))
    mount_points.make([Point("/etc/hosts", False)])
    os.utime(root / "etc", (_LONG_AGO + 5, _LONG_AGO + 5))
    mount_points.remove()
    assert (root / "etc").stat().st_mtime == _LONG_AGO + 5


def test_a_process_may_remove_everything(root: Path) -> None:
    mount_points = MountPoints(str(root), str(root))
    mount_points.make([Point("/etc/hosts", False), Point("/new/point", True)])
    for path in ("etc/hosts", "etc/passwd"):
        (root / path).unlink()
    for path in ("etc", "new/point", "new"):
        (root / path).rmdir()
    mount_points.remove()
    assert os.listdir(root) == ["run"]


@pytest.mark.parametrize(
    ("link", "real"),
    [("../../../../x", "x"), ("/x/y", "x/y"), ("../x", "x"), ("x", "etc/x")],
)
def test_links_are_followed_within_the_root_only(root: Path, link: str, real: str) -> None:
    (root / "etc/resolv.conf").symlink_to(link)
    mount_points = MountPoints(str(root), str(root))
    assert mount_points.make([Point("/etc/resolv.conf", False)]) == {"/etc/resolv.conf": f"/{real}"}
    assert (root / real).is_file()
    mount_points.remove()
    assert not (root / real).exists()


def test_a_circle_of_links_is_refused(root: Path) -> None:
    (root / "etc/a").symlink_to("b")
    (root / "etc/b").symlink_to("a")
    with pytest.raises(PolyarchError, match="too many symbolic links"):
        MountPoints(str(root), str(root)).make([Point("/etc/a", False)])


def test_a_file_on_the_way_is_named(root: Path) -> None:
    with pytest.raises(PolyarchError, match="/etc/passwd is not a directory"):
        MountPoints(str(root), str(root)).make([Point("/etc/passwd/x", False)])


def test_a_directory_copied_up_for_a_stubs_sake_is_taken_out_of_the_upper_layer(tmp_path: Path) -> None:
    # The merged view and the upper layer apart, and overlay's copying up done by hand.
    merged, upper = tmp_path / "merged", tmp_path / "upper"
    (merged / "usr/share").mkdir(parents=True)
    upper.mkdir()
    os.utime(upper, (_LONG_AGO, _LONG_AGO))
    mount_points = MountPoints(str(merged), str(upper))
    mount_points.make([Point("/usr/share/file", False)])
    (upper / "usr/share").mkdir(parents=True)
    for path in ("usr/share", "usr"):
        times = (merged / path).stat()
        os.utime(upper / path, ns=(times.st_atime_ns, times.st_mtime_ns))
    os.utime(upper, (_LONG_AGO, _LONG_AGO))
    mount_points.remove()
    mount_points.prune()
    assert os.listdir(upper) == []
    assert upper.stat().st_mtime == _LONG_AGO


def test_a_directory_that_the_process_changed_stays_in_the_upper_layer(tmp_path: Path) -> None:
    merged, upper = tmp_path / "merged", tmp_path / "upper"
    (merged / "etc").mkdir(parents=True)
    upper.mkdir()
    mount_points = MountPoints(str(merged), str(upper))
    mount_points.make([Point("/etc/hosts", False)])
    (upper / "etc").mkdir(mode=0o700)
    mount_points.remove()
    mount_points.prune()
    assert os.listdir(upper) == ["etc"]
