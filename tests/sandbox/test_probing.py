"""Programs of system calls for every architecture, and what they find on this machine."""

import json
import os
import re
import shutil
import time
from pathlib import Path

import pytest

from polyarch.cli.commands.platforms import table
from polyarch.oci.platform import parse
from polyarch.sandbox import binfmt, emulation, probe, support
from polyarch.sandbox.emulation import Support
from polyarch.sandbox.host import host_platform
from polyarch.sandbox.probing import examination, execution, numbers, probes, startup
from polyarch.sandbox.probing.program import Program, Word
from tests.needs import missing, need
from tests.people import Person
from tests.program import Program as Command
from tests.sandbox.inside import SEARCH_PATH, Room, inside

# Every architecture that qemu 7.2 emulates, one for each way to encode instructions.
EMULATED = ["arm", "arm64", "mips64", "mips64le", "ppc64", "ppc64le", "riscv64", "s390x"]

_EMULATORS = [f"qemu-{name}-static" for name in ("arm", "aarch64", "mips64", "mips64el", "ppc64", "ppc64le", "s390x")]


def _programs(room: Room) -> dict[str, list[object]]:
    """For each architecture: what its C library would miss, and the status of a program that ends itself with 3."""
    emulation.register_all(SEARCH_PATH)
    found: dict[str, list[object]] = {}
    for architecture in EMULATED:
        program = Program(parse(architecture))
        # A jump over code, a value through memory, a negative value and a large one.
        program.call("getpid", keep="self")
        program.jump_unless_zero("after")
        program.call("exit_group", 1)
        program.label("after")
        program.call("kill", Word(program.result("self")), 0, keep="kill")
        program.call("close", -1, keep="close")
        program.call("personality", 0x7FFFFFFF, keep="personality")
        program.report()
        done = execution.execute(program.image())
        assert done is not None
        results = program.results(done.output)
        values = [results[name] for name in ("kill", "close")]
        found[architecture] = [startup.missing(parse(architecture)), done.status, results["self"] > 0, values]
    return found


def test_programs_of_every_architecture_do_what_they_say(someone: Person) -> None:
    need(*_EMULATORS)
    found = inside(someone, _programs, {})
    assert found == {architecture: ["", 0, True, [0, -9]] for architecture in EMULATED}


@pytest.mark.parametrize("architecture", ["amd64", "386"])
def test_native_programs_do_what_they_say(architecture: str) -> None:
    if host_platform().architecture != "amd64":
        pytest.skip("for amd64")
    assert startup.missing(parse(architecture)) == ""


def test_loong64_needs_an_emulator_that_has_its_vector_instructions() -> None:
    need("qemu-loongarch64-static")
    (found,) = support([parse("loong64")], SEARCH_PATH)
    if found.how == "emulated":
        pytest.skip("this qemu is newer than 7.2")
    assert found.how == "missing"
    assert "they end with SIGILL; programs for loong64 need qemu 10.0 or later" in found.hint


def test_what_a_library_misses_is_named() -> None:
    platform = host_platform()
    made = startup.program(platform)
    done = execution.execute(made.image())
    assert done is not None
    assert startup._absent(made.results(done.output)) == ()
    assert startup._absent(made.results(b"")) == ("they do not start",)
    offset, size = made._places["statx"]
    raw = bytearray(done.output)
    start = done.output.index(b"results of a probe\0") + len(b"results of a probe\0") + offset
    raw[start : start + size] = (-38).to_bytes(size, "little" if made.machine.order == "<" else "big", signed=True)
    assert startup._absent(made.results(bytes(raw))) == ("no statx",)


def test_a_program_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "_MILLISECONDS", 100)
    program = Program(host_platform())
    program.label("again")
    program.jump("again")
    before = time.monotonic()
    done = execution.execute(program.image())
    assert done is not None
    assert done.status == -9
    assert time.monotonic() - before < 5
    assert execution.execute(b"\x7fELF no program") is None


def _headers() -> dict[str, str]:
    """The text of the kernel's headers on this machine, by architecture."""
    known = {
        "amd64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
        "386": "/usr/include/x86_64-linux-gnu/asm/unistd_32.h",
        "arm64": "/usr/include/asm-generic/unistd.h",
        "arm": "/usr/arm-linux-gnueabihf/include/asm/unistd-common.h",
        "ppc64": "/usr/powerpc64le-linux-gnu/include/asm/unistd_64.h",
        "s390x": "/usr/s390x-linux-gnu/include/asm/unistd_64.h",
        "mips64": "/usr/mips64el-linux-gnuabi64/include/asm/unistd_n64.h",
    }
    return {name: Path(path).read_text() for name, path in known.items() if Path(path).exists()}


def test_numbers_are_those_of_the_kernels_headers() -> None:
    found = _headers()
    if not found:
        missing("needs the headers of the kernel: linux-libc-dev")
    compared = 0
    for architecture, text in found.items():
        listed = {
            name.removeprefix("3264_"): int(number)
            for name, number in re.findall(r"#define __NR_?(\w+?)\s+\(?(?:__NR_\w+\s*\+\s*)?(\d+)\)?", text)
        }
        base = 5000 if architecture == "mips64" else 0
        names = {"mmap": "mmap2", "utimensat": "utimensat_time64", "geteuid": "geteuid32", "setuid": "setuid32"}
        for name, number in numbers.CALLS[architecture].items():
            real = names.get(name, name) if architecture in ("386", "arm") else name
            if real in listed:
                assert number == base + listed[real], (architecture, name)
                compared += 1
    assert compared > 40


def examined(room: Room) -> list[dict[str, str]]:
    """What the probes of two emulated platforms, and of this one, found: the words by the name of the probe."""
    directory = room.new("probes")
    directory.joinpath("sandbox").mkdir()
    found = []
    for platform in (host_platform(), parse("arm64"), parse("linux/arm/v7")):
        support = Support(platform, "native" if platform == host_platform() else "emulated")
        one = examination._one(support, room.sandbox, directory)
        assert not one.reason, one.reason
        found.append({finding.probe: finding.differs for finding in one.findings})
    return found


def test_probes_find_what_is_known_of_qemu(someone: Person) -> None:
    need("qemu-aarch64-static", "qemu-arm-static")
    native, arm64, arm = inside(someone, examined, {})
    names = {each.name for each in probes.PROBES}
    assert set(native) == {each.name for each in probes.PROBES if not each.bits and not each.foreign}
    assert set(arm64) == names - {"directories", "large files"}
    assert set(arm) == names
    # Natively, nothing differs but what the sandbox refuses.
    assert {name for name, differs in native.items() if differs} <= {"personality", "newer calls"}
    for found in (arm64, arm):
        works = ("threads", "signals", "setuid", "2038", "JIT")
        assert [found[name] for name in works] == [""] * len(works)
        assert found["vfork"] == "is fork"
        assert found["ptrace"] == found["robust mutexes"] == "is not implemented"
        assert found["memory limits"] == "RLIMIT_AS is accepted and not kept"


def _without_the_flag_c(room: Room) -> list[str]:
    """What the probe of setuid says with our registration, and with one that has Debian's flags."""
    directory = room.new("probes")
    platform = Support(parse("arm64"), "emulated")
    found = []
    for line in ("", "FPO"):
        if line:
            assert emulation._table is not None
            magic, mask = ("".join(f"\\x{byte:02x}" for byte in part) for part in probe.pattern("arm64"))
            register = os.open("register", os.O_WRONLY, dir_fd=emulation._table._directory)
            os.write(register, f":debian:M::{magic}:{mask}:{shutil.which('qemu-aarch64-static')}:{line}".encode())
            os.close(register)
        one = examination._one(platform, room.sandbox, directory)
        found += [finding.differs for finding in one.findings if finding.probe == "setuid"]
    return found


def test_a_registration_with_debians_flags_is_found_to_lose_setuid(someone: Person) -> None:
    need("qemu-aarch64-static")
    assert inside(someone, _without_the_flag_c, {}) == ["", "a setuid program keeps the caller's id"]


@pytest.mark.parametrize(("flags", "word"), [("OPF", "without the flag C"), ("OCPF", "")])
def test_platforms_name_what_the_hosts_registration_lacks(
    monkeypatch: pytest.MonkeyPatch, flags: str, word: str
) -> None:
    registered = {"arm64": binfmt.Registration("/usr/libexec/qemu-binfmt/aarch64-binfmt-P", flags)}
    monkeypatch.setattr(emulation, "host_registrations", lambda: registered)
    monkeypatch.setattr(emulation, "runs_natively", lambda _: False)
    monkeypatch.setattr(emulation, "_runs", lambda _: True)
    monkeypatch.setattr(emulation, "_cannot_start", lambda _: "")
    found = emulation._without_a_table(parse("arm64"), "Linux before 6.7")
    assert (found.how, found.emulator) == ("emulated", "/usr/libexec/qemu-binfmt/aarch64-binfmt-P")
    assert found.hint.startswith(word)
    assert bool(found.hint) == bool(word)
    assert ("setuid programs (sudo, su) keep the caller's id" in table([found])) == bool(word)


def test_a_probe_that_did_not_run_or_was_killed_is_no_success() -> None:
    native = Support(host_platform(), "native")
    program = examination.built(native)
    silent = examination.findings(native, program.results(b""))
    assert {finding.differs for finding in silent} == {"could not be tried"}
    assert all(finding.hint for finding in silent)


def test_every_probe_has_a_name_of_its_own_and_advice() -> None:
    assert len({each.name for each in probes.PROBES}) == len(probes.PROBES)
    assert all(each.hint and not each.hint.endswith(".") for each in probes.PROBES)


def test_code_that_is_too_long_for_the_file_is_an_error() -> None:
    with pytest.raises(ValueError, match="too much code"):
        probe.image(probe.MACHINES["amd64"], bytes(0x9000), b"data")


@pytest.mark.integration
def test_the_command_shows_them_in_a_table_and_as_json(polyarch: Command) -> None:
    host = str(host_platform())
    (row,) = json.loads(polyarch("platforms", "--probe", "--json", host).stdout)
    assert (row["Platform"], row["How"], row["Reason"]) == (host, "native", "")
    assert {"threads", "signals", "setuid", "vfork"} <= {each["Name"] for each in row["Probes"]}
    lines = polyarch("platforms", "--probe", host, "linux/sparc64").lines()
    assert lines[0].split() == ["PLATFORM", "AS", "EXPECTED", "HOW"]
    assert re.fullmatch(rf"{host} +\d+ of \d+ +native", lines[1])
    assert re.fullmatch(r"linux/sparc64 +- +missing: no emulator exists for it", lines[2])
    assert not polyarch.root.exists()
    refused = polyarch("platforms", "--json", "--format", "{{.How}}", check=False)
    assert refused.status == 2
    assert "--json and --format exclude each other" in refused.stderr
