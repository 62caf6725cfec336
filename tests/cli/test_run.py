"""`polyarch run`: a process in an image, for this machine and for others."""

import os
import pty
import select
import shutil
import signal
import subprocess
import tarfile
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from tests import bases, trees
from tests.needs import need
from tests.program import Program

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("platform", "machine"), [("linux/amd64", "x86_64"), ("linux/arm64", "aarch64"), ("linux/s390x", "s390x")]
)
def test_each_platform_runs_and_says_so(either_user: Program, platform: str, machine: str) -> None:
    result = either_user("run", "--rm", "--platform", platform, "busybox", "uname", "-m")
    assert result.stdout == f"{machine}\n"


def test_the_exit_status_is_passed_on(polyarch: Program, busybox: str) -> None:
    assert polyarch("run", busybox, "sh", "-c", "exit 7", check=False).status == 7
    # The first process of a namespace cannot kill itself, with docker as here; one that it started can.
    assert polyarch("run", busybox, "sh", "-c", "sh -c 'kill -9 $$'; exit $?", check=False).status == 137


@pytest.mark.parametrize(("command", "status"), [("no-such-program", 127), ("/etc/passwd", 126)])
def test_what_cannot_be_started_has_dockers_status_and_a_reason(
    polyarch: Program, busybox: str, command: str, status: int
) -> None:
    result = polyarch.fails("run", busybox, command)
    assert result.status == status
    assert f"cannot run {command}" in result.stderr


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_program_that_is_a_symlink_loop_is_called_one(
    polyarch: Program, busybox: str, tmp_path: Path, runtime: str
) -> None:
    trees.write(tmp_path / "context", {"Dockerfile": f"FROM {busybox}\nRUN ln -s loop /bin/loop\n"})
    polyarch("build", "-t", "loop", tmp_path / "context")
    for program in (runtime, "setpriv", "unshare"):
        (tmp_path / program).symlink_to(shutil.which(program) or f"/usr/sbin/{program}")
    for command, reason in (("/bin/loop", "too many levels of symbolic links"), ("/etc/passwd/x", "not a directory")):
        result = polyarch.fails("run", "loop", command, env={"PATH": str(tmp_path)})
        assert f"cannot run {command}: {reason}\n" in result.stderr
        assert "permission denied" not in result.stderr
        assert result.status == 126


def test_a_file_of_variables_is_read_as_docker_reads_it(polyarch: Program, busybox: str, tmp_path: Path) -> None:
    lines = "\ufeffA=1\n# no variable\n\n  #nor this\n  B=two words  \r\nC= #'x'\nD=\nOURS\nNOT_OURS\nA=2\n"
    (tmp_path / "env").write_bytes(lines.encode())
    command = ("run", "--env-file", tmp_path / "env", busybox, "env")
    said = polyarch(*command, env={"OURS": "handed on"}).stdout
    ours = [line for line in said.split("\n") if not line.startswith(("PATH=", "HOME="))]
    assert ours == ["A=2", "B=two words  ", "C= #'x'", "D=", "OURS=handed on", ""]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"export A=1", "'export A' has a blank in it"),
        (b"A = v", "'A ' has a blank in it"),
        (b"A\tB", "'A\\tB' has a blank in it"),
        (b"=v", "'=v' has no name before ="),
        (b"A=\xff", "the line is not UTF-8"),
    ],
)
def test_a_line_that_is_no_variable_is_named(
    polyarch: Program, busybox: str, tmp_path: Path, line: bytes, reason: str
) -> None:
    (tmp_path / "env").write_bytes(b"# first\n" + line + b"\n")
    result = polyarch.fails("run", "--env-file", tmp_path / "env", busybox, "true")
    assert f"{tmp_path}/env:2: " in result.stderr
    assert reason in result.stderr
    assert result.status == 2


def test_variables_directory_and_user_reach_the_process(polyarch: Program, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# a comment\nFILE=from a file\nOURS\n")
    result = polyarch(
        "run", "-e", "A=1", "-e", "OURS", "-e", "UNSET", "--env-file", tmp_path / "env", "-w", "/etc", "-u", "65534",
        busybox, "sh", "-c", 'echo "$A $OURS $FILE ${UNSET-unset} $PWD $(id -u)"',
        env={"OURS": "handed on"},
    )  # fmt: skip
    assert result.stdout == "1 handed on from a file unset /etc 65534\n"


def test_a_volume_is_seen_and_written_unless_it_is_read_only(polyarch: Program, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/in").write_text("hello\n")
    script = "cat /mnt/in; echo written > /mnt/out"
    assert polyarch("run", "-v", "./shared:/mnt", busybox, "sh", "-c", script, cwd=tmp_path).stdout == "hello\n"
    assert (tmp_path / "shared/out").read_text() == "written\n"
    refused = polyarch("run", "-v", f"{tmp_path}/shared:/mnt:ro", busybox, "sh", "-c", script, check=False)
    assert refused.status != 0
    assert "Read-only file system" in refused.stderr


def test_a_missing_directory_is_explained(polyarch: Program, busybox: str) -> None:
    assert "cannot mount /no/such" in polyarch.fails("run", "-v", "/no/such:/mnt", busybox, "true").stderr


def test_standard_input_is_given_only_with_interactive(polyarch: Program, busybox: str) -> None:
    assert polyarch("run", "-i", busybox, "cat", stdin="typed").stdout == "typed"
    assert polyarch("run", busybox, "cat", stdin="typed").stdout == ""


def test_entrypoint_replaces_what_the_image_says(polyarch: Program, busybox: str) -> None:
    assert polyarch("run", "--entrypoint", "echo", busybox, "a", "b").stdout == "a b\n"


def test_flags_behind_the_image_belong_to_the_command(polyarch: Program, busybox: str) -> None:
    assert polyarch("run", busybox, "echo", "-n", "--rm").stdout == "--rm"


def test_an_image_without_a_command_needs_one(polyarch: Program, busybox: str) -> None:
    result = polyarch.fails("run", busybox)
    assert result.status == 2
    assert "has neither an entrypoint nor a command" in result.stderr


def test_nothing_of_what_it_writes_stays(polyarch: Program, busybox: str) -> None:
    polyarch("run", busybox, "sh", "-c", "echo x > /file")
    assert polyarch("run", busybox, "ls", "/file", check=False).status == 1
    assert list((polyarch.root / "tmp").iterdir()) == []


def test_read_only_and_no_network_are_what_they_say(polyarch: Program, busybox: str) -> None:
    assert polyarch("run", "--read-only", busybox, "touch", "/file", check=False).status == 1
    interfaces = polyarch("run", "--network", "none", busybox, "ls", "/sys/class/net").stdout.split()
    assert interfaces == ["lo"]


def test_a_platform_that_the_image_lacks_is_an_error_that_lists_those_it_has(polyarch: Program, busybox: str) -> None:
    result = polyarch.fails("run", "--platform", "linux/riscv64", busybox, "true")
    assert result.status == 1
    assert "linux/amd64, linux/arm64, linux/arm/v7, linux/s390x" in result.stderr


def test_the_hosts_table_of_emulators_stays_as_it_was(polyarch: Program, busybox: str) -> None:
    def table() -> list[str]:
        directory = Path("/proc/sys/fs/binfmt_misc")
        return sorted(entry.name for entry in directory.iterdir()) if directory.exists() else []

    before = table()
    polyarch("run", "--platform", "linux/arm64", busybox, "true")
    assert table() == before


def test_a_missing_image_is_pulled_and_never_means_never(polyarch: Program, busybox: str, registry) -> None:  # type: ignore[no-untyped-def]
    name = f"{registry.address}/team/busybox:1"
    polyarch("tag", busybox, name)
    polyarch("push", name)
    fresh = polyarch.on(polyarch.root.with_name("fresh"))
    assert fresh.fails("run", "--pull", "never", name, "true").status == 1
    assert fresh("run", name, "echo", "pulled").stdout == "pulled\n"
    # The other platform is fetched when it is asked for, by the digest that the kept index names.
    assert fresh("run", "--platform", "linux/arm64", name, "uname", "-m").stdout == "aarch64\n"


def test_a_terminal_is_given_when_there_is_one(polyarch: Program, busybox: str) -> None:
    assert "needs a terminal" in polyarch.fails("run", "-t", busybox, "true").stderr
    said, _ = at_a_terminal(polyarch, busybox, "sh", "-c", "tty; echo $TERM")
    assert b"/dev/pts/" in said or b"/dev/console" in said
    assert b"xterm" in said


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_terminal_shows_all_that_was_written_and_takes_what_is_typed(
    polyarch: Program, busybox: str, runtime: str, tmp_path: Path
) -> None:
    need(runtime)
    found = tmp_path / "bin"
    found.mkdir()
    for name in (runtime, "setpriv", "unshare"):
        path = shutil.which(name)
        assert path is not None
        (found / name).symlink_to(path)
    other = {**polyarch.env, "PATH": str(found)}
    script = "read word; echo got $word; seq 1 20000; echo the end"
    said, modes = at_a_terminal(polyarch, busybox, "sh", "-c", script, typed=b"hello\r", env=other)
    lines = said.split(b"\r\n")
    assert b"got hello" in lines
    assert lines[-20002:] == [*(b"%d" % number for number in range(1, 20001)), b"the end", b""]
    assert modes[0] == modes[1], "the terminal is left as it was found"


def at_a_terminal(
    polyarch: Program, image: str, *command: str, typed: bytes = b"", env: dict[str, str] | None = None
) -> tuple[bytes, tuple[list[Any], list[Any]]]:
    """What `run -it` shows, and the terminal's modes before and after."""
    controller, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    words = [polyarch.path, "run", "-it", image, *command]
    done = subprocess.Popen(words, env=env or polyarch.env, stdin=terminal, stdout=terminal, stderr=terminal)
    os.write(controller, typed)
    said = bytearray()
    ended = False
    while not ended or select.select([controller], [], [], 0)[0]:
        ended = done.poll() is not None
        if select.select([controller], [], [], 0.05)[0]:
            said += os.read(controller, 1 << 16)
    after = termios.tcgetattr(terminal)
    os.close(terminal)
    os.close(controller)
    assert done.returncode == 0, said
    return bytes(said), (before, after)


def started(polyarch: Program, *command: str) -> "subprocess.Popen[str]":
    """A `run` whose process has said `ready`."""
    process = subprocess.Popen(
        [polyarch.path, "run", *command], env=polyarch.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_devices_that_an_image_has_are_missed_aloud(polyarch: Program, busybox: str, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "device.tar", "w") as tar:
        for name in ("dev/null", "srv/null"):
            device = tarfile.TarInfo(name)
            device.type, device.devmajor, device.devminor = tarfile.CHRTYPE, 1, 3
            tar.addfile(device)
    trees.write(tmp_path / "context", {"Dockerfile": f"FROM {busybox}\nADD device.tar /\n"})
    (tmp_path / "device.tar").rename(tmp_path / "context/device.tar")
    polyarch("build", "-t", "device", tmp_path / "context")
    for _ in range(2):
        ran = polyarch("run", "device", "ls", "/srv")
        assert ran.stdout == ""
        assert ran.stderr.count("devices are left out, because a user namespace cannot make them (/srv/null)") == 1
        assert "/dev/null" not in ran.stderr
    trees.write(tmp_path / "context", {"Dockerfile": "FROM device\nRUN ls /srv\n"})
    assert "devices are left out" in polyarch("build", tmp_path / "context").stderr


def test_signals_reach_the_process(polyarch: Program, busybox: str) -> None:
    script = "trap 'echo got TERM; exit 3' TERM; trap 'echo got USR1' USR1; echo ready; while :; do sleep 0.05; done"
    process = started(polyarch, busybox, "sh", "-c", script)
    process.send_signal(signal.SIGUSR1)
    assert process.stdout is not None
    assert process.stdout.readline() == "got USR1\n"
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=20)
    assert (said, process.returncode) == ("got TERM\n", 3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGALRM, signal.SIGRTMIN])
def test_a_signal_may_end_the_process_in_its_own_way(polyarch: Program, busybox: str, number: int) -> None:
    script = f"trap 'echo got it; exit 3' {int(number)}; echo ready; while :; do sleep 0.05; done"
    process = started(polyarch, busybox, "sh", "-c", script)
    process.send_signal(number)
    said, errors = process.communicate(timeout=20)
    assert (said, errors, process.returncode) == ("got it\n", "", 3)


def test_a_second_ctrl_c_ends_even_a_process_that_ignores_it_and_leaves_nothing(
    polyarch: Program, busybox: str
) -> None:
    process = started(polyarch, busybox, "sh", "-c", "trap '' INT TERM; echo ready; sleep 1000")
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said == "polyarch: interrupted\n"
    assert list((polyarch.root / "tmp").iterdir()) == []


def test_the_terminal_has_the_size_of_ours_and_follows_it(polyarch: Program, busybox: str) -> None:
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(controller, (33, 99))
    script = "stty size; while [ \"$(stty size)\" = '33 99' ]; do sleep 0.05; done; stty size"
    command = [polyarch.path, "run", "-it", busybox, "sh", "-c", script]
    # A session of its own, whose terminal this is: the kernel tells it of a new size.
    leader = ["setsid", "--ctty", "--wait", *command]
    done = subprocess.Popen(leader, env=polyarch.env, stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    said = os.read(controller, 1000)
    assert said.split() == [b"33", b"99"]
    termios.tcsetwinsize(controller, (44, 111))
    assert os.read(controller, 1000).split() == [b"44", b"111"]
    assert done.wait(timeout=30) == 0
    os.close(controller)


def test_a_second_sigterm_ends_a_process_that_ignores_the_first(polyarch: Program, busybox: str) -> None:
    process = started(polyarch, busybox, "sh", "-c", "trap '' TERM; echo ready; sleep 1000")
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 130


@pytest.mark.parametrize("name", ["a:b", "c,d\\e f"])
def test_any_character_may_stand_in_the_path_of_the_store(
    polyarch: Program, busybox_store: Path, tmp_path: Path, name: str
) -> None:
    bases.copy_store(busybox_store, tmp_path / name)
    Path(tmp_path, "Dockerfile").write_text("FROM busybox\nRUN echo built >/said\nCMD cat /said\n")
    there = polyarch.on(tmp_path / name)
    there("build", "-q", "-t", "app", "--platform", "linux/arm64", tmp_path)
    assert there("run", "--rm", "app").stdout == "built\n"


def test_a_path_that_a_runtime_cannot_be_told_is_named(polyarch: Program, busybox_store: Path, tmp_path: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/x\xff"))
    bases.copy_store(busybox_store, root)
    assert "is not UTF-8" in polyarch.on(root).fails("run", "--rm", "busybox", "true").stderr
