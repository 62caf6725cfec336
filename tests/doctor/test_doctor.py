"""`polyarch doctor` on this machine, and in the conditions that another machine may be in."""

import http.server
import json
import os
import shlex
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from polyarch import Diagnosis, Polyarch
from polyarch.doctor import disk
from polyarch.sandbox import emulator_code
from scripts.local_registry import LocalRegistry
from tests.conftest import Login
from tests.needs import ELSEWHERE, need, need_root
from tests.people import Person
from tests.program import Program, Result, run

DOWN = "127.0.0.1:1"


def rows(result: Result) -> dict[str, dict[str, str]]:
    """What `--json` printed, by name."""
    return {row["Name"]: row for row in json.loads(result.stdout)}


def examined(program: Program, *arguments: str, status: int = 0, **options: Any) -> dict[str, dict[str, str]]:
    result = program("doctor", "--json", *arguments, check=False, **options)
    assert result.status == status, str(result)
    return rows(result)


def inside(program: Program, script: str, *arguments: str, status: int, root: Path | None = None) -> Any:
    """The rows of `doctor` in a namespace of its own where root has run a script before."""
    need_root()
    words = shlex.join([str(program.path), "doctor", "--json", *arguments])
    prefix = ("unshare", "--user", "--map-root-user", "--mount", "--", "sh", "-c", f"{script}; exec {words}")
    own = Program(root or program.root, program.home, prefix)
    result = own(check=False)
    assert result.status == status, str(result)
    return rows(result)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A directory for PATH with what a sandbox needs, but neither an OCI runtime nor an emulator."""
    directory = tmp_path / "programs"
    directory.mkdir()
    for name in ("setpriv", "unshare", "newuidmap", "newgidmap"):
        found = shutil.which(name)
        if found:
            (directory / name).symlink_to(found)
    return directory


def test_it_shows_a_table_of_what_works_and_makes_no_store(polyarch: Program) -> None:
    shown = polyarch("doctor")
    lines = shown.lines()
    assert lines[0].split() == ["WHAT", "STATUS", "FOUND"]
    names = "user namespaces,AppArmor,seccomp,ids,cgroups,OCI runtime,store,containers,binfmt_misc"
    for name in names.split(","):
        (line,) = (line for line in lines if line.startswith(f"{name}  "))
        assert " ok  " in line, line
    assert any(line.startswith("linux/arm64") and "qemu-aarch64" in line and "." in line for line in lines)
    assert not polyarch.root.exists()


def test_json_has_all_fields(polyarch: Program) -> None:
    found = examined(polyarch)
    assert {tuple(row) for row in found.values()} == {("Name", "Status", "Found", "Reason", "Mend")}
    assert all((row["Status"] == "ok") == (row["Reason"] == "") for row in found.values())
    assert "crun 1." in found["OCI runtime"]["Found"] or "runc 1." in found["OCI runtime"]["Found"]
    assert found["credentials"]["Found"] == "none stored"


def test_a_user_with_a_range_has_all_ids(unprivileged: Person) -> None:
    found = examined(unprivileged.polyarch)
    assert (found["ids"]["Status"], found["ids"]["Found"]) == ("ok", "65,537 ids")
    assert found["user namespaces"]["Found"] == "this user may make them"
    assert found["file system"]["Status"] in ("ok", "limited")
    assert not list(unprivileged.directory.glob("doctor-*"))


def test_a_user_without_a_range_learns_how_to_get_one(single_id_user: Person) -> None:
    found = examined(single_id_user.polyarch)["ids"]
    assert (found["Status"], found["Found"]) == ("limited", "1 id")
    assert "no range of ids" in found["Reason"]
    assert found["Mend"] == (
        f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {single_id_user.name}"
    )


def test_without_newuidmap_its_package_is_named(unprivileged: Person) -> None:
    program = Program(
        unprivileged.polyarch.root, unprivileged.directory, (*unprivileged.prefix, "env", "PATH=/nowhere")
    )
    found = examined(program, status=1)["ids"]
    assert "newuidmap and newgidmap not found" in found["Reason"]
    assert found["Mend"] == "install the package uidmap"


def test_programs_that_are_not_there(polyarch: Program, programs: Path) -> None:
    found = examined(polyarch, status=1, env={"PATH": str(programs)})
    assert found["OCI runtime"]["Status"] == "missing"
    assert found["OCI runtime"]["Mend"] == "install the package crun"
    # Emulators are needed only for platforms that were asked for.
    assert (found["linux/s390x"]["Status"], found["linux/s390x"]["Found"]) == ("limited", "missing")
    assert found["linux/s390x"]["Mend"] == "install the package qemu-user-static"
    (programs / "apt-get").symlink_to("/bin/true")
    asked = examined(polyarch, "--platform", "linux/s390x", status=1, env={"PATH": str(programs)})["linux/s390x"]
    assert asked["Status"] == "missing"
    assert asked["Mend"].removeprefix("sudo ") == "apt-get install qemu-user-static"


def test_a_runtime_that_cannot_start_anything(polyarch: Program, programs: Path) -> None:
    (programs / "crun").symlink_to("/bin/false")
    found = examined(polyarch, status=1, env={"PATH": str(programs)})["containers"]
    assert (found["Status"], found["Found"]) == ("missing", "cannot be started")
    assert found["Reason"].startswith("RUN and `polyarch run` do not work: cannot start /probe")


def test_a_platform_that_was_asked_for_is_needed(polyarch: Program) -> None:
    assert examined(polyarch, "--platform", "linux/arm64,linux/riscv64")["linux/riscv64"]["Status"] == "ok"
    assert (
        examined(polyarch, "--platform", "linux/wasm", status=1)["linux/wasm"]["Reason"] == "no emulator exists for it"
    )
    refused = polyarch.fails("doctor", "--platform", "linux/")
    assert refused.status == 2


def test_user_namespaces_that_are_switched_off(polyarch: Program) -> None:
    found = inside(polyarch, "echo 0 > /proc/sys/user/max_user_namespaces", status=1)
    assert found["user namespaces"]["Status"] == "missing"
    assert found["user namespaces"]["Mend"] == "sudo sysctl user.max_user_namespaces=15000"
    assert "ids" not in found
    assert found["linux/amd64" if os.uname().machine == "x86_64" else "linux/arm64"]["Status"] == "ok"


@pytest.mark.parametrize(
    ("options", "name", "status", "words"),
    [
        ("size=2g", "file system", "ok", "tmpfs; overlay works on it"),
        ("size=16m", "store", "limited", "little space left"),
        ("size=2g,noexec", "store", "limited", "mounted noexec"),
    ],
)
def test_file_systems_of_the_store(
    polyarch: Program, tmp_path: Path, options: str, name: str, status: str, words: str
) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    script = f"mount -t tmpfs -o {options} polyarch-tests {shlex.quote(str(place))}"
    row = inside(polyarch, script, status=0, root=place / "store")[name]
    assert row["Status"] == status
    assert words in row["Reason"] + row["Found"]


def test_directories_for_32_bit_programs_are_reported_only_if_the_emulator_cannot_help(
    polyarch: Program, tmp_path: Path
) -> None:
    need("qemu-arm-static")
    if not disk._has_large_offsets(str(tmp_path)):
        pytest.skip(f"{ELSEWHERE}its file system has short offsets")
    assert examined(polyarch)["file system"]["Status"] == "ok"
    # An emulator whose lseek() is not glibc's: cmp rax, -4096 became cmp rax, -4095.
    other = tmp_path / "first" / "qemu-arm-static"
    other.parent.mkdir()
    lseek = emulator_code._LSEEK
    emulator = Path(shutil.which("qemu-arm-static") or "").read_bytes()
    other.write_bytes(emulator.replace(lseek, lseek[:9] + b"\1" + lseek[10:]))
    other.chmod(0o755)
    row = examined(polyarch, env={"PATH": f"{other.parent}:{os.environ['PATH']}"})["file system"]
    assert row["Status"] == "limited"
    assert "find no files in directories" in row["Reason"]
    assert "qemu-user-static" in row["Mend"]


def test_a_store_that_this_user_may_not_write(unprivileged: Person) -> None:
    found = examined(unprivileged.polyarch, status=1, env={"POLYARCH_ROOT": "/usr/polyarch-store"})["store"]
    assert (found["Status"], found["Reason"]) == ("missing", "this user cannot write to /usr")


def test_an_overlay_is_no_place_for_a_store(polyarch: Program, tmp_path: Path) -> None:
    lower, upper, work, merged = (tmp_path / name for name in ("lower", "upper", "work", "merged"))
    for path in (lower, upper, work, merged):
        path.mkdir()
    script = f"mount -t overlay -o userxattr,lowerdir={lower},upperdir={upper},workdir={work} none {merged}"
    row = inside(polyarch, script, status=1, root=merged / "store")["file system"]
    assert (row["Status"], row["Found"]) == ("missing", "overlay")
    assert "cannot store the changes of an overlay" in row["Reason"]


def test_a_registration_of_the_machine_with_its_flags(polyarch: Program) -> None:
    """A table of this namespace stands in for the machine's."""
    need_root()
    need("qemu-aarch64-static")
    line = (
        r":qemu-aarch64:M::\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00"
        r":\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff"
        f":{shutil.which('qemu-aarch64-static')}:OPF"
    )
    code = (
        "import json; from polyarch.sandbox.binfmt import host_registrations as f; "
        "print(json.dumps({name: [e.interpreter, e.flags] for name, e in f().items()}))"
    )
    script = (
        "mount -t binfmt_misc none /proc/sys/fs/binfmt_misc && "
        f'printf "%b" {shlex.quote(line)} > /proc/sys/fs/binfmt_misc/register && '
        f"exec {shlex.quote(str(polyarch.path.parent / 'python'))} -c {shlex.quote(code)}"
    )
    prefix = ("unshare", "--user", "--map-root-user", "--mount", "--", "sh", "-c", script)
    assert run(prefix).json() == {"arm64": [shutil.which("qemu-aarch64-static"), "POF"]}


def test_a_build_that_lacks_something_names_it(polyarch: Program, busybox: str, programs: Path, tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text(f"FROM {busybox}\nRUN true\n")
    words = "'polyarch doctor' shows what this machine can do"
    built = polyarch.fails("build", tmp_path / "context", env={"PATH": str(programs)})
    assert words in built.stderr.splitlines()[-1]
    ran = polyarch.fails("run", "--platform", "linux/s390x", busybox, "true", env={"PATH": str(programs)})
    assert words in ran.stderr.splitlines()[-1]
    several = polyarch.fails(
        *("build", "--keep-going", "--platform", "linux/arm64,linux/s390x", tmp_path / "context"),
        env={"PATH": str(programs)},
    )
    assert words in several.stderr.splitlines()[-1]
    # What crun does where podman's seccomp profile forbids a system call.
    crun = """#!/bin/sh
    for word; do
      [ "$last" = --log ] && echo 'sethostname: Operation not permitted' > "$word"
      last=$word
    done
    exit 1
    """
    (programs / "crun").write_text(crun)
    (programs / "crun").chmod(0o755)
    forbidden = polyarch.fails("build", tmp_path / "context", env={"PATH": f"{programs}:/bin"})
    assert "cannot start /bin/sh: sethostname: Operation not permitted" in forbidden.stderr
    assert words in forbidden.stderr.splitlines()[-1]
    # A mistake that has nothing to do with the machine does not.
    assert words not in polyarch.fails("run", "no-such-image:1", "--pull=never").stderr


def test_registries_are_asked_when_they_are_named(
    polyarch: Program, registry: LocalRegistry, password_registry: LocalRegistry, login: Login
) -> None:
    found = examined(polyarch, registry.address, DOWN, status=1)
    assert found[f"registry {registry.address}"]["Found"] == f"http://{registry.address}, wants no credentials"
    assert found[f"registry {DOWN}"]["Status"] == "missing"
    assert "refused" in found[f"registry {DOWN}"]["Reason"]
    assert found["clock"]["Status"] == "ok"

    name = f"registry {password_registry.address}"
    locked = examined(polyarch, password_registry.address, status=1)[name]
    assert (locked["Status"], locked["Mend"]) == ("missing", f"polyarch login {password_registry.address}")
    polyarch("login", "-u", login.user, "--password-stdin", password_registry.address, stdin=login.password)
    assert "credentials accepted" in examined(polyarch, password_registry.address)[name]["Found"]
    # Without --network, stored credentials are only listed.
    offline = examined(polyarch)
    assert password_registry.address in offline["credentials"]["Found"]
    assert name not in offline
    assert "credentials accepted" in examined(polyarch, "--network")[name]["Found"]

    config = polyarch.home / ".docker/config.json"
    config.write_text(json.dumps({"auths": {password_registry.address: {"auth": "YWRhOndyb25n"}}}))
    refused = examined(polyarch, password_registry.address, status=1)[name]
    assert "credentials refused" in refused["Found"]
    # What was not named is a limitation.
    assert examined(polyarch, "--network")[name]["Status"] == "limited"


def test_credentials_that_cannot_be_read(polyarch: Program) -> None:
    config = polyarch.home / ".docker/config.json"
    config.parent.mkdir()
    config.write_text(json.dumps({"auths": {"registry.invalid": {}}, "credsStore": "nowhere"}))
    found = examined(polyarch)["credentials"]
    assert (found["Status"], found["Found"]) == ("limited", "for registry.invalid")
    assert "docker-credential-nowhere not found" in found["Reason"]
    config.write_text("{")
    assert "is not valid JSON" in examined(polyarch, status=1)["credentials"]["Reason"]


class _Late(http.server.BaseHTTPRequestHandler):
    """A registry whose clock is an hour behind."""

    def do_GET(self) -> None:
        self.send_response_only(200)
        self.send_header("Date", self.date_time_string(int(time.time()) - 3600))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def _serving() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Late)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_clock_that_differs_from_the_registrys(polyarch: Program) -> None:
    with _serving() as address:
        found = examined(polyarch, address)["clock"]
    assert found["Status"] == "limited"
    assert found["Found"].endswith("seconds ahead of the registry's")
    assert 3590 < int(found["Found"].split()[0]) < 3660


def test_a_python_program_gets_the_same(tmp_path: Path, registry: LocalRegistry) -> None:
    environment: Mapping[str, str] = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    # A thread must not keep it from entering a namespace.
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        with Polyarch(tmp_path / "store", environment=environment) as client:
            found = {one.name: one for one in client.doctor(registry.address, platforms="linux/arm64")}
    finally:
        end.set()
        thread.join()
    assert found["user namespaces"].status == "ok"
    assert found[f"registry {registry.address}"] == Diagnosis(
        name=f"registry {registry.address}", status="ok", found=f"http://{registry.address}, wants no credentials"
    )
    assert not (tmp_path / "store").exists()
