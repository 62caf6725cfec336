"""Scenarios that happen inside a namespace: each in a process of its own, because entering changes the process.

A scenario is a function of a test module that takes a Room and returns something that JSON can carry:
`inside(person, scenario)` runs it as that person and gives what it returned.
"""

import contextlib
import importlib
import json
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.people import Person

REPOSITORY = Path(__file__).resolve().parents[2]
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Ran(NamedTuple):
    """How a process of a Room ended. `layer` are the paths in the upper directory: what the layer would hold."""

    status: int
    output: str
    layer: list[str]


class Room:
    """A sandbox and the bases of some platforms, unpacked. Made by the script below, once for each scenario."""

    def __init__(self, directory: Path, bases: dict[str, Path], search_path: str) -> None:
        from polyarch.sandbox import Sandbox

        self.directory = directory
        self.bases = bases
        self.scratch = self.new("sandbox")
        self.sandbox = Sandbox(self.scratch, search_path, str(directory / "emulators"))

    def new(self, name: str) -> Path:
        path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.directory))
        path.chmod(0o755)
        return path

    def base(self, platform: str = "linux/amd64") -> Path:
        """The unpacked base of a platform, unpacked now."""
        target = self.directory / platform.replace("/", "-")
        if not target.exists():
            with tarfile.open(self.bases[platform]) as tar:
                # As it is, owners and all; Python 3.12 and later would warn otherwise, 3.11.2 has no `filter`.
                tar.extraction_filter = lambda member, _: member
                tar.extractall(target)
        return target

    @contextlib.contextmanager
    def rootfs(self, *lowers: Path) -> Iterator[tuple[str, Path]]:
        """A mounted root file system and its upper directory."""
        layer = self.new("layer")
        upper, work = layer / "upper", layer / "work"
        upper.mkdir()
        work.mkdir()
        with self.sandbox.rootfs([str(lower) for lower in lowers or (self.base(),)], str(upper), str(work)) as root:
            yield root, upper

    def run(self, command: str | list[str], platform: str = "linux/amd64", *lowers: Path, **fields: Any) -> Ran:
        """One process, a shell's if `command` is text, in a fresh root file system."""
        with self.rootfs(*(lowers or (self.base(platform),))) as (root, upper):
            status, output = self.run_in(root, command, platform, **fields)
        return Ran(status, output, contents(upper))

    def run_in(
        self, root: str, command: str | list[str], platform: str = "linux/amd64", **fields: Any
    ) -> tuple[int, str]:
        from polyarch.oci.platform import parse
        from polyarch.sandbox import Process

        argv = ("/bin/sh", "-c", command) if isinstance(command, str) else tuple(command)
        output: list[bytes] = []
        process = Process(argv=argv, **{"env": ("PATH=/bin",), **fields})
        status = self.sandbox.run(process, root, platform=parse(platform), stdout=output.append, stderr=output.append)
        return status, b"".join(output).decode(errors="replace")


def contents(upper: Path) -> list[str]:
    return sorted(str(path.relative_to(upper)) for path in upper.rglob("*"))


def inside(
    person: Person, scenario: Callable[[Room], Any], bases: dict[str, Path], *, search_path: str = SEARCH_PATH
) -> Any:
    """What `scenario` returns when `person` runs it in a namespace, with the bases of these platforms."""
    place = person.directory / "bases"
    place.mkdir(exist_ok=True)
    for platform, tar in bases.items():
        copied = place / f"{platform.replace('/', '-')}.tar"
        if not copied.exists():
            shutil.copy(tar, copied)
            copied.chmod(0o644)
    name = f"{scenario.__module__}:{scenario.__qualname__}"
    known = {platform: str(place / f"{platform.replace('/', '-')}.tar") for platform in bases}
    done = person.run(
        sys.executable, "-m", __name__, name, search_path, json.dumps(known), str(person.directory), cwd=REPOSITORY
    )
    return json.loads(done.stdout)


def without_emulators(person: Person) -> str:
    """A search path with all that a sandbox needs, but no emulator."""
    only = person.directory / "no-qemu"
    only.mkdir(exist_ok=True)
    for program in ("crun", "setpriv", "unshare", "newuidmap", "newgidmap"):
        (only / program).symlink_to(shutil.which(program, path=SEARCH_PATH) or "")
    return str(only)


def main(name: str, search_path: str, bases: str, directory: str) -> None:
    module, _, function = name.partition(":")
    scenario = getattr(importlib.import_module(module), function)
    from polyarch.sandbox import enter

    enter(search_path)
    place = Path(tempfile.mkdtemp(prefix="room-", dir=directory))
    place.chmod(0o755)
    room = Room(place, {platform: Path(tar) for platform, tar in json.loads(bases).items()}, search_path)
    try:
        with room.sandbox:
            result = scenario(room)
    finally:
        shutil.rmtree(place)
    # Nothing of ours may be mounted any more.
    mounted = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(place) in line]
    assert not mounted, mounted
    print(json.dumps(result))


if __name__ == "__main__":
    assert not os.environ.get("PYTEST_CURRENT_TEST")
    main(*sys.argv[1:])
