"""File attributes: capabilities, holes and links are kept, and nothing of this machine leaks in."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builds.conftest import Worker

Context = Callable[..., Path]

# cap_net_bind_service+ep, as setcap writes it (linux/capability.h, VFS_CAP_REVISION_2).
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give capabilities to a file and owners away")


@as_root
def test_a_file_capability_of_the_context_is_kept(worker: Worker, context: Context) -> None:
    directory = context("FROM scratch AS one\nCOPY bin /bin\nFROM scratch\nCOPY --from=one / /", "bin/server 0755 = x")
    os.setxattr(directory / "bin/server", "security.capability", CAPABILITY)
    found = worker.images(directory)["linux/amd64"].files()["bin/server"]
    assert [(name, value.encode("utf-8", "surrogateescape")) for name, value in found.xattrs] == [
        ("security.capability", CAPABILITY)
    ]


@as_root
def test_a_capability_that_is_new_makes_a_new_layer(worker: Worker, context: Context) -> None:
    directory = context("FROM scratch\nCOPY server /", "server 0755 = x")
    assert worker.images(directory)["linux/amd64"].files()["server"].xattrs == ()
    os.setxattr(directory / "server", "security.capability", CAPABILITY)
    assert worker.images(directory)["linux/amd64"].files()["server"].xattrs != ()


def test_attributes_that_mean_something_on_this_machine_only_stay_here(worker: Worker, context: Context) -> None:
    directory = context("FROM scratch\nCOPY a /", "a = x")
    try:
        os.setxattr(directory / "a", "user.origin", b"https://example.org")
    except OSError:
        pytest.skip("this file system has no user attributes")
    assert worker.images(directory)["linux/amd64"].files()["a"].xattrs == ()


@as_root
def test_owners_of_the_context_become_root(worker: Worker, context: Context) -> None:
    directory = context("FROM scratch\nCOPY d /d/", "d/a = x")
    os.chown(directory / "d/a", 1234, 5678)
    assert worker.images(directory)["linux/amd64"].files()["d/a"].owner == (0, 0)


def test_a_file_with_holes_is_copied_whole(worker: Worker, context: Context) -> None:
    directory = context("FROM scratch\nCOPY sparse /")
    with (directory / "sparse").open("wb") as file:
        file.truncate(3 << 20)
        file.seek(1 << 20)
        file.write(b"middle")
    content = worker.images(directory)["linux/amd64"].files()["sparse"].content
    assert content == bytes(1 << 20) + b"middle" + bytes((2 << 20) - 6)


def test_a_pipe_in_the_context_is_copied_and_a_socket_is_not(worker: Worker, context: Context) -> None:
    import socket

    directory = context("FROM scratch\nCOPY d /d/", "d/a = x")
    os.mkfifo(directory / "d/pipe", 0o640)
    os.chmod(directory / "d/pipe", 0o640)
    here = os.getcwd()
    os.chdir(directory / "d")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
    os.chdir(here)
    files = worker.images(directory)["linux/amd64"].files()
    assert [file.line(path) for path, file in files.items()] == [
        "0755 0:0 d/",
        "0644 0:0 d/a = x",
        "0640 0:0 d/pipe (fifo)",
    ]


def test_the_umask_of_the_builder_does_not_matter(worker: Worker, context: Context) -> None:
    directory = context("FROM scratch\nWORKDIR /w\nCOPY a /x/", "a 0666 = x")
    files = worker.images(directory)["linux/amd64"].files()
    assert [file.line(path) for path, file in files.items()] == ["0755 0:0 w/", "0755 0:0 x/", "0666 0:0 x/a = x"]


def test_a_long_name_and_a_deep_path(worker: Worker, context: Context) -> None:
    deep = "/".join(["directory-with-a-long-name"] * 12)
    directory = context("FROM scratch\nCOPY d /d/", f"d/{'n' * 255} = long\nd/{deep}/f = deep")
    files = worker.images(directory)["linux/amd64"].files()
    assert files[f"d/{'n' * 255}"].content == b"long"
    assert files[f"d/{deep}/f"].content == b"deep"


def test_a_thousand_files_are_all_there(worker: Worker, context: Context) -> None:
    directory = context("FROM scratch\nCOPY d /d/", "\n".join(f"d/{n % 7}/{n} = {n}" for n in range(1000)))
    files = worker.images(directory)["linux/amd64"].files()
    assert sum(file.kind == "file" for file in files.values()) == 1000
    assert files["d/3/703"].content == b"703"


def test_a_dockerfile_need_not_be_utf_8(worker: Worker, context: Context) -> None:
    directory = context("", "d/caf\\xe9 = x")
    text = b"# \xe9\nFROM scratch\nCOPY d/caf\xe9 /\nCOPY <<EOF /inline\n\xe9\nEOF\nLABEL a=\xe9"
    (directory / "Dockerfile").write_bytes(text)
    image = worker.images(directory)["linux/amd64"]
    assert [file.line(path) for path, file in image.files().items()] == [
        "0644 0:0 caf\\xe9 = x",
        "0644 0:0 inline = \\xe9\\n",
    ]
    # A config is JSON: Go's encoder writes the replacement character, too.
    assert image.config["config"]["Labels"] == {"a": "\ufffd"}


def test_a_process_cannot_be_told_what_is_not_utf_8(worker: Worker, context: Context) -> None:
    directory = context("")
    (directory / "Dockerfile").write_bytes(b'FROM scratch\nRUN ["/\xe9"]')
    assert "must be UTF-8" in worker.build(directory)["error"]


def test_an_unchanged_context_with_odd_names_is_read_from_the_cache(worker: Worker, context: Context) -> None:
    import time

    directory = context("FROM scratch\nCOPY d /", "d/caf\\xe9 = x")
    time.sleep(0.1)  # younger files are not remembered
    first = worker.images(directory)["linux/amd64"].digest
    assert worker.images(directory)["linux/amd64"].digest == first


def test_a_context_in_a_directory_with_an_odd_name(worker: Worker, context: Context, tmp_path: Path) -> None:
    directory = context("FROM scratch\nCOPY a /", "a = x").rename(tmp_path / "caf\udce9")
    first = worker.images(directory)["linux/amd64"].digest
    assert worker.images(directory)["linux/amd64"].digest == first


@as_root
def test_of_a_process_only_capabilities_and_user_attributes_come_into_a_layer(tmp_path: Path) -> None:
    from polyarch.contents.filesystem import Filesystems
    from polyarch.contents.layer import Layer
    from polyarch.store import Store

    with Store.open(tmp_path / "store") as store:
        with store.snapshots.prepare("run") as snapshot:
            (snapshot.path / "server").write_bytes(b"x")
            for name in ("security.capability", "user.kept", "security.other", "trusted.other"):
                value = CAPABILITY if name == "security.capability" else b"v"
                os.setxattr(snapshot.path / "server", name, value)
            snapshot.commit()
        made = Filesystems(store, None, None, tmp_path)  # type: ignore[arg-type]
        [(entry, _content)] = made.items(Layer(snapshot="run"))
    assert [name for name, _ in entry.xattrs] == ["security.capability", "user.kept"]
