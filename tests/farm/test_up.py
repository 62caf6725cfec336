"""`farm up`: members by a real sshd on loopback, and by cluster classes of Dask."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from polyarch.farm.faults import FarmError
from polyarch.farm.up import SSHFarm, SSHMember, SSHOptions
from tests.farm.farms import Started, free_port, until
from tests.needs import missing, need, need_root
from tests.program import Program

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")


class Shell(NamedTuple):
    """An sshd on loopback that accepts one key, and the options with which ssh uses it."""

    options: tuple[str, ...]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    need("ssh")
    if SSHD is None:
        missing("needs sshd (`make test` installs what is missing)")
    need_root()
    place = tmp_path / "ssh"
    place.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name)], check=True)
    port = free_port()
    (place / "config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {place}/host\nAuthorizedKeysFile {place}/user.pub\n"
        f"PidFile {place}/pid\nStrictModes no\nPasswordAuthentication no\nUsePAM no\nPermitRootLogin yes\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(place / "config")], stderr=(place / "log").open("wb"))
    known = place / "known"
    options = (
        f"--ssh-option=-p{port}",
        f"--ssh-option=-i{place}/user",
        f"--ssh-option=-oUserKnownHostsFile={known}",
        "--ssh-option=-oStrictHostKeyChecking=accept-new",
    )
    try:
        until(lambda: "listening" in (place / "log").read_text(), "sshd")
        yield Shell(options)
    finally:
        server.terminate()
        server.wait()


def remote_command(polyarch: Program, root: Path) -> str:
    """How Polyarch is started on the other machine, with a store of its own."""
    return f"env HOME={polyarch.home} POLYARCH_ROOT={root} {polyarch.path}"


def test_a_member_that_ssh_starts_builds_and_ends_with_the_command(
    program: Program, shell: Shell, tmp_path: Path
) -> None:
    program("farm", "init", tmp_path / "certificates")
    address = f"tls://127.0.0.1:{free_port()}"
    env = {"POLYARCH_FARM": address, "POLYARCH_FARM_CERT": str(tmp_path / "certificates")}
    command = remote_command(program, tmp_path / "far")
    up = Started(
        program,
        tmp_path / "output",
        *("farm", "up", "--ssh", "127.0.0.1", *shell.options, "--listen", address.partition("://")[2]),
        *("--command", command, "--slots", "1"),
        env=env,
    )
    try:
        up.waits_for("127.0.0.1: 127.0.0.1 is a member of")
        assert address in up.said
        (row,) = until(lambda: program("farm", "status", "--json", env=env).json()["Members"], "the member")
        assert row["Name"] == "127.0.0.1"
        # The certificate came over the connection: no file of it is in the store or the home of the member.
        keys = list((tmp_path / "far").rglob("*.pem"))
        assert keys == []
    finally:
        assert up.end() == 130
    left = subprocess.run(["pgrep", "-f", f"farm worker {address}"], stdout=subprocess.PIPE, check=False)
    assert left.stdout == b""
    assert "nothing listens there" in program.fails("farm", "status", env=env).stderr


def test_a_host_that_ssh_does_not_reach_is_tried_again(program: Program, tmp_path: Path) -> None:
    need("ssh")
    program("farm", "init", tmp_path / "certificates")
    env = {"POLYARCH_FARM_CERT": str(tmp_path / "certificates")}
    up = Started(
        program,
        tmp_path / "output",
        *("farm", "up", "--ssh", "127.0.0.1", f"--ssh-option=-p{free_port()}", "--listen", f"127.0.0.1:{free_port()}"),
        env=env,
    )
    try:
        up.waits_for("127.0.0.1: ended with status 255; it is started again")
        assert "Connection refused" in up.said
    finally:
        up.end()


def test_a_host_that_never_becomes_a_member_is_given_up_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polyarch.farm.up._PAUSE", 0.01)
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\necho Permission denied. >&2; exit 255\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    said: list[str] = []
    member = SSHMember("far", "tls://127.0.0.1:1", None, SSHOptions())
    expected = pytest.raises(FarmError, match=r"no machine became a member.*\n  far: Permission denied\.")
    with SSHFarm([member], said.append) as members, expected:
        members.serve()
    assert said.count("far: Permission denied.") == 5
    assert said[-1] == (
        "far: ended with status 255 (Permission denied.); it was tried 5 times and is not started again"
    )


def test_a_member_that_was_lost_is_tried_more_often_than_one_that_never_was() -> None:
    member = SSHMember("far", "tls://127.0.0.1:1", None, SSHOptions())
    member.starts = 5
    assert member.is_given_up
    member.says("far is a member of tls://127.0.0.1:1")
    member.starts = 5
    assert not member.is_given_up


def test_a_scheduler_on_loopback_is_not_offered_to_other_machines(program: Program, tmp_path: Path) -> None:
    program("farm", "init", tmp_path / "certificates")
    env = {"POLYARCH_FARM_CERT": str(tmp_path / "certificates")}
    said = program.fails("farm", "up", "--ssh", "build@arm.example", env=env).stderr
    assert "build@arm.example cannot reach a scheduler that listens on 127.0.0.1:8786" in said


@pytest.mark.parametrize("options", [(), ("--ssh", "a", "--dask-cluster", "b:C")])
def test_one_way_to_start_members_must_be_chosen(program: Program, options: tuple[str, ...]) -> None:
    assert "--ssh HOST or with --dask-cluster" in program.fails("farm", "up", *options).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--dask-cluster", "nothing"), "is not MODULE:CLASS"),
        (("--dask-cluster", "no.such.module:C"), "No module named"),
        (("--dask-cluster", "dask.distributed:Nothing"), "has no Nothing"),
        (("--dask-cluster", "dask.distributed:LocalCluster", "n_workers"), "is not KEY=VALUE"),
        (("--dask-cluster", "dask.distributed:LocalCluster", "n_workerz=1"), "cannot be started"),
    ],
)
def test_a_cluster_class_that_cannot_be_used_is_named(
    program: Program, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    program("farm", "init", tmp_path / "certificates")
    assert said in program.fails("farm", "up", "--farm-cert", tmp_path / "certificates", *words).stderr


def test_the_workers_of_a_cluster_class_become_members(program: Program, tmp_path: Path) -> None:
    joins(program, tmp_path, "dask.distributed:LocalCluster", secure=True)


def joins(program: Program, directory: Path, cluster: str, *, secure: bool) -> None:
    """Start a cluster of this class, and see its workers as members."""
    program("farm", "init", directory / "certificates")
    options = ["--farm-cert", str(directory / "certificates")] if secure else ["--insecure"]
    arguments = ["n_workers=2"] if secure else ["n_workers=1", "host=127.0.0.1"]
    scratch = directory / "scratch"
    scratch.mkdir()
    up = Started(
        program,
        directory / "output",
        *("farm", "up", *options, "--dask-cluster", cluster, *arguments),
        env={"TMPDIR": str(scratch)},
    )
    try:
        scheme = "tls://" if secure else "tcp://"
        up.waits_for(scheme)
        address = next(word for word in up.said.split() if word.startswith(scheme))

        def members() -> list[dict[str, object]]:
            found: list[dict[str, object]] = program("farm", "status", address, "--json", *options).json()["Members"]
            return found

        count = 2 if secure else 1
        rows = until(lambda: (found := members()) and len(found) == count and found, "the members", 90)
        assert all("linux/" in str(row["Native"]) for row in rows)
        # As a terminal does, to all processes of the command that have not left its group.
        os.killpg(up.process.pid, signal.SIGINT)
        assert up.process.wait(30) == 130, up.said
        assert "Traceback" not in up.said
        # Other classes start other programs, whose directories are their own.
        assert not secure or list(scratch.iterdir()) == []
    finally:
        up.end()
