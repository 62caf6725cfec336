"""Schedulers, members and `farm status`, as real processes on loopback."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from polyarch.version import VERSION
from tests.farm.farms import Farm, farm, free_port, until
from tests.program import Program


def test_status_shows_members_with_their_platforms_load_and_version(shared_farm: Farm) -> None:
    assert "has no members" in shared_farm.polyarch("farm", "status", env=shared_farm.env).stdout
    member = shared_farm.member("alpha", "--slots", "2")
    (row,) = until(lambda: shared_farm.status()["Members"], "a member")
    native = shared_farm.polyarch("platforms").stdout.splitlines()
    expected = [line.split()[0] for line in native[1:] if line.split()[1] == "native"]
    assert row["Native"] == expected
    assert row["Emulated"] == []
    assert (row["Name"], row["Slots"], row["Busy"], row["Version"]) == ("alpha", 2, 0, VERSION)
    assert row["Usable"]
    assert abs(row["Clock"]) < 2
    assert row["Speed"] > 0
    # A farm on one machine is not offered to the network.
    assert all(address.startswith("tls://127.0.0.1:") for address in row["Addresses"])
    shown = shared_farm.polyarch("farm", "status", env=shared_farm.env).stdout
    assert "alpha" in shown
    assert "0/2" in shown
    assert member.end() == 130
    until(lambda: not shared_farm.status()["Members"], "the member to leave")


def test_a_member_offers_emulated_platforms_if_it_is_told_to(shared_farm: Farm) -> None:
    emulated = [
        line.split()[0]
        for line in shared_farm.polyarch("platforms").stdout.splitlines()[1:]
        if line.split()[1] == "emulated"
    ]
    if not emulated:
        pytest.skip("no emulator is installed")
    member = shared_farm.member("emulates", "--platform", emulated[0])
    (row,) = until(lambda: shared_farm.status()["Members"], "a member")
    assert row["Native"] == []
    assert [one["Platform"] for one in row["Emulated"]] == [emulated[0]]
    assert row["Emulated"][0]["Emulator"].startswith("qemu")
    member.end()


def test_a_platform_that_cannot_run_is_refused_before_joining(shared_farm: Farm) -> None:
    said = shared_farm.polyarch.fails("farm", "worker", "--platform", "windows/amd64", env=shared_farm.env).stderr
    assert "this machine cannot run windows/amd64" in said


def test_certificates_of_another_authority_are_named(shared_farm: Farm, tmp_path: Path) -> None:
    polyarch = shared_farm.polyarch
    polyarch("farm", "init", tmp_path / "other")
    other = {**shared_farm.env, "POLYARCH_FARM_CERT": str(tmp_path / "other")}
    for command in (("farm", "status"), ("farm", "worker", "--slots", "1")):
        said = polyarch.fails(*command, env=other).stderr
        assert "the certificates are not of the same authority" in said, said


def test_a_port_that_is_not_a_farms_is_named(shared_farm: Farm) -> None:
    nothing = {**shared_farm.env, "POLYARCH_FARM": f"tls://127.0.0.1:{free_port()}"}
    assert "nothing listens there" in shared_farm.polyarch.fails("farm", "status", env=nothing).stderr
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = "import socket, sys; server = socket.socket(fileno=int(sys.argv[1]))\nwhile True:\n"
        code += "    there, _ = server.accept(); there.sendall(b'220 mail\\r\\n'); there.close()"
        descriptor = server.fileno()
        speaker = subprocess.Popen([sys.executable, "-c", code, str(descriptor)], pass_fds=(descriptor,))
        try:
            port = server.getsockname()[1]
            plain = {**shared_farm.env, "POLYARCH_FARM": f"tls://127.0.0.1:{port}"}
            assert "does not speak TLS" in shared_farm.polyarch.fails("farm", "status", env=plain).stderr
        finally:
            speaker.kill()
            speaker.wait()


def test_a_farm_must_be_named_and_have_certificates(program: Program, tmp_path: Path) -> None:
    assert "no farm is named" in program.fails("farm", "status").stderr
    said = program.fails("farm", "status", "tls://127.0.0.1:1", "--farm-cert", tmp_path / "none").stderr
    assert "no certificate at" in said
    assert "--insecure" in program.fails("farm", "status", "tcp://127.0.0.1:1").stderr


def test_members_find_a_scheduler_that_comes_back(own_farm: Farm) -> None:
    member = own_farm.member("steady")
    assert own_farm.scheduler.end() == 130
    member.waits_for("has lost the scheduler")
    own_farm.start_scheduler()
    until(lambda: [row["Name"] for row in own_farm.status()["Members"]] == ["steady"], "the member to be back")


def test_a_worker_process_that_is_killed_is_started_again(own_farm: Farm) -> None:
    member = own_farm.member("steady")
    children = Path(f"/proc/{member.process.pid}/task/{member.process.pid}/children").read_text().split()
    for child in children:
        subprocess.run(["kill", "-KILL", child], check=True)
    member.waits_for("it starts again")
    until(lambda: member.said.count("steady is a member") == 2, "the member to be back")


def test_worker_processes_end_with_the_process_that_started_them(own_farm: Farm) -> None:
    member = own_farm.member("steady", "--slots", "2")
    children = Path(f"/proc/{member.process.pid}/task/{member.process.pid}/children").read_text().split()
    assert len(children) == 2
    member.end(signal.SIGKILL)
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in children), "the processes to end", 10)


def test_a_scheduler_that_is_interrupted_ends_as_other_commands_do(own_farm: Farm) -> None:
    scratch = own_farm.directory / "scratch"
    assert list(scratch.iterdir()) != []
    assert own_farm.scheduler.end(signal.SIGINT) == 130
    assert list(scratch.iterdir()) == []


def test_the_name_of_another_member_is_refused(own_farm: Farm) -> None:
    own_farm.member("steady")
    said = own_farm.polyarch.fails("farm", "worker", "--name", "steady", "--slots", "1", env=own_farm.env).stderr
    assert "has a member named steady already" in said


def test_a_scheduler_without_tls_must_be_asked_for(program: Program, tmp_path: Path) -> None:
    said = program.fails("farm", "scheduler", "--listen", f"127.0.0.1:{free_port()}").stderr
    assert "no certificate at" in said


def test_a_port_that_is_taken_is_named(shared_farm: Farm) -> None:
    listen = shared_farm.address.partition("://")[2]
    said = shared_farm.polyarch.fails("farm", "scheduler", "--listen", listen, env=shared_farm.env).stderr
    assert f"cannot listen on {listen}: Address already in use\n" in said
    said = shared_farm.polyarch.fails("farm", "scheduler", "--listen", "127.0.0.1:x", env=shared_farm.env).stderr
    assert "is not HOST:PORT" in said


def test_only_the_commands_of_a_farm_import_dask() -> None:
    code = "import sys, polyarch.cli.commands.program as p, polyarch.cli.commands.farm, polyarch.cli.commands.build\n"
    code += "import polyarch.farm.worker, polyarch.farm.report, polyarch.farm.table, polyarch.farm.addresses\n"
    code += "print([name for name in ('dask', 'distributed', 'tornado', 'asyncio') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_farm_fixture_closes_its_processes(program: Program, tmp_path: Path) -> None:
    with farm(program, tmp_path / "farm") as opened:
        member = opened.member("one")
    assert member.process.poll() is not None
    assert opened.scheduler.process.poll() is not None
