"""What a process must not see or do; the attempts of SECURITY.md, as root and as an unprivileged user."""

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from polyarch.sandbox.settings import RunSettings
from tests.people import Person
from tests.sandbox.inside import REPOSITORY, SEARCH_PATH, Room, inside

Bases = dict[str, Path]

pytestmark = pytest.mark.integration

_CRUN = shutil.which("crun", path=SEARCH_PATH) or ""
# docker's default set: CHOWN … AUDIT_WRITE, as a mask.
_DOCKER = "00000000a80425fb"


def _status(room: Room) -> list[str]:
    return room.run("grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|^Seccomp:' /proc/self/status").output.split()[1::2]


def test_capabilities_and_seccomp_are_dockers(someone: Person, amd64: Bases) -> None:
    nothing = "0" * 16
    assert inside(someone, _status, amd64) == [nothing, _DOCKER, _DOCKER, _DOCKER, nothing, "0", "2"]


def _status_of_nobody(room: Room) -> list[str]:
    return room.run("grep -E 'Cap(Prm|Eff|Bnd)' /proc/self/status", user="nobody").output.split()[1::2]


def test_who_is_not_root_holds_no_capability(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _status_of_nobody, amd64) == ["0" * 16, "0" * 16, _DOCKER]


def _runtime(room: Room) -> list[bool]:
    path = room.sandbox._runtime.path
    return [bool(os.statvfs(path).f_flag & os.ST_RDONLY), os.path.samestat(os.stat(path), os.stat(_CRUN))]


def test_nobody_can_write_to_the_runtime_that_containers_are_started_with(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _runtime, amd64) == [True, True]


_ATTEMPTS = {
    "write a sysctl": "echo 1 > /proc/sys/kernel/panic",
    "set the core pattern, which the host would run": "echo '|/bin/sh' > /proc/sys/kernel/core_pattern",
    "use the magic sysrq": "echo h > /proc/sysrq-trigger",
    "mount": "mount -t tmpfs tmpfs /tmp",
    "make /proc/sys writable again": "mount -o remount,rw,bind /proc/sys",
    "make a user namespace": "unshare -U true",
    "make a mount namespace": "unshare -m true",
    "write in /sys": "echo 1 > /sys/kernel/mm/ksm/run",
    "write in cgroups": "mkdir /sys/fs/cgroup/mine",
    "make a device node": "mknod /tmp/sda b 8 0 && cat /tmp/sda",
    "read the kernel's memory": "test -s /proc/kcore && head -c1 /proc/kcore | grep -q .",
    "see the keys of others": "grep -q . /proc/keys",
    "set the clock": "! date -s 2000-01-01 2>&1 | grep -q 'set date'",
    "set the container's name": "hostname other",
    "load a module": "modprobe loop || insmod /nothing.ko",
    "change the root": "pivot_root /tmp /tmp",
    "leave by chroot": f"chroot /proc/1/root/../../.. /bin/sh -c 'test -e {os.path.abspath(__file__)}'",
    "see a host's process": f"test -e /proc/{os.getpid()}/cmdline && grep -q pytest /proc/{os.getpid()}/cmdline",
    "kill a host's process": f"kill -0 {os.getpid()}",
    "write in the host's binary formats": "ls /proc/sys/fs/binfmt_misc/register",
    "mount binfmt_misc": "mount -t binfmt_misc none /proc/sys/fs/binfmt_misc",
}


def _attempts(room: Room) -> list[str]:
    # Each in a shell of its own, so that one that succeeds (with exit status 0) is named.
    script = "\n".join(
        f"({attempt}) >/dev/null 2>&1 && echo {shlex.quote(name)}" for name, attempt in _ATTEMPTS.items()
    )
    ran = room.run(f"{script}\necho all were tried")
    return ran.output.splitlines()


def test_no_attempt_to_leave_succeeds(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _attempts, amd64) == ["all were tried"]


def _filters(room: Room) -> list[object]:
    """The seccomp program that crun makes of the profile, and ours: sizes, and whether they are one."""
    from polyarch.sandbox import bpf, emulation, host_platform, seccomp

    host = host_platform()
    answer = emulation.answer(host)
    profiles = [seccomp.profile(host.architecture, skip_syncs=each, answer=answer) for each in (False, True)]
    ours = [bpf.compiled(profile) for profile in profiles if profile is not None]
    assert None not in ours
    bpf.compiled = lambda profile: None
    theirs: list[bytes] = []

    def look(_: bytes) -> None:
        theirs.extend(path.read_bytes() for path in (room.scratch / "run/state").rglob("seccomp.bpf"))

    from polyarch.sandbox import Process

    with room.rootfs() as (root, _):
        for skipped in (False, True):
            argv = ("/bin/sh", "-c", "echo; sleep 0.2")
            process = Process(argv=argv, env=("PATH=/bin",), skip_syncs=skipped)
            room.sandbox.run(process, root, stdout=look)
    return [len(theirs), theirs == ours, theirs[0] != theirs[1]]


def test_the_compiled_filter_is_byte_for_byte_the_one_that_crun_makes(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _filters, amd64) == [2, True, True]


def _attempts_uncompiled(room: Room) -> list[str]:
    from polyarch.sandbox import bpf

    bpf.compiled = lambda profile: None
    return _attempts(room)


def test_the_profile_alone_holds_as_well(someone: Person, amd64: Bases) -> None:
    # For runtimes that do not take the compiled one.
    assert inside(someone, _attempts_uncompiled, amd64) == ["all were tried"]


def _environment(room: Room) -> list[str]:
    os.environ["SECRET_OF_THE_CALLER"] = "value"
    secret = os.open("/etc/hostname", os.O_RDONLY)
    os.set_inheritable(secret, True)
    return room.run("env | grep -v -E '^(SHLVL|PWD)='; ls /proc/self/fd", env=("PATH=/bin", "A=b")).output.split()


def test_neither_environment_nor_files_of_the_caller_leak_in(someone: Person, amd64: Bases) -> None:
    # 3 is ls's own, of the directory.
    assert sorted(inside(someone, _environment, amd64)) == ["0", "1", "2", "3", "A=b", "HOME=/root", "PATH=/bin"]


def _only_itself(room: Room) -> list[str]:
    return room.run("echo $$; ls /proc | grep -E '^[0-9]+$' | wc -l; hostname").output.split()


def test_a_process_is_the_first_of_its_own_world(someone: Person, amd64: Bases) -> None:
    # The shell, ls, grep, wc at most; with a fork of the shell's on the way.
    first, count, name = inside(someone, _only_itself, amd64)
    assert (first, name) == ("1", "polyarch")
    assert int(count) <= 5


def _networks(room: Room) -> list[str]:
    script = "grep : /proc/net/dev | cut -d: -f1 | tr -d ' '; ls /sys/class/net; ping -c1 127.0.0.1 >/dev/null; echo $?"
    return room.run(script, settings=RunSettings(network="none")).output.split()


def test_without_network_there_is_only_a_working_loopback(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _networks, amd64) == ["lo", "lo", "0"]


def _hostile_links(room: Room) -> list[object]:
    from polyarch.sandbox import StartError

    # As far as the image is concerned, each of these lies in a directory of the host.
    answers: list[object] = []
    for number, name in enumerate(("etc", "sys", "proc", "dev")):
        lower, aim = room.new("hostile"), room.new("aim")
        (lower / "bin").mkdir()
        (lower / "bin/sh").write_bytes((room.base() / "bin/busybox").read_bytes())
        (lower / "bin/sh").chmod(0o755)
        (lower / name).symlink_to(f"../../../../../..{aim}" if number % 2 else aim)
        try:
            answers.append(room.run("test -f /etc/hosts && echo ran", "linux/amd64", lower).output)
        except StartError:
            answers.append("refused")
        answers.append(os.listdir(aim))
    return answers


def test_links_in_an_image_do_not_lead_mounts_out_of_it(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _hostile_links, amd64) == ["ran\n", [], "refused", [], "refused", [], "refused", []]


def _insecure(room: Room) -> list[object]:
    ran = room.run("mount -t tmpfs tmpfs /tmp && echo mounted; grep ^Seccomp: /proc/self/status", insecure=True)
    return ran.output.split()


def test_insecure_lifts_the_limits_within_the_namespace(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _insecure, amd64) == ["mounted", "Seccomp:", "0"]


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _sleeps(room: Room) -> None:
    # "up" comes when the container runs; then this process is killed.
    from polyarch.sandbox import Process

    # Where the tests run in the background of a shell, SIGINT is ignored from the start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    seconds = os.environ["SECONDS_OF_SLEEP"]
    with room.rootfs() as (root, _):
        script = f"echo up; sleep {seconds} & exec sleep {seconds}"
        process = Process(argv=("/bin/sh", "-c", script), env=("PATH=/bin",))
        room.sandbox.run(process, root, stdout=lambda data: print(data.decode(), end="", flush=True))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_when_the_command_is_killed_no_process_remains(someone: Person, amd64: Bases, how: signal.Signals) -> None:
    # A unique number: several of these tests may run at once.
    seconds = str(random.randrange(100_000, 1_000_000))

    def sleepers() -> list[str]:
        listed = subprocess.run(["pgrep", "-f", f"^sleep {seconds}"], capture_output=True, text=True, check=False)
        return listed.stdout.split()

    tar = someone.directory / "base.tar"
    tar.write_bytes(amd64["linux/amd64"].read_bytes())
    tar.chmod(0o644)
    bases = json.dumps({"linux/amd64": str(tar)})
    words = [f"{__name__}:_sleeps", SEARCH_PATH, bases, str(someone.directory)]
    command = [*someone.prefix, sys.executable, "-m", "tests.sandbox.inside", *words]
    environment = {**someone.polyarch.env, "SECONDS_OF_SLEEP": seconds}
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"up\n"
            _wait_until(lambda: len(sleepers()) == 2)
            child.send_signal(how)
            child.wait(timeout=30)
        finally:
            child.kill()
    _wait_until(lambda: not sleepers())
