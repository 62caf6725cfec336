"""`run --emulated-cpu` and `--emulator`, and the emulators of the configuration."""

import shutil
import signal
from pathlib import Path

import pytest

from tests.needs import need
from tests.program import Program

pytestmark = pytest.mark.integration

_ARM = ("run", "--platform", "linux/arm/v7")


def test_a_program_sees_the_processor_that_is_named(polyarch: Program, busybox: str) -> None:
    need("qemu-arm-static")
    assert polyarch(*_ARM, busybox, "uname", "-m").stdout == "armv7l\n"
    # The program is for ARMv7.
    illegal = polyarch(*_ARM, "--emulated-cpu", "arm926", busybox, "uname", "-m", check=False)
    assert illegal.status == 128 + signal.SIGILL
    refused = polyarch.fails(*_ARM, "--emulated-cpu", "pentium", busybox, "true")
    assert "qemu-arm-static cannot show the processor pentium" in refused.stderr
    assert "-cpu help" in refused.stderr
    assert polyarch.fails(*_ARM, "--emulated-cpu", "a b", busybox, "true").status == 2


def test_an_emulator_is_named_by_the_command_or_by_the_configuration(
    polyarch: Program, busybox: str, tmp_path: Path
) -> None:
    need("qemu-arm-static")
    emulator = tmp_path / "my-emulator"
    shutil.copy(shutil.which("qemu-arm-static") or "", emulator)
    read = "tr '\\0' ' ' < /proc/1/cmdline"
    # Of another process: of its own, the program sees its own words.
    shown = ("sh", "-c", f'sh -c "{read}"; true')
    said = polyarch(*_ARM, "--emulator", f"linux/arm={emulator}", busybox, *shown).stdout
    assert said.startswith(f"{emulator} ")
    missing = polyarch.fails(*_ARM, "--emulator", f"linux/arm={tmp_path}/absent", busybox, "true")
    assert f"there is no emulator {tmp_path}/absent" in missing.stderr
    config = Path(polyarch.env["HOME"]) / ".config/polyarch/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f'[emulators]\n"linux/arm" = "{emulator}"\n')
    assert polyarch(*_ARM, busybox, *shown).stdout.startswith(f"{emulator} ")
    assert f"emulated by {emulator}" in polyarch("platforms", "linux/arm/v7").stdout
    config.write_text('[emulators]\n"linux/arm" = "relative"\n')
    assert "is not an absolute path" in polyarch.fails("platforms").stderr
