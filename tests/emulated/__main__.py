"""`make emulated`: measures again what programs do under the emulators of this machine, and compares it with the table.

python -m tests.emulated [--emulators DIRECTORY] [NAME…]

It makes one image of Debian for linux/amd64, linux/arm64 and linux/arm/v7 and runs each script of rows.toml on each. As
root, in some ten minutes the first time.
"""

import argparse
import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from polyarch.render import tables
from polyarch.sandbox.emulators import QEMU, find
from polyarch.sandbox.versions import version
from scripts import busybox, debian_root
from tests.apps.bases import settings
from tests.emulated.rows import Row, rows
from tests.program import Result, run

CONTROL = "linux/amd64"
PLATFORMS = ("linux/arm64", "linux/arm/v7")
_HERE = Path(__file__).parent
# Another Dockerfile makes another image.
IMAGE = f"polyarch-emulated:{hashlib.sha256((_HERE / 'Dockerfile').read_bytes()).hexdigest()[:12]}"
_SECONDS = 300.0


class Machine:
    """Polyarch, on a store in the cache, with the emulators of a search path."""

    def __init__(self, search_path: str) -> None:
        cache = busybox.cache_directory()
        home = cache / "emulated-home"
        home.mkdir(exist_ok=True)
        self._environment: Mapping[str, str] = {
            "PATH": search_path,
            "HOME": str(home),
            "POLYARCH_ROOT": str(cache / "emulated-store"),
        }
        self._cache = cache

    def __call__(self, *arguments: str | Path, seconds: float = _SECONDS, check: bool = True) -> Result:
        program = Path(sys.executable).parent / "polyarch"
        return run([program, *arguments], env=self._environment, seconds=seconds, check=check)

    def make_image(self) -> None:
        """Build the image, unless it is there."""
        if self("inspect", "--platform", PLATFORMS[-1], IMAGE, check=False).status == 0:
            return
        for platform in (CONTROL, *PLATFORMS):
            self("import", "--platform", platform, debian_root.installed(platform, self._cache), "debian-root")
        with tempfile.TemporaryDirectory(prefix="polyarch-emulated-") as scratch:
            context = f"--build-context=machine={settings(Path(scratch))}"
            words = ("build", f"--platform={','.join((CONTROL, *PLATFORMS))}", f"--tag={IMAGE}", context)
            self(*words, _HERE, seconds=3600.0)

    def run(self, row: Row, platform: str) -> Result:
        """Run the script of a row in a new container."""
        script = f"cd $(mktemp -d)\n{row.script}"
        return self("run", "--rm", "--platform", platform, IMAGE, "bash", "-c", script, check=False)


def verdict(row: Row, native: Result, emulated: Result) -> str:
    """How the emulated run compares with the native one, which succeeded."""
    if emulated.status == 0:
        return "works" if emulated.stdout == native.stdout else "wrong"
    said = emulated.stdout + emulated.stderr
    return "refuses" if row.refusal and re.search(row.refusal, said) else "fails"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.emulated")
    parser.add_argument("name", nargs="*", help="which rows (default: all)")
    parser.add_argument("--emulators", metavar="DIRECTORY", help="look for emulators there first")
    chosen = parser.parse_args(arguments)
    path = ":".join(filter(None, [chosen.emulators, os.environ["PATH"]]))
    machine = Machine(path)
    machine.make_image()
    versions = {}
    for platform in PLATFORMS:
        found = find(platform.split("/")[1], path)
        if found is None:
            print(f"no emulator for {platform} (qemu-{QEMU[platform.split('/')[1]]}-static)", file=sys.stderr)
            return 1
        versions[platform] = ".".join(version(found).rpartition(" ")[2].split(".")[:2])
    changed, lines = [], []
    for row in rows():
        if chosen.name and row.name not in chosen.name:
            continue
        native = machine.run(row, CONTROL)
        assert native.status == 0, str(native)
        cells = []
        for platform in PLATFORMS:
            ran = machine.run(row, platform)
            cell = verdict(row, native, ran)
            known = row.seen.get(versions[platform], "works")
            if cell != known:
                changed.append(f"{row.name}, {platform}: {cell}, and not {known}\n{native}\n{ran}")
            cells.append(cell)
        lines.append((row.name, *cells))
        print(*lines[-1], sep=" | ", flush=True)
    print()
    print(tables.render(("PROGRAM", *(f"{name} (qemu {versions[name]})" for name in PLATFORMS)), lines))
    for each in changed:
        print(f"CHANGED: {each}\n")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
