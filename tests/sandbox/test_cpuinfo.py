"""/proc/cpuinfo: the text for each platform, and what programs read."""

import os
from pathlib import Path

import pytest

from polyarch.oci.platform import parse
from polyarch.sandbox import File, cpuinfo
from tests import bases
from tests.needs import need
from tests.people import Person
from tests.sandbox.inside import Room, inside


@pytest.mark.parametrize(
    ("platform", "line"),
    [
        ("linux/arm64", "CPU part\t: 0xd0c"),
        ("linux/arm64/v9", "CPU part\t: 0xd0c"),
        ("linux/arm/v8", "CPU architecture: 7"),
        ("linux/arm/v7", "CPU part\t: 0xc07"),
        ("linux/arm/v6", "CPU part\t: 0xb76"),
        ("linux/arm/v5", "CPU architecture: 5TEJ"),
        ("linux/ppc64le", "cpu\t\t: POWER9, altivec supported"),
        ("linux/riscv64", "isa\t\t: rv64imafdc_zicsr_zifencei"),
        ("linux/loong64", "CPU Family\t\t: Loongson-64bit"),
        ("linux/mips64le", "cpu model\t\t: MIPS GENERIC QEMU"),
    ],
)
def test_each_platform_has_its_text_once_for_each_processor(platform: str, line: str) -> None:
    text = (cpuinfo.text(parse(platform), 3) or b"").decode()
    assert text.splitlines().count(line) == 3
    assert [row for row in text.splitlines() if row.startswith("processor")] == [
        row.format(number) for number, row in enumerate([_processor(text)] * 3)
    ]


def _processor(text: str) -> str:
    first = next(row for row in text.splitlines() if row.startswith("processor"))
    return first.replace("0", "{}")


def test_s390x_counts_its_processors_and_amd64_has_no_text() -> None:
    text = (cpuinfo.text(parse("linux/s390x"), 2) or b"").decode()
    assert "# processors    : 2\n" in text
    assert "processor 1: version = 00,  identification = 000001,  machine = 3906\n" in text
    assert cpuinfo.text(parse("linux/amd64"), 2) is None


def _shown(room: Room) -> dict[str, str]:
    read = "grep -c -E '^(processor|CPU part|vendor_id)' /proc/cpuinfo; grep -E 'part|IBM' /proc/cpuinfo | uniq"
    shown = {platform: room.run(read, platform).output for platform in room.bases}
    own = (File("/proc/cpuinfo", b"mine\n"),)
    shown["own"] = room.run("cat /proc/cpuinfo; echo x > /proc/cpuinfo", "linux/arm64", mounts=own).output
    return shown


def test_a_program_reads_the_processor_of_its_platform(someone: Person) -> None:
    need("qemu-aarch64-static", "qemu-arm-static", "qemu-s390x-static")
    count = len(os.sched_getaffinity(0))
    shown = inside(someone, _shown, bases.busybox_tars(["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"]))
    assert shown["linux/arm64"] == f"{2 * count}\nCPU part\t: 0xd0c\n"
    assert shown["linux/arm/v7"] == f"{2 * count}\nCPU part\t: 0xc07\n"
    assert shown["linux/s390x"] == f"{count + 1}\nvendor_id       : IBM/S390\n"
    assert shown["own"].startswith("mine\n")
    if Path("/proc/cpuinfo").read_text().startswith("processor\t: 0\nvendor_id"):
        assert shown["linux/amd64"].startswith(f"{2 * count}\n")
