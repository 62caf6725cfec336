"""Mounts as values: what would be mounted, in which order, without mounting."""

import pytest

from polyarch.errors import UnsupportedError
from polyarch.sandbox.mounts import Bind, File, Tmpfs, plan
from polyarch.sandbox.overlay import Overlay


def test_parents_come_before_children_whatever_the_order_given() -> None:
    planned = plan([Bind("/s", "/a/b/c"), Tmpfs("/a"), Bind("/t", "/a/b")])
    assert [mount.target for mount in planned] == ["/a", "/a/b", "/a/b/c"]


def test_of_two_mounts_on_one_target_the_later_is_kept() -> None:
    assert plan([Bind("/first", "/x"), Bind("/second", "x/")]) == (Bind("/second", "x/"),)


def test_siblings_keep_their_order() -> None:
    planned = plan([Tmpfs("/b"), Tmpfs("/a"), Tmpfs("/c")])
    assert [mount.target for mount in planned] == ["/b", "/a", "/c"]


@pytest.mark.parametrize("target", ["/", "", "/a/..", "//"])
def test_a_mount_over_the_root_is_refused(target: str) -> None:
    with pytest.raises(UnsupportedError, match="over the root"):
        plan([Tmpfs(target)])


def test_equal_mounts_are_one_value() -> None:
    assert Bind("/s", "/t", read_only=True) == Bind("/s", "/t", read_only=True)
    assert Bind("/s", "/t") != Bind("/s", "/t", read_only=True)
    assert len({Tmpfs("/a"), Tmpfs("/a"), Tmpfs("/a", size=1)}) == 2


def test_each_says_what_it_would_do() -> None:
    assert Bind("/s", "/t", read_only=True).describe() == "bind /s on /t (read-only)"
    assert Tmpfs("/t", size=4096, read_only=True).describe() == "tmpfs on /t (mode=1777,size=4096,ro)"
    overlay = Overlay(("/1", "/2"), "/upper", "/work", "/t")
    assert overlay.describe() == "overlay of 2 layers and /upper on /t"


def test_a_files_content_may_be_a_secret_and_is_never_described() -> None:
    file = File("/run/secrets/key", b"hunter2", mode=0o400)
    assert file.describe() == "file of 7 bytes on /run/secrets/key (mode=400)"
