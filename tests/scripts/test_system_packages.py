"""How `make` installs missing packages, on a machine with none of them and an apt-get that may fail."""

import os
import re
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.program import Result, run

_SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "system_packages.sh"
_TOOLS = "bash awk cat chmod cut dirname env grep head id mktemp printf rm sed sleep tail tr"

# Installs a package as an empty program of the name that the script looks for. STATE/broken lists what it cannot do.
_APT_GET = """#!/bin/bash
echo "apt-get $*" >> STATE/log
packages=() verb=
while [[ $# -gt 0 ]]; do
  case $1 in
    -o) shift ;;
    -*) ;;
    update|install) verb=$1 ;;
    *) packages+=("$1") ;;
  esac
  shift
done
if grep -qx "$verb" STATE/broken; then echo "E: the mirror is in mid-sync"; exit 100; fi
for package in "${packages[@]}"; do
  if grep -qx "$package" STATE/broken; then echo "E: no $package"; exit 100; fi
done
declare -A programs=([qemu-user]=qemu-s390x [uidmap]=newuidmap)
for package in "${packages[@]}"; do
  program=${programs[$package]:-$package}
  printf '#!/bin/sh\\n' > "BIN/$program"; chmod +x "BIN/$program"
done
"""
# qemu-user-static is a name that this distribution no longer has.
_APT_CACHE = """#!/bin/bash
[[ $2 == qemu-user-static ]] && exit 0
printf '%s:\\n  Candidate: 1.0\\n' "$2"
"""


class Machine:
    """A PATH with basic tools and a fake apt; the real machine is not changed."""

    def __init__(self, directory: Path) -> None:
        self.bin = directory / "bin"
        self.bin.mkdir()
        for tool in _TOOLS.split():
            found = shutil.which(tool)
            assert found, tool
            (self.bin / tool).symlink_to(found)
        (self.bin / "sleep").unlink()
        self.log = directory / "log"
        self.broken = directory / "broken"
        self.broken.write_text("")
        for name, text in {"apt-get": _APT_GET, "apt-cache": _APT_CACHE, "sleep": "#!/bin/sh\n"}.items():
            self.program(name, text.replace("STATE", str(directory)).replace("BIN", str(self.bin)))

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def setup(self) -> Result:
        return run([_SCRIPT, "demo"], check=False, env={"PATH": str(self.bin), "PYTHON": sys.executable, "LANG": "C"})


@pytest.fixture
def machine(tmp_path: Path) -> Callable[[], Machine]:
    return lambda: Machine(tmp_path)


@pytest.fixture(autouse=True)
def _as_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("the script would ask for sudo")


def test_what_is_missing_is_said_and_installed(machine: Callable[[], Machine]) -> None:
    fresh = machine()
    done = fresh.setup()
    assert done.status == 0, str(done)
    assert "  skopeo             a second witness" in done.stdout
    assert "skopeo" in fresh.log.read_text()
    again = fresh.setup()
    assert (again.status, again.stdout) == (0, "")


def test_a_name_that_the_distribution_no_longer_has_gives_way_to_the_new_one(machine: Callable[[], Machine]) -> None:
    fresh = machine()
    fresh.setup()
    assert (fresh.bin / "qemu-s390x").exists()
    assert "qemu-user-static" not in fresh.log.read_text()


def test_an_update_that_fails_does_not_stop_what_can_be_installed(machine: Callable[[], Machine]) -> None:
    fresh = machine()
    fresh.broken.write_text("update\n")
    done = fresh.setup()
    assert done.status == 0, str(done)
    assert "E: the mirror is in mid-sync" in done.stdout
    assert fresh.log.read_text().count(" update") == 3


def test_one_package_that_cannot_be_had_is_named_and_the_others_are_installed(machine: Callable[[], Machine]) -> None:
    fresh = machine()
    fresh.broken.write_text("skopeo\n")
    done = fresh.setup()
    assert done.status == 1
    assert "Still missing: skopeo" in done.stderr
    assert (fresh.bin / "newuidmap").exists()


def test_without_apt_the_packages_are_named(machine: Callable[[], Machine]) -> None:
    bare = machine()
    (bare.bin / "apt-get").unlink()
    done = bare.setup()
    assert done.status == 1
    assert "neither Debian nor Ubuntu" in done.stderr
    assert "skopeo" in done.stderr


# What every Debian has.
_EVERYWHERE = {"apt-get", "dpkg", "dpkg-deb", "python3", "setpriv", "tar", "unshare", "useradd"}


def test_every_program_that_a_test_needs_is_installed_by_make_test() -> None:
    tests = Path(__file__).resolve().parents[1]
    needed = {
        name
        for file in tests.rglob("*.py")
        for call in re.findall(r"\bneed\(([^)]*)\)", file.read_text(encoding="utf-8"))
        for name in re.findall(r'"([^"]+)"', call)
    }
    rows = re.findall(r"^(?:demo|test)\|([^|]*)\|", _SCRIPT.read_text(encoding="utf-8"), re.MULTILINE)
    installed = {mark.partition(":")[2] for row in rows for mark in row.split(",")}
    # The package of one emulator has them all.
    emulators = {name for name in needed if name.startswith("qemu-")} if "qemu-s390x-static" in installed else set()
    assert needed - emulators - _EVERYWHERE - installed == set()
