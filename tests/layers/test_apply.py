"""Applying layers: everything in a layer arrives, and nothing outside the target changes."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyarch.errors import CorruptError, PolyarchError
from polyarch.layers import syscalls
from polyarch.layers.diskform import OVERLAY, PLAIN, DiskForm
from polyarch.layers.entry import Entry, Item
from tests.layers.making import device, directory, file, hardlink, symlink, tar, tree, unpack
from tests.needs import need, need_root


def _tree(directory: Path) -> dict[str, str]:
    """What lies below, in a word each: a file's text, a link's, "/" for a directory, "gone" for a whiteout."""
    found = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        name = str(path.relative_to(directory))
        if stat.S_ISLNK(status.st_mode):
            found[name] = "-> " + os.readlink(path)
        elif stat.S_ISDIR(status.st_mode):
            found[name] = "opaque" if "user.overlay.opaque" in os.listxattr(path) else "/"
        elif stat.S_ISCHR(status.st_mode):
            found[name] = "gone" if status.st_rdev == 0 else "device"
        else:
            found[name] = path.read_text()
    return found


def test_files_arrive_with_content_mode_time_links_and_xattrs(tmp_path: Path) -> None:
    unpack(
        tmp_path,
        directory("d", mode=0o2755, mtime=1000),
        file("d/f", b"content", mode=0o640, mtime=2000, xattrs=(("user.note", b"kept"),)),
        hardlink("d/again", "d/f"),
        symlink("d/link", "f"),
        directory("closed", mode=0o500, mtime=3000),
        file("closed/inside", b"x"),
        directory("", mode=0o711, mtime=4000),
    )
    made = tmp_path / "d/f"
    assert (made.read_bytes(), made.stat().st_mode & 0o7777, made.stat().st_mtime) == (b"content", 0o640, 2000)
    assert os.getxattr(made, "user.note") == b"kept"
    assert (tmp_path / "d/again").samefile(made)
    assert os.readlink(tmp_path / "d/link") == "f"
    assert ((tmp_path / "d").stat().st_mode & 0o7777, (tmp_path / "d").stat().st_mtime) == (0o2755, 1000)
    assert ((tmp_path / "closed").stat().st_mode & 0o7777, (tmp_path / "closed").stat().st_mtime) == (0o500, 3000)
    assert (tmp_path.stat().st_mode & 0o7777, tmp_path.stat().st_mtime) == (0o711, 4000)


def test_owners_setuid_bits_and_capabilities_survive_each_other(tmp_path: Path) -> None:
    need_root()
    capability = b"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    unpack(
        tmp_path,
        file("su", b"x", mode=0o4755, uid=33, gid=34),
        file("ping", b"x", mode=0o755, uid=33, gid=34, xattrs=(("security.capability", capability),)),
        symlink("link", "su"),
    )
    status = (tmp_path / "su").stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o4755, 33, 34)
    assert os.getxattr(tmp_path / "ping", "security.capability") == capability


def test_long_runs_of_zeros_become_holes(tmp_path: Path) -> None:
    unpack(tmp_path, file("sparse", b"begin" + bytes(20 << 20) + b"end"), file("zeros", bytes(4 << 20)))
    status = (tmp_path / "sparse").stat()
    assert status.st_size == (20 << 20) + 8
    assert status.st_blocks * 512 < 2 << 20
    assert (tmp_path / "sparse").read_bytes() == b"begin" + bytes(20 << 20) + b"end"
    assert (tmp_path / "zeros").stat().st_size == 4 << 20


def test_a_sparse_member_is_unpacked_sparse(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with (source / "f").open("wb") as writer:
        writer.seek(5 << 30)
        writer.write(b"end")
    raw = subprocess.run(["tar", "-C", source, "-S", "-cf", "-", "f"], check=True, stdout=subprocess.PIPE).stdout
    unpack(tmp_path / "out", raw=raw)
    status = (tmp_path / "out/f").stat()
    assert (status.st_size, status.st_blocks * 512 < 1 << 20) == ((5 << 30) + 3, True)


def test_a_plain_directory_takes_one_layer_after_the_other(tmp_path: Path) -> None:
    unpack(tmp_path, directory("d"), file("d/a", b"1"), file("d/b", b"2"), file("f", b"3"), symlink("l", "d"))
    unpack(tmp_path, file("d/.wh.a"), file(".wh.f"), file("l/through", b"4"))
    assert _tree(tmp_path) == {"d": "/", "d/b": "2", "d/through": "4", "l": "-> d"}
    unpack(tmp_path, file("d/new", b"5"), file("d/.wh..wh..opq"), directory("l"), file("l/own", b"6"))
    assert _tree(tmp_path) == {"d": "/", "d/new": "5", "l": "/", "l/own": "6"}


def test_a_whiteout_behind_an_entry_of_its_layer_leaves_it(tmp_path: Path) -> None:
    for form, more in ((PLAIN, {}), (OVERLAY, {"gone": "gone"})):
        where = tmp_path / form.name
        unpack(
            where,
            file("f", b"stays"),
            file(".wh.f"),
            directory("d"),
            file("d/x", b"stays"),
            file(".wh.d"),
            file(".wh.gone"),
            form=form,
        )
        opaque = "opaque" if form is OVERLAY else "/"
        assert _tree(where) == {"d": opaque, "d/x": "stays", "f": "stays", **more}


def test_whiteouts_take_the_overlays_form(tmp_path: Path) -> None:
    unpack(
        tmp_path,
        directory("d"),
        file("d/.wh.x"),
        directory("o"),
        file("o/.wh..wh..opq"),
        file("o/own", b"1"),
        file(".wh.again"),
        directory("again"),
        file("again/new", b"2"),
        file(".wh..wh.plnk"),
        form=OVERLAY,
    )
    assert _tree(tmp_path) == {
        "again": "opaque",
        "again/new": "2",
        "d": "/",
        "d/x": "gone",
        "o": "opaque",
        "o/own": "1",
    }


def test_a_directory_becomes_a_file_and_a_directory_again(tmp_path: Path) -> None:
    unpack(tmp_path, directory("d"), directory("d/e"), file("d/e/x"), file("d", b"file"), directory("d"), file("d/y"))
    assert _tree(tmp_path) == {"d": "/", "d/y": ""}
    unpack(tmp_path / "2", symlink("d", "elsewhere"), directory("d"), file("d/y"), file("d/y", b"twice"))
    assert _tree(tmp_path / "2") == {"d": "/", "d/y": "twice"}


def test_parents_that_the_layer_does_not_list_are_as_the_layers_below_have_them(tmp_path: Path) -> None:
    below = tree([directory("var", mode=0o1777, mtime=77), symlink("lib", "usr/lib"), directory("usr")])

    def parent(path: str) -> Entry | None:
        node = below.lookup(path)
        return node.entry if node else None

    applied = unpack(tmp_path, file("var/new"), file("lib/x"), file("none/y"), form=OVERLAY, parent=parent)
    assert applied.implicit == ("none", "usr", "usr/lib", "var")
    assert (tmp_path / "var").stat().st_mode & 0o7777 == 0o1777
    assert (tmp_path / "var").stat().st_mtime == 77
    assert _tree(tmp_path) == {
        "none": "/",
        "none/y": "",
        "usr": "/",
        "usr/lib": "/",
        "usr/lib/x": "",
        "var": "/",
        "var/new": "",
    }
    assert unpack(tmp_path / "2", directory("d"), file("d/x"), form=OVERLAY).implicit == ()


def test_a_hard_link_to_a_file_of_a_layer_below_brings_it_along(tmp_path: Path) -> None:
    item = file("old", b"of below", mode=0o755)
    applied = unpack(tmp_path, hardlink("new", "old"), form=OVERLAY, fetch=lambda path: item if path == "old" else None)
    assert _tree(tmp_path) == {"new": "of below", "old": "of below"}
    assert (tmp_path / "new").samefile(tmp_path / "old")
    assert applied.implicit == ()


def test_what_this_machine_cannot_have_is_noted_once(tmp_path: Path) -> None:
    need_root()  # another user has more to note: owners
    notes: list[str] = []
    unpack(
        tmp_path,
        file("f", b"x", xattrs=(("user.overlay.redirect", b"/etc"), ("user.overlay.metacopy", b""))),
        file("g", b"x", xattrs=(("user.overlay.redirect", b"/etc"),)),
        device("null", 0, 0),
        form=OVERLAY,
        note=notes.append,
    )
    assert os.listxattr(tmp_path / "f") == []
    assert notes == [
        "extended attributes of overlayfs are left out (user.overlay.metacopy of /f)",
        "/null is the character device 0:0 and is left out",
    ]
    assert _tree(tmp_path) == {"f": "x", "g": "x"}


def test_without_root_owners_and_devices_are_noted_and_all_else_arrives(tmp_path: Path) -> None:
    need("unshare", "python3")
    (tmp_path / "layer.tar").write_bytes(
        tar(device("null", 1, 3), file("f", b"x", uid=33, mode=0o4755), directory("d", uid=5), file("d/y", b"y"))
    )
    (tmp_path / "out").mkdir()
    program = (
        "from polyarch.layers.apply import apply; from polyarch.layers.diskform import OVERLAY\n"
        f"print(apply(open({str(tmp_path / 'layer.tar')!r}, 'rb'), {str(tmp_path / 'out')!r}, OVERLAY, note=print))"
    )
    result = subprocess.run(
        ["unshare", "-r", sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "devices are left out" in result.stdout
    assert "some owners are not kept" in result.stdout
    assert _tree(tmp_path / "out") == {"d": "/", "d/y": "y", "f": "x"}


OUTSIDE = "outside"

HOSTILE: dict[str, tuple[list[Item], str]] = {
    "a name that leads upwards": ([file("../outside/x")], "leads out of the image"),
    "a name that leads upwards later": ([file("a/../../outside/x")], "leads out of the image"),
    "a hard link upwards": ([hardlink("x", "../outside/secret")], "leads out of the image"),
    "a hard link to nothing": ([hardlink("x", "nothing")], "not a file of this layer"),
    "a hard link to a directory": ([directory("d"), hardlink("x", "d")], "is a directory"),
    "a hard link to itself": ([file("x"), hardlink("x", "x")], "replaces"),
    "a hard link that removes its target": ([directory("d"), file("d/x"), hardlink("d", "d/x")], "replaces"),
    "a file below a file": ([file("f"), file("f/x")], "not a directory"),
    "a file as the root": ([file(".")], "replaces the root directory"),
    "links in a circle": ([symlink("a", "b"), symlink("b", "a"), file("a/x")], "symbolic links"),
}


@pytest.mark.parametrize("form", [PLAIN, OVERLAY], ids=["plain", "overlay"])
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_layer_is_refused(tmp_path: Path, case: str, form: DiskForm) -> None:
    items, words = HOSTILE[case]
    (tmp_path / OUTSIDE).mkdir()
    (tmp_path / OUTSIDE / "secret").write_text("secret")
    with pytest.raises(PolyarchError, match=words):
        unpack(tmp_path / "root", raw=_forced(*items), form=form)
    assert _tree(tmp_path / OUTSIDE) == {"secret": "secret"}


def _forced(*items: Item) -> bytes:
    """The tar of entries that `pack` would refuse."""
    from polyarch.layers import headers

    raw = b""
    for entry, content in items:
        assert content is None or isinstance(content, bytes)
        raw += headers.encode(entry) + (content or b"") + bytes(-len(content or b"") % 512)
    return raw + headers.END


CONTAINED: dict[str, tuple[list[Item], dict[str, str]]] = {
    "an absolute name": ([file("/etc/x", b"1")], {"etc": "/", "etc/x": "1"}),
    "a link out in a parent": (
        [symlink("l", "../outside"), file("l/x", b"1")],
        {"l": "-> ../outside", "outside": "/", "outside/x": "1"},
    ),
    "an absolute link in a parent": (
        [symlink("l", "/outside"), file("l/x", b"1")],
        {"l": "-> /outside", "outside": "/", "outside/x": "1"},
    ),
    "a link to write through": ([symlink("l", "../outside/secret"), file("l", b"1")], {"l": "1"}),
    "a link to chmod through": ([symlink("l", "../outside"), directory("l", mode=0o777)], {"l": "/"}),
    "a hard link through a link": (
        [symlink("l", "../outside"), file("outside/secret", b"own"), hardlink("x", "l/secret")],
        {"l": "-> ../outside", "outside": "/", "outside/secret": "own", "x": "own"},
    ),
    "a hard link to a link": (
        [symlink("l", "../outside/secret"), hardlink("x", "l")],
        {"l": "-> ../outside/secret", "x": "-> ../outside/secret"},
    ),
    "a whiteout through a link": ([symlink("l", "../outside"), file("l/.wh.secret")], {"l": "-> ../outside"}),
    "an opaque marker through a link": ([symlink("l", "../outside"), file("l/.wh..wh..opq")], {"l": "-> ../outside"}),
}


@pytest.mark.parametrize("form", [PLAIN, OVERLAY], ids=["plain", "overlay"])
@pytest.mark.parametrize("case", CONTAINED)
def test_what_peers_accept_stays_inside(tmp_path: Path, case: str, form: DiskForm) -> None:
    items, expected = CONTAINED[case]
    (tmp_path / OUTSIDE).mkdir(mode=0o755)
    (tmp_path / OUTSIDE / "secret").write_text("secret")
    unpack(tmp_path / "root", raw=_forced(*items), form=form)
    # In an overlay, a directory in a file's place also says that it is not merged with one below.
    found = {name: "/" if word == "opaque" else word for name, word in _tree(tmp_path / "root").items()}
    assert {name: word for name, word in found.items() if name in expected} == expected
    assert _tree(tmp_path / OUTSIDE) == {"secret": "secret"}
    assert (tmp_path / OUTSIDE).stat().st_mode & 0o7777 == 0o755


def test_a_link_that_lies_on_the_disk_is_not_followed_either(tmp_path: Path) -> None:
    # Links that are already there are resolved inside the root, not by the kernel.
    (tmp_path / OUTSIDE).mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root/l").symlink_to(tmp_path / OUTSIDE)
    unpack(tmp_path / "root", file("l/x", b"1"))
    assert _tree(tmp_path / OUTSIDE) == {}


def test_a_kernel_without_openat2_follows_no_link_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d/e/f").mkdir(parents=True)
    (tmp_path / "d/out").symlink_to("/")
    (tmp_path / "d/in").symlink_to("e")
    root = os.open(tmp_path, os.O_RDONLY)
    try:
        for missing in (False, True):
            monkeypatch.setattr(syscalls, "_missing", missing)
            found = syscalls.open_directory(root, "d/e")
            assert os.path.samestat(os.fstat(found), (tmp_path / "d/e").stat())
            os.close(found)
            for path in ("d/out", "d/out/etc", "d/in/f", "..", "d/../..", "/etc"):
                with pytest.raises(OSError):
                    syscalls.open_directory(root, path)
    finally:
        os.close(root)


def test_a_layer_does_not_hide_the_whole_image_through_a_link(tmp_path: Path) -> None:
    entries = [symlink("here", "."), file("here/.wh..wh..opq")]
    with pytest.raises(CorruptError, match="hides the whole image by here"):
        unpack(tmp_path, *entries)
    with pytest.raises(CorruptError, match="hides the whole image by here"):
        tree(entries)


def test_a_layer_that_is_cut_off_is_corrupt(tmp_path: Path) -> None:
    with pytest.raises(CorruptError, match="cut off"):
        unpack(tmp_path, raw=tar(file("f", b"x" * 5000))[:3000])


def test_a_name_that_no_file_system_holds_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolyarchError, match="cannot be unpacked: File name too long"):
        unpack(tmp_path, file("n" * 300))


_NAMES = st.sampled_from(["a", "b", "a/b", "a/c", "a/b/c", ".wh.a", "a/.wh.b", "a/.wh..wh..opq", ".wh..wh..opq", "l/x"])
_TEXTS = st.sampled_from(["a", "/a", "../outside", "/", ".", "l", "b"])
_ANY = st.one_of(
    st.builds(directory, _NAMES, st.sampled_from([0o755, 0o000])),
    st.builds(file, _NAMES, st.sampled_from([b"", b"content"])),
    st.builds(symlink, st.sampled_from(["a", "b", "l", "a/b"]), _TEXTS),
    st.builds(hardlink, _NAMES, _NAMES),
)


@settings(deadline=None, max_examples=150)
@given(layers=st.lists(st.lists(_ANY, max_size=6), max_size=3))
def test_no_layers_lead_outside_and_what_is_unpacked_is_what_the_tree_says(
    tmp_path_factory: pytest.TempPathFactory, layers: list[list[Item]]
) -> None:
    need_root()  # the tree says what root can have: owners, devices
    where = tmp_path_factory.mktemp("any")
    (where / OUTSIDE).mkdir()
    refused = False
    try:
        for items in layers:
            unpack(where / "root", *items)
    except PolyarchError:
        refused = True
    assert list((where / OUTSIDE).iterdir()) == []
    assert {path.name for path in where.iterdir()} <= {OUTSIDE, "root"}
    if refused:
        with pytest.raises(PolyarchError):
            tree(*layers)
    elif layers:
        assert _kinds(where / "root") == _expected(*layers)


def _expected(*layers: list[Item]) -> dict[str, str]:
    return {node.entry.path: node.entry.kind for node in tree(*layers).walk() if node.entry.path}


def _kinds(root: Path) -> dict[str, str]:
    words = {"/": "directory", "opaque": "directory"}
    return {
        name: "symlink" if word.startswith("-> ") else words.get(word, "file") for name, word in _tree(root).items()
    }
