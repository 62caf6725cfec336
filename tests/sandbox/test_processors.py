"""Which processor an emulated program sees: a value for each platform, and what its steps find."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.errors import UnsupportedError
from polyarch.oci.platform import parse
from polyarch.sandbox import probe, processors
from polyarch.sandbox.settings import RunSettings
from tests import bases
from tests.needs import need
from tests.people import Person
from tests.sandbox.inside import Room, inside


@pytest.mark.parametrize(
    ("platform", "model"),
    [
        ("linux/arm64", "neoverse-n1"),
        ("linux/arm64/v8", "neoverse-n1"),
        ("linux/arm64/v9", ""),
        ("linux/arm", "cortex-a7"),
        ("linux/arm/v6", "arm1176"),
        ("linux/arm/v5", "arm926"),
        ("linux/arm/v8", ""),
        ("linux/ppc64le", "power9"),
        ("linux/riscv64", ""),
        ("linux/s390x", ""),
        ("linux/amd64", ""),
    ],
)
def test_each_platform_has_a_processor_or_leaves_it_to_qemu(platform: str, model: str) -> None:
    assert processors.baseline(parse(platform)) == model


def test_the_last_wish_for_a_platform_counts() -> None:
    options = (("", "default"), ("linux/arm64", "cortex-a53"), ("linux/arm/v7", "cortex-a9"))
    chosen = {name: processors.chosen(parse(name), options) for name in ("linux/arm64/v8", "linux/arm", "linux/s390x")}
    assert chosen == {"linux/arm64/v8": "cortex-a53", "linux/arm": "cortex-a9", "linux/s390x": ""}
    assert processors.chosen(parse("linux/arm64"), ()) is None


_NAMES = st.sampled_from(["arm", "arm64", "ppc64le", "s390x"])


@given(st.lists(st.tuples(_NAMES, st.sampled_from(["", "neoverse-n1", "cortex-a7", "arm926", "x", "y"]))))
def test_a_number_keeps_its_meaning(wanted: list[tuple[str, str]]) -> None:
    answers = processors.Answers()
    numbers = {pair: answers.number(*pair) for pair in wanted}
    for (architecture, model), number in numbers.items():
        assert answers.number(architecture, model) == number
        assert answers.table(architecture)[number] == model
        others = {"arm", "arm64", "ppc64le"} - {architecture} if model else set()
        defaults = {name: processors.baseline(parse(f"linux/{name}")) for name in others}
        assert {name: answers.table(name)[number] for name in others} == defaults


_MACHINE = "uname -m; env -i /bin/uname -m; export QEMU_CPU=max; chroot / /bin/uname -m"


def _machines(room: Room) -> dict[str, list[str]]:
    # Both are programs for ARM, of one architecture, in one namespace.
    room.bases["linux/arm/v6"] = room.bases["linux/arm/v5"]
    wanted = ("linux/arm/v7", "linux/arm/v5", "linux/arm/v6", "linux/arm/v7")
    return {f"{number}: {name}": room.run(_MACHINE, name).output.split() for number, name in enumerate(wanted)}


def test_arm_v5_v6_and_v7_are_machines_of_their_own(someone: Person) -> None:
    need("qemu-arm-static")
    assert inside(someone, _machines, bases.busybox_tars(["linux/arm/v7", "linux/arm/v5"])) == {
        "0: linux/arm/v7": ["armv7l"] * 3,
        "1: linux/arm/v5": ["armv5tel"] * 3,
        "2: linux/arm/v6": ["armv6l"] * 3,
        "3: linux/arm/v7": ["armv7l"] * 3,
    }


def _field(register: int, lowest: int) -> str:
    """A program for arm64 that exits with a field of four bits of an identification register, which programs may read.

    mrs x0, REGISTER; ubfx x0, x0, LOWEST, 4; mov x8, 93; svc 0.
    """
    ubfx = 0xD3400000 | lowest << 16 | (lowest + 3) << 10
    return b"".join(word.to_bytes(4, "little") for word in (register, ubfx, 0xD2800BA8, 0xD4000001)).hex()


_FIELDS = {"SVE": _field(0xD5380400, 32), "atomics": _field(0xD5380600, 20), "AES": _field(0xD5380600, 4)}


def _features(room: Room) -> dict[str, dict[str, int]]:
    lower = room.new("programs")
    for name, code in _FIELDS.items():
        probe.MACHINES["arm64"] = probe.Machine(183, 64, "<", code)
        (lower / name).write_bytes(probe.executable(parse("linux/arm64")) or b"")
        (lower / name).chmod(0o755)
    probe.MACHINES["arm64"] = probe.Machine(183, 64, "<", "000080d2 a80b80d2 010000d4")
    options: dict[str, dict[str, Any]] = {
        "baseline": {},
        "insecure": {"insecure": True},
        "default": {"settings": RunSettings(emulated_cpus=(("linux/arm64", "default"),))},
        "cortex-a53": {"settings": RunSettings(emulated_cpus=(("linux/arm64", "cortex-a53"),))},
        "baseline again": {"settings": RunSettings(emulated_cpus=(("linux/arm", "arm926"),))},
    }
    return {
        option: {name: room.run([f"/{name}"], "linux/arm64", lower, **fields).status for name in _FIELDS}
        for option, fields in options.items()
    }


def test_arm64_has_atomics_and_no_sve_unless_the_options_say_so(
    someone: Person, two_platforms: dict[str, Path]
) -> None:
    need("qemu-aarch64-static")
    found = {
        option: {name: bool(value) for name, value in fields.items()}
        for option, fields in inside(someone, _features, two_platforms).items()
    }
    baseline = {"SVE": False, "atomics": True, "AES": True}
    assert found == {
        "baseline": baseline,
        "insecure": baseline,
        "default": {"SVE": True, "atomics": True, "AES": True},
        "cortex-a53": {"SVE": False, "atomics": False, "AES": True},
        "baseline again": baseline,
    }


def _unknown(room: Room) -> list[str]:
    try:
        room.run("true", "linux/arm64", settings=RunSettings(emulated_cpus=(("", "pentium"),)))
    except UnsupportedError as error:
        return [error.message, error.hint or ""]
    return []


def test_a_processor_that_the_emulator_does_not_have_is_an_error(
    someone: Person, two_platforms: dict[str, Path]
) -> None:
    need("qemu-aarch64-static")
    message, hint = inside(someone, _unknown, two_platforms)
    assert message.endswith("qemu-aarch64-static cannot show the processor pentium")
    assert "-cpu help" in hint
