"""docker's flags of `run`: networks, ports, mounts, volumes, rights and how a container ends."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from polyarch.sandbox import outgoing
from tests import trees
from tests.needs import missing, need
from tests.program import Program

pytestmark = pytest.mark.integration


def _started(polyarch: Program, *command: str | Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [polyarch.path, "run", *command], env=polyarch.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def _asked(port: int, seconds: float = 30.0) -> bytes:
    """What the server says that is reached at `port` of 127.0.0.1, once it is there."""
    end = time.monotonic() + seconds
    while True:
        with (
            contextlib.suppress(ConnectionError),
            socket.create_connection(("127.0.0.1", port), timeout=seconds) as client,
        ):
            if said := client.recv(100):
                return said
        assert time.monotonic() < end
        time.sleep(0.05)


SERVER = ("sh", "-c", "trap 'exit 0' TERM; nc -ll -p 80 -e echo served & wait")


def test_a_published_port_leads_into_the_container(either_user: Program) -> None:
    port = _free_port()
    running = (
        _started(either_user, "-p", f"127.0.0.1:{port}:80", "busybox", *SERVER) if not either_user.prefix else None
    )
    if running is None:
        words = [*either_user.prefix, either_user.path, "run", "-p", f"127.0.0.1:{port}:80", "busybox", *SERVER]
        running = subprocess.Popen(
            words, env=either_user.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    try:
        assert _asked(port) == b"served\n"
    finally:
        running.terminate()
        running.communicate(timeout=30)
    assert running.returncode == 0


def test_exposed_ports_get_free_ports_that_are_named(polyarch: Program, busybox: str, tmp_path: Path) -> None:
    trees.write(tmp_path / "context", {"Dockerfile": f"FROM {busybox}\nEXPOSE 80 81/udp\n"})
    polyarch("build", "-t", "server", tmp_path / "context")
    running = _started(polyarch, "-P", "server", *SERVER)
    try:
        assert running.stderr is not None
        lines = [running.stderr.readline() for _ in range(2)]
        found = re.search(r"0\.0\.0\.0:(\d+) leads to 80/tcp", "".join(lines))
        assert found, lines
        assert _asked(int(found[1])) == b"served\n"
    finally:
        running.terminate()
        running.communicate(timeout=30)


def test_the_first_free_port_of_a_range_is_taken(polyarch: Program, busybox: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        running = _started(polyarch, "-p", f"127.0.0.1:{port}-{port + 20}:80", busybox, *SERVER)
        try:
            end = time.monotonic() + 30
            while not any(_is_served(number) for number in range(port + 1, port + 21)):
                assert time.monotonic() < end
                time.sleep(0.05)
        finally:
            running.terminate()
            running.communicate(timeout=30)


def _is_served(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            return client.recv(100) == b"served\n"
    except OSError:
        return False


def test_a_port_that_is_taken_fails_before_anything_else(polyarch: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = polyarch.fails("run", "--pull=never", "-p", f"127.0.0.1:{port}:80", "none", "true")
    assert f"cannot listen on 127.0.0.1:{port}/tcp: the port is taken" in refused.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-p", "x:80"), "'x' is not a port"),
        (("-p", "80:99999"), "'99999' is not a port"),
        (("-p", "80-82:80-81"), "have different lengths"),
        (("-p", "1.2.3:80:80"), "'1.2.3' is not an address"),
        (("-p", "80/icmp"), "unknown protocol 'icmp'"),
        (("--network", "none", "-p", "80"), "contradict each other"),
        (("--network", "host", "-p", "8080:80"), "contradicts --network host"),
        (("--dns", "here"), "it is not an address"),
        (("--add-host", "name"), "is not NAME:ADDRESS"),
        (("--cap-add", "FLY"), "unknown capability 'FLY'"),
        (("--security-opt", "nonsense"), "unknown option 'nonsense'"),
        (("--stop-signal", "SIGNONE"), "'SIGNONE' is not a signal"),
        (("--stop-timeout", "-1"), "not in the range"),
        (("--shm-size", "big"), "'big' is not a size"),
        (("--ulimit", "nofile"), "is not NAME=SOFT[:HARD]"),
        (("--tmpfs", "tmp"), "must be an absolute path"),
        (("--tmpfs", "/tmp:color=red"), "'color=red' is not an option"),
        (("--mount", "type=bind,target=/x"), "needs a source"),
        (("--mount", "type=tmpfs,source=/,target=/x"), "has no source"),
        (("--mount", "type=cake,target=/x"), "unknown type 'cake'"),
        (("--mount", "target=/x,sauce=/y"), "unknown key 'sauce'"),
        (("--mount", "type=bind,source=/,target=/x,tmpfs-size=1"), "tmpfs-size belongs to type=tmpfs"),
        (("--mount", "type=tmpfs,target=/x,tmpfs-mode=9"), "invalid mode '9'"),
        (("--mount", 'type=tmpfs,"target=/x'), "not a list of KEY=VALUE"),
        (("-v", "/etc:/x", "--tmpfs", "/x/"), "two mounts at /x"),
        (("-v", "/:/x:loud"), "'loud' is not an option"),
        (("-v", "a/b:/x"), "cannot be the name of a volume"),
        (("--label", "=x"), "has no key"),
    ],
)
def test_bad_values_are_named(polyarch: Program, words: tuple[str, ...], said: str) -> None:
    refused = polyarch.fails("run", "--pull=never", *words, "none", "true")
    assert said in refused.stderr
    assert refused.status == 2


@pytest.mark.parametrize("words", [("--volumes-from", "x"), ("-d",), ("--network", "mynet"), ("-v", "/:/x:shared")])
def test_what_is_not_there_is_refused_in_words(polyarch: Program, words: tuple[str, ...]) -> None:
    assert "not supported" in polyarch.fails("run", "--pull=never", *words, "none", "true").stderr


def test_a_private_network_has_a_resolver_hosts_and_nothing_of_this_machine(polyarch: Program, busybox: str) -> None:
    flags = ("--network", "private", "--dns", "10.9.9.9", "--dns-search", "here.example", "--dns-option", "ndots:2")
    script = "cat /etc/resolv.conf; grep extra /etc/hosts; ls /sys/class/net"
    said = polyarch("run", *flags, "--add-host", "extra:10.0.0.7", busybox, "sh", "-c", script).stdout
    assert said.startswith("nameserver 10.9.9.9\nsearch here.example\noptions ndots:2\n10.0.0.7\textra\nlo\n")
    assert "eth0" not in said


def test_slirp4netns_adds_outgoing_connections_and_without_it_one_line_says_so(
    polyarch: Program, busybox: str, tmp_path: Path
) -> None:
    need("slirp4netns")
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        missing("needs to open /dev/net/tun")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = f"nc -w 5 name {port} </dev/null; ls /sys/class/net"
        flags = ("--network", "private", "--add-host", "name:host-gateway")
        running = _started(polyarch, *flags, busybox, "sh", "-c", script)
        server.settimeout(30)
        connection, _ = server.accept()
        connection.sendall(b"from this machine\n")
        connection.close()
        said, _ = running.communicate(timeout=30)
    assert said.split("\n")[0] == "from this machine"
    assert "tap0" in said
    for program in ("crun", "setpriv", "unshare"):
        (tmp_path / program).symlink_to(
            next(Path(each, program) for each in ("/usr/bin", "/bin") if Path(each, program).exists())
        )
    alone = polyarch("run", "--network", "private", busybox, "true", env={"PATH": str(tmp_path)})
    assert alone.stderr.count("cannot make connections to the outside: slirp4netns is not installed") == 1


def test_what_outgoing_connections_lack_is_named(tmp_path: Path) -> None:
    program = tmp_path / "slirp4netns"
    assert outgoing.missing(str(tmp_path))[0] == "slirp4netns is not installed"
    program.touch(0o755)
    reason, hint = outgoing.missing(str(tmp_path), str(tmp_path / "tun"))
    assert reason == f"there is no {tmp_path}/tun"
    assert "modprobe tun" in hint
    assert outgoing.missing(str(tmp_path), str(program)) == ("", "")


def test_capabilities_and_privileges_are_as_chosen(polyarch: Program, busybox: str) -> None:
    def held(*flags: str) -> list[str]:
        script = "grep -E 'CapBnd|NoNewPrivs|Seccomp:' /proc/self/status"
        return re.findall(r":\s*(\w+)", polyarch("run", *flags, busybox, "sh", "-c", script).stdout)

    assert held() == ["00000000a80425fb", "0", "2"]
    assert held("--cap-drop", "ALL", "--cap-add", "cap_chown") == ["0000000000000001", "0", "2"]
    assert held("--cap-drop", "MKNOD", "--cap-add", "SYS_PTRACE") == ["00000000a00c25fb", "0", "2"]
    both = held("--security-opt", "no-new-privileges", "--security-opt", "seccomp=unconfined")
    assert both == ["00000000a80425fb", "1", "0"]


def test_limits_groups_and_memory_files_are_as_chosen(polyarch: Program, busybox: str) -> None:
    flags = ("--ulimit", "nofile=99:99", "--shm-size", "3m", "--group-add", "7", "--tmpfs", "/scratch:size=1m,mode=700")
    script = "ulimit -n; df /dev/shm | tail -1; id -G; stat -c %a /scratch; grep /scratch /proc/mounts"
    lines = polyarch("run", *flags, busybox, "sh", "-c", script).lines()
    assert (lines[0], lines[1].split()[1], lines[2], lines[3]) == ("99", "3072", "0 7", "700")
    assert {"noexec", "nosuid", "nodev", "size=1024k"} <= set(lines[4].split()[3].split(","))


def test_a_named_volume_begins_with_the_images_files_and_stays(either_user: Program, tmp_path: Path) -> None:
    script = "ls -l /etc/passwd >/dev/null && stat -c '%u %a' /etc/passwd && echo more >> /etc/added; cat /etc/added"
    for times in (1, 2):
        said = either_user("run", "-v", "kept:/etc", "busybox", "sh", "-c", script).lines()
        assert said == ["0 644", *["more"] * times]
    assert either_user("run", "-v", "kept:/data:ro", "busybox", "cat", "/data/added").lines() == ["more"] * 2
    assert either_user(
        "run", "--mount", "src=kept,dst=/d,volume-subpath=.,readonly", "busybox", "cat", "/d/added"
    ).lines()
    assert either_user("run", "-v", "bare:/etc:nocopy", "busybox", "ls", "/etc/passwd", check=False).status != 0
    assert either_user("run", "-v", "/etc", "busybox", "ls", "/etc/passwd").status == 0


def test_a_volume_of_the_image_can_be_written_with_read_only(polyarch: Program, busybox: str, tmp_path: Path) -> None:
    trees.write(
        tmp_path / "context", {"Dockerfile": f"FROM {busybox}\nRUN mkdir /data && echo x >/data/x\nVOLUME /data\n"}
    )
    polyarch("build", "-t", "stateful", tmp_path / "context")
    assert polyarch(
        "run", "--read-only", "stateful", "sh", "-c", "cat /data/x; touch /data/y && ! touch /z"
    ).lines() == ["x"]


def test_init_removes_zombies_and_passes_signals_on(polyarch: Program, busybox: str) -> None:
    need("catatonit")
    script = "(sleep 0.1 &); sleep 1; grep -l 'State:.Z' /proc/[0-9]*/status | wc -l; exit 5"
    done = polyarch("run", "--init", busybox, "sh", "-c", script, check=False)
    assert (done.stdout, done.status) == ("0\n", 5)
    running = _started(polyarch, "--init", busybox, "sh", "-c", "echo ready; exec sleep 1000")
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    running.terminate()
    running.communicate(timeout=20)
    assert running.returncode == 143


def test_a_process_1_without_handlers_ends_at_the_first_signal(polyarch: Program, busybox: str) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        running = _started(polyarch, busybox, "sh", "-c", "echo ready; while :; do sleep 0.05; done")
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        running.send_signal(number)
        running.communicate(timeout=20)
        assert running.returncode == 128 + number


def test_a_process_is_stopped_by_its_own_signal_and_killed_after_the_timeout(
    polyarch: Program, busybox: str, tmp_path: Path
) -> None:
    trees.write(tmp_path / "context", {"Dockerfile": f"FROM {busybox}\nSTOPSIGNAL USR1\n"})
    polyarch("build", "-t", "own", tmp_path / "context")
    script = "trap 'echo asked; exit 4' USR1; trap '' TERM; echo ready; while :; do sleep 0.05; done"
    for words, status in (
        (("own",), 4),
        (("--stop-signal", "SIGUSR1", busybox), 4),
        (("--stop-timeout", "1", busybox), 137),
    ):
        running = _started(polyarch, *words, "sh", "-c", script)
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        running.terminate()
        running.communicate(timeout=20)
        assert running.returncode == status


def test_a_cidfile_is_written_once(polyarch: Program, busybox: str, tmp_path: Path) -> None:
    flags = ("run", "--cidfile", tmp_path / "cid", "--label", "a=b", busybox, "true")
    polyarch(*flags)
    assert re.fullmatch(r"[0-9a-f]{64}", (tmp_path / "cid").read_text())
    assert "of --cidfile exists" in polyarch.fails(*flags).stderr


def _mentioning(word: str) -> list[str]:
    """The command lines of all processes that have this word in them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if word in line:
                found.append(line)
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_ended_run_leaves_no_process_mount_port_or_file(polyarch: Program, busybox: str, number: int) -> None:
    port = _free_port()
    flags = ("-p", f"127.0.0.1:{port}:80", "--name", "ended", "-v", "/data", "--init")
    running = _started(polyarch, *flags, busybox, "sh", "-c", "echo ready; exec sleep 98765")
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    assert len(_mentioning("sleep 98765")) > 1
    running.send_signal(number)
    running.communicate(timeout=30)
    end = time.monotonic() + 20
    while _mentioning("98765") or _mentioning(str(polyarch.root)):
        assert time.monotonic() < end, (_mentioning("98765"), _mentioning(str(polyarch.root)))
        time.sleep(0.02)
    assert str(polyarch.root) not in Path("/proc/self/mountinfo").read_text()
    socket.create_server(("127.0.0.1", port)).close()
    # What a killed one leaves in the store, the next command removes.
    polyarch("run", "--name", "ended", busybox, "true")
    assert list((polyarch.root / "tmp").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_waits_for_a_registry_is_interrupted(polyarch: Program, number: int) -> None:
    port = _free_port()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        name = f"127.0.0.1:{silent.getsockname()[1]}/app"
        running = _started(polyarch, "-p", f"127.0.0.1:{port}:80", name, "true")
        silent.settimeout(30)
        connection, _ = silent.accept()
        running.send_signal(number)
        running.communicate(timeout=30)
        connection.close()
    assert running.returncode != 0
    socket.create_server(("127.0.0.1", port)).close()
    assert list((polyarch.root / "tmp").iterdir()) == []
