"""Running processes: what they see, what they leave, how they end; for root and for an unprivileged user."""

import os
import threading
from pathlib import Path

import pytest

from polyarch.sandbox.settings import RunSettings
from tests.needs import need
from tests.people import Person
from tests.sandbox.inside import SEARCH_PATH, Room, inside, without_emulators

Bases = dict[str, Path]

pytestmark = pytest.mark.integration


def _leaves_a_file(room: Room) -> list[str]:
    ran = room.run("echo hello > /greeting; echo done")
    assert (ran.status, ran.output) == (0, "done\n")
    return ran.layer


def test_the_layer_holds_what_the_process_made_and_nothing_else(someone: Person, amd64: Bases) -> None:
    # The base has no /etc/resolv.conf, /etc/hosts, /etc/hostname: they were there meanwhile, and are gone.
    assert inside(someone, _leaves_a_file, amd64) == ["greeting"]


def _sees_network_files(room: Room) -> list[str]:
    script = "cat /etc/hostname; grep -c localhost /etc/hosts; grep three /etc/hosts; cmp /etc/resolv.conf /resolv"
    host = Path("/etc/resolv.conf")
    given = room.new("given") / "resolv"
    given.write_bytes(host.read_bytes() if host.exists() else b"")
    from polyarch.sandbox import Bind

    mounts = (Bind(str(given), "/resolv", read_only=True),)
    settings = RunSettings(hosts=(("three", "10.0.0.3"),))
    return room.run(script, hostname="here", settings=settings, mounts=mounts).output.split()


def test_hosts_and_hostname_are_generated_and_resolv_conf_is_the_hosts(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _sees_network_files, amd64) == ["here", "2", "10.0.0.3", "three"]


def _ends(room: Room) -> list[int]:
    return [room.run(script).status for script in ("exit 0", "exit 7", "sh -c 'kill -9 $$'; exit $?")]


def test_the_exit_status_is_the_processs_own(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _ends, amd64) == [0, 7, 137]


def _runs_arm64(room: Room) -> str:
    return room.run("uname -m; cat /proc/self/status | grep -c Name", "linux/arm64").output


@pytest.mark.usefixtures("host_table")
def test_a_foreign_platform_runs_and_the_hosts_table_is_untouched(someone: Person, two_platforms: Bases) -> None:
    need("qemu-aarch64-static")
    assert inside(someone, _runs_arm64, two_platforms) == "aarch64\n1\n"


def _cannot_start(room: Room) -> list[list[object]]:
    from polyarch.errors import PolyarchError

    answers: list[list[object]] = []
    for argv in (["/no/such"], ["/etc"]):
        try:
            room.run(argv)
        except PolyarchError as error:
            answers.append([type(error).__name__, getattr(error, "status", None), error.message])
    return answers


def test_a_program_that_is_not_there_is_an_error_with_dockers_status(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _cannot_start, amd64) == [
        ["StartError", 127, "cannot run /no/such: not found in the image"],
        ["StartError", 126, "cannot run /etc: permission denied"],
    ]


def _wrong_platform(room: Room) -> list[object]:
    from polyarch.sandbox import StartError

    try:
        room.run("true", "linux/amd64", room.base("linux/arm64"))
    except StartError as error:
        return [error.status, error.message]
    return []


def test_a_program_of_another_platform_is_named_as_such(someone: Person, two_platforms: Bases) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("not for this kind of machine: the base is foreign to amd64 only")
    path = without_emulators(someone)
    assert inside(someone, _wrong_platform, two_platforms, search_path=path) == [
        126,
        "cannot run /bin/sh: exec format error: the program is for arm64",
    ]


def _under_runc(room: Room) -> list[object]:
    ran = room.run("uname -m > /machine; id -u")
    none = room.run("cat /proc/net/dev | wc -l", settings=RunSettings(network="none"))
    return [ran.status, ran.output, ran.layer, none.output]


def test_runc_serves_where_crun_is_missing(someone: Person, amd64: Bases) -> None:
    need("runc")
    only = someone.directory / "only-runc"
    only.mkdir()
    for program in ("runc", "setpriv", "unshare", "newuidmap", "newgidmap"):
        found = next(Path(each, program) for each in SEARCH_PATH.split(":") if Path(each, program).exists())
        (only / program).symlink_to(found)
    assert inside(someone, _under_runc, amd64, search_path=str(only)) == [0, "0\n", ["machine"], "3\n"]


def _mounts(room: Room) -> list[object]:
    from polyarch.sandbox import Bind, File, Tmpfs

    shared = room.new("shared")
    (shared / "given").write_text("given\n")
    script = (
        "cat /work/given; echo back > /work/made; { echo no > /frozen/x; } 2>&1; "
        "cat /run/secrets/key; stat -c %a /run/secrets/key; echo t > /scratch/t; cat /opt/link"
    )
    mounts = (
        Bind(str(shared), "/work"),
        Bind(str(shared), "/frozen", read_only=True),
        File("/run/secrets/key", b"secret\n", mode=0o400, read_only=True),
        Tmpfs("/scratch", size=1 << 20),
        Bind(str(shared / "given"), "/opt/link"),
    )
    ran = room.run(script, mounts=mounts)
    return [ran.output.splitlines(), (shared / "made").read_text(), ran.layer]


def test_mounts_are_seen_and_their_mount_points_never_reach_the_layer(someone: Person, amd64: Bases) -> None:
    output, made, layer = inside(someone, _mounts, amd64)
    assert output[0] == "given"
    assert "Read-only file system" in output[1]
    assert output[2:] == ["secret", "400", "given"]
    assert made == "back\n"
    assert layer == []


def _in_parallel(room: Room) -> list[str]:
    outputs: list[str] = []

    def one(number: int) -> None:
        outputs.append(room.run(f"sleep 0.1; echo {number}").output)

    room.base()
    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(outputs)


def test_processes_run_in_parallel_from_several_threads(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _in_parallel, amd64) == [f"{number}\n" for number in range(6)]


def _cancelled(room: Room) -> list[object]:
    from polyarch.errors import CancelledError

    timer = threading.Timer(0.3, room.sandbox.cancel)
    timer.start()
    try:
        # If cancel did not kill them, the test would reach its time limit.
        room.run("sleep 1000 & sleep 1000")
    except CancelledError:
        pass
    else:
        return ["not cancelled"]
    try:
        room.run("true")
    except CancelledError:
        return ["refused"]
    return ["ran after cancel"]


def test_cancel_kills_what_runs_and_refuses_more(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _cancelled, amd64) == ["refused"]


def _failing_sink(room: Room) -> str:
    from polyarch.sandbox import Process

    def sink(_: bytes) -> None:
        raise ValueError("no more")

    with room.rootfs() as (root, _):
        try:
            room.sandbox.run(Process(argv=("/bin/sh", "-c", "echo x; sleep 60")), root, stdout=sink)
        except ValueError as error:
            return str(error)
    return ""


def test_an_error_in_the_callers_sink_ends_the_process_and_is_raised(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _failing_sink, amd64) == "no more"


def _passes_descriptors(room: Room) -> list[object]:
    from polyarch.sandbox import Process

    given, output = room.new("files") / "in", room.new("files") / "out"
    given.write_text("from a file\n")
    with room.rootfs() as (root, _), given.open("rb") as stdin, output.open("wb") as stdout:
        process = Process(argv=("/bin/cat",), env=("PATH=/bin",))
        status = room.sandbox.run(process, root, stdin=stdin.fileno(), stdout=stdout.fileno())
    return [status, output.read_text()]


def test_file_descriptors_are_passed_through(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _passes_descriptors, amd64) == [0, "from a file\n"]


def _on_a_terminal(room: Room) -> list[object]:
    from polyarch.sandbox import Process

    ours, theirs = os.openpty()
    heard = bytearray()

    def listen() -> None:
        # A terminal reports EIO when its other end is closed.
        try:
            while data := os.read(ours, 4096):
                heard.extend(data)
        except OSError:
            pass

    listener = threading.Thread(target=listen)
    listener.start()
    with room.rootfs() as (root, _):
        process = Process(argv=("/bin/sh", "-c", "test -t 0 && test -t 1 && tty; exit 5"), terminal=True)
        status = room.sandbox.run(process, root, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    listener.join()
    os.close(ours)
    return [status, heard.decode()]


def test_a_terminal_of_the_containers_own_is_joined_to_the_callers(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _on_a_terminal, amd64) == [5, "/dev/pts/0\r\n"]


def _thrown_away(room: Room) -> list[object]:
    from polyarch.sandbox import Process

    with room.sandbox.rootfs([str(room.base())]) as root:
        status = room.sandbox.run(Process(argv=("/bin/touch", "/made"), env=("PATH=/bin",)), root)
        there = os.path.exists(os.path.join(root, "made"))
    return [status, there, os.path.exists(room.base() / "made"), sorted(os.listdir(room.scratch))]


def test_without_an_upper_directory_changes_are_thrown_away(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _thrown_away, amd64) == [0, True, False, ["run"]]


def _twice(room: Room) -> str:
    layers = room.new("layers")
    for name, text in (("one", "one\n"), ("other", "other\n")):
        (layers / name).mkdir()
        (layers / name / "file").write_text(text)
    one, other = layers / "one", layers / "other"
    return room.run("cat /file", "linux/amd64", room.base(), one, other, one, other, one).output


def test_a_layer_may_occur_twice(someone: Person, amd64: Bases) -> None:
    # The kernel alone would refuse it: COPY of the same file on both sides of another step makes such an image.
    assert inside(someone, _twice, amd64) == "one\n"


def _many_layers(room: Room, count: int = 300) -> str:
    layers = room.new("layers")
    lowers = [room.base()]
    for number in range(count):
        lower = layers / f"a:name,with\\signs-{number}"
        lower.mkdir()
        (lower / "topmost").write_text(f"{number}\n")
        lowers.append(lower)
    return room.run("cat /topmost", "linux/amd64", *lowers).output


def test_three_hundred_layers_fit_whatever_their_names(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _many_layers, amd64) == "299\n"


def _many_layers_on_an_older_kernel(room: Room) -> str:
    import errno

    from polyarch.sandbox import syscalls

    configure = syscalls.fsconfig_string

    def refuse(context: int, key: str, value: str) -> None:
        if key == "lowerdir+":
            raise OSError(errno.EINVAL, "no lowerdir+")
        configure(context, key, value)

    syscalls.fsconfig_string = refuse
    return _many_layers(room, 120)


def test_an_older_kernel_takes_as_many_layers_as_docker_does(someone: Person, amd64: Bases) -> None:
    # Before Linux 6.8 there is no lowerdir+: the refusal is made up, what follows is real.
    assert inside(someone, _many_layers_on_an_older_kernel, amd64) == "119\n"


def _scratch(room: Room) -> list[str]:
    # FROM scratch, then a static program: there is no directory at all, not even /proc.
    upper = room.new("scratch")
    (upper / "busybox").write_bytes((room.base() / "bin/busybox").read_bytes())
    (upper / "busybox").chmod(0o755)
    ran = room.run(["/busybox", "ls", "/"], "linux/amd64", upper)
    return [*ran.output.split(), "|", *ran.layer]


def test_an_image_without_any_directory_runs_and_stays_without(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _scratch, amd64) == ["busybox", "dev", "etc", "proc", "sys", "|"]


def _read_only(room: Room) -> list[object]:
    ran = room.run("touch /x; touch /dev/shm/y && echo shm", read_only=True)
    # Two streams: the order of their lines is not defined.
    return [*sorted(line.split(": ")[-1] for line in ran.output.splitlines()), ran.layer]


def test_a_read_only_root_takes_no_change(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _read_only, amd64) == ["Read-only file system", "shm", []]


def _as_users(room: Room) -> list[str]:
    script = "id -u; id -g; id -G; echo $HOME; touch /tmp/mine && stat -c %u:%g /tmp/mine"
    return [" ".join(room.run(script, user=user).output.split()) for user in ("", "nobody", "nobody:users", "1234:77")]


def test_the_user_is_who_USER_says(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _as_users, amd64) == [
        "0 0 0 /root 0:0",
        "65534 65534 65534 /home 65534:65534",
        "65534 100 100 /home 65534:100",
        "1234 77 77 / 1234:77",
    ]


def _with_one_id(room: Room) -> list[object]:
    from polyarch.errors import PolyarchError

    ran = room.run("id -u; touch /made")
    try:
        room.run("true", user="nobody")
    except PolyarchError as error:
        return [ran.status, ran.output, ran.layer, error.message, "/etc/subuid" in (error.hint or "")]
    return []


def test_a_user_without_a_range_runs_as_root_and_as_no_one_else(single_id_user: Person, amd64: Bases) -> None:
    need("crun")
    message = "cannot run as 65534:65534: this user namespace has no such id"
    assert inside(single_id_user, _with_one_id, amd64) == [0, "0\n", ["made"], message, True]


def _pings(room: Room) -> list[int]:
    ping = "ping -c 1 -W 2 127.0.0.1"
    return [room.run(ping, settings=settings).status for settings in (RunSettings(network="none"), RunSettings())]


def test_ping_works_in_a_private_network_and_in_the_hosts_as_the_host_allows(someone: Person, amd64: Bases) -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ping_group_range").read_text().split())
    private, shared = inside(someone, _pings, amd64)
    assert private == 0
    # busybox's ping needs a raw socket, of which only the owner of the network may have one.
    assert shared != 0 or first <= last
