"""Options of `build` that reach RUN: secrets, SSH agents, limits, hosts, networks and platforms."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from polyarch.builder.perform.agent import AgentSocket, at
from scripts.local_registry import LocalRegistry
from tests.builds.test_contexts import archive
from tests.needs import need
from tests.program import Program

Context = Callable[..., Path]


@pytest.fixture
def output(polyarch: Program, busybox: str, context: Context, tmp_path: Path) -> Callable[..., str]:
    """What a RUN writes into /out: `output("RUN id > /out", "--ulimit", "nofile=64")`."""

    def call(run: str, *words: str | Path, stage: str = "") -> str:
        directory = context(f"FROM {busybox} AS one\n{run}\nFROM scratch\nCOPY --from=one /out /")
        polyarch("build", *words, "-o", f"type=local,dest={tmp_path}/files", directory)
        return (tmp_path / "files/out").read_text()

    return call


def test_a_secret_comes_from_a_file_or_from_the_environment(output: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from a file")
    secrets = ("--secret", f"id=file,src={tmp_path}/key", "--secret", "id=home,env=HOME")
    run = "RUN --mount=type=secret,id=file --mount=type=secret,id=home cat /run/secrets/* > /out"
    assert output(run, *secrets) == f"from a file{tmp_path}/home"


def test_a_secret_reaches_no_layer(polyarch: Program, busybox: str, context: Context) -> None:
    directory = context(f"FROM {busybox}\nRUN --mount=type=secret,id=home,env=SECRET true")
    polyarch("build", "--secret", "id=home,env=HOME", "-t", "a", directory)
    secret = polyarch.env["HOME"].encode()
    blobs = [path for path in (polyarch.root / "oci/blobs/sha256").iterdir() if path.stat().st_size < 100_000]
    assert blobs
    assert all(secret not in path.read_bytes() for path in blobs)


def test_another_value_of_a_secret_is_no_reason_to_run_again(
    polyarch: Program, busybox: str, context: Context, tmp_path: Path
) -> None:
    directory = context(f"FROM {busybox}\nRUN --mount=type=secret,id=s cat /proc/sys/kernel/random/uuid > /out")
    digests = set()
    for value in ("one", "two"):
        (tmp_path / "s").write_text(value)
        digests.add(polyarch("build", "-q", "--secret", f"id=s,src={tmp_path}/s", directory).stdout)
    assert len(digests) == 1


def test_an_ssh_agent_is_reached_by_its_socket(output: Callable[..., str], tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "agent"))
        run = "RUN --mount=type=ssh test -S $SSH_AUTH_SOCK && echo $SSH_AUTH_SOCK > /out"
        assert output(run, "--ssh", f"default={tmp_path}/agent") == "/run/buildkit/ssh_agent.0\n"
        run = "RUN --mount=type=ssh,id=work,target=/agent test -S /agent && echo $SSH_AUTH_SOCK > /out"
        assert output(run, "--ssh", f"work={tmp_path}/agent") == "/agent\n"


def test_the_agents_socket_has_the_owner_and_mode_that_are_asked_for(
    output: Callable[..., str], tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "agent"))
        agent.listen()
        look = "stat -c '%u:%g %a' $SSH_AUTH_SOCK >>/out"
        run = f"RUN --mount=type=ssh {look}\nRUN --mount=type=ssh,uid=1001,gid=1002,mode=0660 {look}"
        assert output(run, "--ssh", f"default={tmp_path}/agent").split("\n") == ["0:0 600", "1001:1002 660", ""]


def test_what_is_said_to_the_agents_socket_reaches_the_agent_and_its_answer_comes_back(tmp_path: Path) -> None:
    def answer() -> None:
        for _ in range(2):
            connection, _ = agent.accept()
            with connection, connection.makefile("rb") as reader:
                connection.sendall(reader.read()[::-1])

    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "real"))
        agent.listen()
        threading.Thread(target=answer, daemon=True).start()
        # Longer than the name of a socket may be.
        directory = tmp_path / ("long" * 30)
        directory.mkdir()
        own = AgentSocket(directory, at(str(tmp_path / "real")), os.getuid(), os.getgid(), None)
        (tmp_path / "short").symlink_to(directory)
        for asked in (b"abc", b"x" * 1_000_000 + b"y"):
            with socket.socket(socket.AF_UNIX) as client, client.makefile("rb") as reader:
                client.connect(f"{tmp_path}/short/agent")
                client.sendall(asked)
                client.shutdown(socket.SHUT_WR)
                assert reader.read() == asked[::-1]
    # The agent is gone, and one client is still there.
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{tmp_path}/short/agent")
        assert client.recv(1) == b""
        own.close()


def test_more_connections_to_the_agents_socket_than_descriptors_are_not_its_end(tmp_path: Path) -> None:
    program = """if True:
        import os, resource, socket, time
        from pathlib import Path
        from polyarch.builder.perform.agent import AgentSocket, at
        real = socket.socket(socket.AF_UNIX)
        real.bind("real")
        real.listen(100)
        own = AgentSocket(Path.cwd(), at("real"), os.getuid(), os.getgid(), None)
        clients = [socket.socket(socket.AF_UNIX) for _ in range(20)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (clients[-1].fileno() + 6, 4096))
        for client in clients:
            client.connect("agent")
        time.sleep(0.3)  # the socket accepts until it cannot any more
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 4096))
        client = socket.socket(socket.AF_UNIX)
        client.connect("agent")
        client.settimeout(20)
        client.sendall(b"hello")
        while True:
            connection, _ = real.accept()
            if connection.recv(5) == b"hello":
                break
            connection.close()
        connection.close()
        print(client.recv(1))
        own.close()
    """
    found = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (found.stdout, found.stderr, found.returncode) == ("b''\n", "", 0)


def test_limits_hosts_and_the_size_of_shared_memory_reach_a_run(output: Callable[..., str]) -> None:
    run = (
        "RUN ulimit -n > /out; ulimit -Hn >> /out; grep -w box /etc/hosts >> /out; "
        "grep /dev/shm /proc/mounts | tail -n1 >> /out"
    )
    words = ["--ulimit", "nofile=64:128", "--add-host", "box:10.9.8.7", "--shm-size", "2m"]
    found = output(run, *words).splitlines()
    assert found[:2] == ["64", "128"]
    assert found[2].split() == ["10.9.8.7", "box"]
    assert "size=2048k" in found[3]


def test_a_run_waits_for_no_sync_unless_it_is_asked_to_or_has_a_cache(output: Callable[..., str]) -> None:
    def answers(run: str, *words: str) -> list[str]:
        # A pipe cannot be synced: the real system call says so.
        sync = "(dd if=/dev/null conv=fsync 2>/dev/null; echo $? >/out) | cat"
        command = f"{sync}; grep -c '^[^ ]* / .*volatile' /proc/mounts >>/out; true"
        return output(f"RUN {run} {command}", *words).split()

    assert answers("") == ["0", "1"]
    assert answers("", "--sync") == ["1", "0"]
    assert answers("--mount=type=cache,target=/cache,ro") == ["0", "1"]
    # What a program syncs in a cache outlives the step. Its other files cost nothing by the root file system.
    assert answers("--mount=type=cache,target=/cache") == ["1", "1"]


def test_a_limit_that_there_is_not(polyarch: Program, busybox: str, context: Context) -> None:
    result = polyarch.fails("build", "--ulimit", "bananas=3", context(f"FROM {busybox}\nRUN true"))
    assert "bananas" in result.stderr


def test_no_network_for_the_whole_build(output: Callable[..., str]) -> None:
    assert output("RUN ls /sys/class/net > /out", "--network", "none") == "lo\n"


def test_variables_that_qemu_reads_are_the_steps_own_wherever_they_come_from(
    output: Callable[..., str], polyarch: Program, tmp_path: Path
) -> None:
    (tmp_path / "cpu").write_text("none")
    lines = (
        'ARG QEMU_VERSION\nENV QEMU_UNSET_ENV=PATH\nSHELL ["/bin/sh", "-ec"]\n'
        "RUN --mount=type=secret,id=cpu,env=QEMU_CPU "
        "export QEMU_UNAME=1; uname -m >/out; env | grep QEMU_ | sort >>/out"
    )
    secret = ("--secret", f"id=cpu,src={tmp_path}/cpu")
    said = output(lines, "--platform", "linux/arm64", "--build-arg", "QEMU_VERSION=9.0", *secret)
    assert said.split() == ["aarch64", "QEMU_CPU=none", "QEMU_UNAME=1", "QEMU_UNSET_ENV=PATH", "QEMU_VERSION=9.0"]
    (tmp_path / "env").write_text("QEMU_VERSION=1\n")
    run = ("run", "--platform", "linux/arm64", "--env-file", tmp_path / "env", "-e", "QEMU_CPU=", "busybox")
    assert polyarch(*run, "sh", "-c", "env | grep QEMU_ | sort").stdout == "QEMU_CPU=\nQEMU_VERSION=1\n"


def test_a_cgroup_cannot_be_chosen(polyarch: Program, context: Context) -> None:
    result = polyarch.fails("build", "--cgroup-parent", "x.slice", context("FROM scratch"))
    assert "hint" in result.stderr


def test_a_step_runs_for_each_platform_and_only_once_for_the_builders(
    polyarch: Program, busybox: str, context: Context
) -> None:
    directory = context(
        f"FROM --platform=$BUILDPLATFORM {busybox} AS one\nRUN cat /proc/sys/kernel/random/uuid > /id\n"
        f"FROM {busybox}\nCOPY --from=one /id /id\nRUN uname -m >> /id"
    )
    platforms = "linux/amd64,linux/arm64,linux/arm/v7,linux/s390x"
    result = polyarch("build", "--progress=plain", "--platform", platforms, "-t", "a", directory)
    assert result.stderr.count("RUN cat /proc") == 1
    ids = {polyarch("run", "--rm", "--platform", one, "a", "head", "-n1", "/id").stdout for one in platforms.split(",")}
    assert len(ids) == 1


def test_a_step_that_is_given_up_is_canceled_and_quiet(polyarch: Program, busybox: str, context: Context) -> None:
    lines = f"FROM {busybox} AS slow\nRUN touch /out; sleep 1000\nFROM {busybox} AS bad\nRUN sleep 0.5; exit 3\n"
    directory = context(f"{lines}FROM scratch\nCOPY --from=slow /out /slow\nCOPY --from=bad /out /bad\n")
    said = polyarch.fails("build", directory).stderr
    assert re.findall(r"^#\d (ERROR|CANCELED|\d\.\d+)", said, re.MULTILINE) == ["ERROR", "CANCELED"]
    assert "exit code: 3" in said
    assert "unshare" not in said


def test_an_interrupted_build_says_canceled(polyarch: Program, busybox: str, context: Context) -> None:
    directory = context(f"FROM {busybox}\nRUN echo ready; sleep 1000\n")
    command = [polyarch.path, "build", "--progress", "plain", directory]
    process = subprocess.Popen(command, env=polyarch.env, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert any(line.endswith(" ready\n") for line in process.stderr)
    process.send_signal(signal.SIGINT)
    said = process.stderr.read()
    assert process.wait(timeout=20) == 130
    process.stderr.close()
    assert said == "#2 CANCELED\n\npolyarch: interrupted\n"


@pytest.mark.parametrize(("missing", "reason"), [("crun", "no OCI runtime found"), ("unshare", "setpriv and unshare")])
def test_what_a_machine_lacks_is_told_though_two_platforms_need_it(
    polyarch: Program, busybox: str, context: Context, tmp_path: Path, missing: str, reason: str
) -> None:
    for program in {"crun", "setpriv", "unshare", "qemu-aarch64-static"} - {missing}:
        (tmp_path / program).symlink_to(shutil.which(program) or "")
    directory = context(f"FROM {busybox}\nRUN true\n")
    platforms = ("--platform", "linux/amd64,linux/arm64")
    said = polyarch.fails("build", *platforms, directory, env={"PATH": str(tmp_path)}).stderr
    assert reason in said
    assert "file exists" not in said.lower()


def test_the_output_of_a_failed_step_is_shown(polyarch: Program, busybox: str, context: Context) -> None:
    result = polyarch.fails("build", context(f"FROM {busybox}\nRUN echo why it failed; exit 9"))
    assert result.status == 1
    assert "exit code: 9" in result.stderr
    assert "why it failed" in result.stderr
    assert ">>> RUN echo" in result.stderr


def test_either_user_builds_with_a_context_of_their_own(either_user: Program, context: Context) -> None:
    dockerfile = (
        "FROM busybox\nRUN --mount=type=cache,target=/c echo x > /c/x && ls -ln /c/x | awk '{print $3 $4}' > /out"
    )
    either_user("build", "-t", "mine", "-", stdin=dockerfile)
    assert either_user("run", "--rm", "mine", "cat", "/out").stdout == "00\n"


def test_either_user_shows_a_process_files_of_root_without_what_is_ignored(either_user: Program) -> None:
    dockerfile = (
        "FROM busybox\nRUN --mount=target=/in stat -c '%u:%g %a %n' /in/a /in/d /in/d/b > /out\n"
        "RUN --mount=target=/in,rw echo new > /in/a && cat /in/a >> /out\nCMD cat /out"
    )
    either_user("build", "-t", "mine", "-", stdin=archive({"Dockerfile": dockerfile, "a": "a", "d/b": "b"}))
    assert either_user("run", "--rm", "mine").lines() == ["0:0 644 /in/a", "0:0 755 /in/d", "0:0 644 /in/d/b", "new"]


def test_host_gateway_is_the_way_to_the_host(output: Callable[..., str]) -> None:
    assert output("RUN grep -w up /etc/hosts > /out", "--add-host", "up:host-gateway").split() == ["127.0.0.1", "up"]


def test_a_named_processor_is_a_reason_to_run_its_platform_again_and_a_named_emulator_is_not(
    polyarch: Program, busybox: str, context: Context
) -> None:
    need("qemu-aarch64-static", "qemu-arm-static")
    directory = context(f"FROM {busybox}\nRUN cat /proc/sys/kernel/random/uuid > /out")
    build = ("build", "--platform", "linux/arm64,linux/arm/v7", "--progress", "plain", directory)

    def ran(*words: str) -> set[str]:
        said = polyarch(*build, *words).stderr
        steps = dict(re.findall(r"#(\d+) \[(linux/\S+) 1/1\] RUN", said))
        cached = set(re.findall(r"#(\d+) CACHED", said))
        assert set(steps.values()) == {"linux/arm64", "linux/arm/v7"}, said
        return {platform for number, platform in steps.items() if number not in cached}

    assert ran() == {"linux/arm64", "linux/arm/v7"}
    assert ran("--emulated-cpu", "linux/arm64=cortex-a53") == {"linux/arm64"}
    assert ran("--emulated-cpu", "linux/s390x=z14") == set()
    assert ran("--emulated-cpu", "default", "--emulated-cpu", "linux/arm=cortex-a9") == {"linux/arm64", "linux/arm/v7"}
    emulator = shutil.which("qemu-aarch64-static") or ""
    assert ran("--emulator", f"linux/arm64={emulator}") == set()
    assert ran() == set()


def test_each_layer_is_sent_once_whichever_platform_is_ready_first(
    polyarch: Program, busybox: str, registry: LocalRegistry, context: Context
) -> None:
    need("qemu-aarch64-static")
    directory = context(f"FROM {busybox}\nRUN uname -m > /one\nRUN uname -m > /two\nCOPY file /", "file = 1")
    before = len(registry.requests())
    polyarch("build", "--platform", "linux/amd64,linux/arm64", "-t", f"{registry.address}/early", "--push", directory)
    sent = [line for line in registry.requests()[before:] if line.startswith("PUT") and "/blobs/" in line]
    # Two of RUN for each platform, one of COPY for both, two configs, and two of the base if it was not mounted.
    digests = [line.partition("digest=")[2] for line in sent]
    assert len(digests) == len(set(digests))
    assert len(digests) >= 7


def test_no_emulator_is_copied_for_what_runs_on_the_build_platform(
    polyarch: Program, busybox: str, context: Context
) -> None:
    need("qemu-aarch64-static")
    directory = context(
        f"FROM --platform=$BUILDPLATFORM {busybox} AS tools\nFROM tools AS made\nARG TARGETARCH\n"
        f"RUN echo page > /page && touch -d @1000000000 /page\nFROM {busybox}\nCOPY --from=made /page /srv/"
    )
    polyarch("build", "--platform", "linux/amd64,linux/arm64", "-t", "app", directory)
    assert not (polyarch.root / "emulators").exists()
    raw = polyarch("manifest", "inspect", "--verbose", "app").json()
    layers = {image["OCIManifest"]["layers"][-1]["digest"] for image in raw}
    assert len(raw) == 2
    assert len(layers) == 1


def test_a_first_build_that_fails_early_leaves_no_unfinished_copy_of_an_emulator(
    polyarch: Program, context: Context
) -> None:
    need("qemu-s390x-static")
    directory = context("FROM localhost:1/nothing\nRUN true")
    failed = polyarch("build", "--platform", "linux/s390x", directory, check=False)
    assert failed.status == 1
    left = {path.name for path in (polyarch.root / "emulators").glob("*")}
    assert "new" not in left
    # The directory that the child may have made does not keep a later build from making the copy.
    assert all(len(name) == 64 for name in left - {"known.json", "lock"})
