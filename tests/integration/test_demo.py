"""`make demo` runs to its end and prints the right table."""

import os
import sys
from pathlib import Path

import pytest

from tests.needs import need
from tests.program import run

_REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(300)
def test_the_demo_takes_one_image_for_four_platforms_to_a_registry_and_back(busybox_tars: dict[str, Path]) -> None:
    need("crun", "skopeo", "qemu-s390x-static")
    shown = run([sys.executable, "-m", "scripts.demo"], cwd=_REPOSITORY, env=dict(os.environ), seconds=250).stdout
    tested, pushed = (shown.index(f"$ polyarch {word} ") for word in ("test", "push"))
    assert tested < pushed
    passed = [line.split()[0] for line in shown[tested:pushed].splitlines() if " passed " in line]
    assert sorted(set(passed)) == ["linux/amd64", "linux/arm/v7", "linux/arm64", "linux/s390x"]
    assert len(passed) == 12
    table = [line.split() for line in shown.split("── All of it")[1].splitlines() if line.startswith("linux/")]
    ran = {row[0]: row[-3:] for row in table}
    assert ran == {
        "linux/amd64": ["x86_64", "x86_64", "yes"],
        "linux/arm64": ["aarch64", "aarch64", "yes"],
        "linux/arm/v7": ["armv7l", "armv7l", "yes"],
        "linux/s390x": ["s390x", "s390x", "yes"],
    }
