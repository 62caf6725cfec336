"""What a 32-bit platform sees of a 64-bit machine that runs its programs natively, and personality(2) in a RUN."""

import errno
import platform
import shutil
import struct
from pathlib import Path

import pytest

from polyarch.oci.platform import parse
from polyarch.sandbox import probe, spec
from polyarch.sandbox.account import Account
from polyarch.sandbox.container import is_32_bit_here
from polyarch.sandbox.emulation import Support
from polyarch.sandbox.process import Process
from tests import bases
from tests.needs import ELSEWHERE, need
from tests.people import Person
from tests.sandbox.inside import SEARCH_PATH, Room, inside

pytestmark = pytest.mark.integration

if platform.machine() != "x86_64":
    pytest.skip(f"{ELSEWHERE}it runs no linux/386", allow_module_level=True)


def _search_path(someone: Person, runtime: str) -> str:
    """A search path that has only one of crun and runc."""
    need(runtime)
    only = someone.directory / runtime
    only.mkdir()
    for program in (runtime, "setpriv", "unshare", "setarch", "newuidmap", "newgidmap"):
        (only / program).symlink_to(shutil.which(program, path=SEARCH_PATH) or "")
    return str(only)


def _machines(room: Room) -> list[str]:
    return [room.run("uname -m", wanted).output for wanted in ("linux/386", "linux/amd64", "linux/386")]


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_386_step_runs_on_an_i686(someone: Person, runtime: str) -> None:
    known = bases.busybox_tars(["linux/amd64", "linux/386"])
    found = inside(someone, _machines, known, search_path=_search_path(someone, runtime))
    assert found == ["i686\n", "x86_64\n", "i686\n"]


def _config(found: Support) -> dict[str, object]:
    process = Process(argv=("true",))
    ids = spec.Ids(0, 0, setgroups=False)
    linux32 = is_32_bit_here(found)
    config = spec.config(
        process, "/", Account(0, 0, (), "/"), (), architecture="arm64", ids=ids, host_sys="/sys", annotations={},
        linux32=linux32,
    )  # fmt: skip
    linux: dict[str, object] = config["linux"]
    return linux


def test_arm_v7_on_an_arm64_machine_gets_the_same_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyarch.sandbox.container.host_platform", lambda: parse("linux/arm64"))
    native, emulated = Support(parse("linux/arm/v7"), "native"), Support(parse("linux/386"), "emulated", "/qemu-i386")
    assert _config(native)["personality"] == {"domain": "LINUX32"}
    assert "personality" not in _config(emulated)
    assert "personality" not in _config(Support(parse("linux/arm64"), "native"))


def _personalities(room: Room) -> dict[str, int]:
    statuses = {}
    for wanted in (0, 8, 0x40000, 0x40008, 0x400000, 0x20000000):
        # mov edi, WANTED; mov eax, 135 (personality); syscall; mov edi, eax; mov eax, 60 (exit); syscall: the exit
        # status is the personality before, 0, or the number of an error, negated.
        number = struct.pack("<I", wanted).hex()
        probe.MACHINES["amd64"] = probe.Machine(62, 64, "<", f"bf{number} b887000000 0f05 89c7 b83c000000 0f05")
        lower = room.new("programs")
        (lower / "program").write_bytes(probe.executable(parse("linux/amd64")) or b"")
        (lower / "program").chmod(0o755)
        statuses[hex(wanted)] = room.run(["/program"], "linux/amd64", lower).status
    return statuses


def test_a_program_may_ask_for_fixed_addresses_and_not_for_weaker_protection(
    someone: Person, amd64: dict[str, Path]
) -> None:
    # ADDR_NO_RANDOMIZE is allowed with both domains. READ_IMPLIES_EXEC and an unknown flag are refused, as by docker.
    refused = 256 - errno.EPERM
    found = inside(someone, _personalities, amd64)
    assert found == dict.fromkeys(("0x0", "0x8", "0x40000", "0x40008"), 0) | dict.fromkeys(
        ("0x400000", "0x20000000"), refused
    )
