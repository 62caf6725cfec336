"""`make readers`: gives a real layer to every reader, and prints a row for each as docs/reference/layers.md has it.

It needs the packages of scripts/system_packages.sh readers, and installs those of PyPI and npm that are listed beside
this file into a directory of the cache.
"""

import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from pathlib import Path

from tests import bases
from tests.layers.readers import browsers, running
from tests.layers.readers.layer import RealLayer, make
from tests.layers.readers.readers import GZIP, HERE, ZSTD

_CACHE = Path.home() / ".cache/polyarch-readers"


def main() -> int:
    """Run all readers; 1 if one of them did not read everything."""
    places = _installed()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="readers-") as scratch:
        layer = make(bases.debian_tar("linux/amd64"), Path(scratch))
        for title, question in _questions(layer, places, Path(scratch)):
            try:
                wanted, found = question()
                wrong = "" if found == wanted else f"{found} instead of {wanted}"
            except (AssertionError, subprocess.SubprocessError) as error:
                wrong = str(error) or type(error).__name__
            failed += bool(wrong)
            print(f"| {title} | {'whole' if not wrong else wrong.strip().splitlines()[-1]} |", flush=True)
    return 1 if failed else 0


def _questions(
    layer: RealLayer, places: dict[str, str], scratch: Path
) -> list[tuple[str, Callable[[], tuple[object, object]]]]:
    """Each reader's row, and what gives the right answer and the reader's."""
    tar = layer.expected["tar"]
    found: list[tuple[str, Callable[[], tuple[object, object]]]] = []
    for kind, readers in (("gzip", GZIP), ("zstd", ZSTD)):
        blob, descriptor = layer.blobs[kind], layer.descriptors[kind]
        found += [
            (
                f"{kind} | {one.name}",
                lambda one=one, blob=blob: (layer.expected[one.output], running.read(one, blob, places)),  # type: ignore[misc]
            )
            for one in readers
        ]
        for browser in browsers.BROWSERS:
            profile = scratch / f"{browser}-{kind}"
            profile.mkdir()
            found.append(
                (
                    f"{kind} | {browser}",
                    lambda b=browser, k=kind, blob=blob, p=profile: (tar, browsers.digest(b, blob, k, p)),  # type: ignore[misc]
                )
            )
        image = scratch / f"skopeo-{kind}"
        image.mkdir()
        found.append(
            (
                f"{kind} | skopeo (Go)",
                lambda d=descriptor, blob=blob, i=image: (tar, running.by_skopeo(d, blob, f"sha256:{tar}", i)),  # type: ignore[misc]
            )
        )
    image = scratch / "umoci"
    image.mkdir()
    count = len(layer.listing.entries)
    gzip, blob = layer.descriptors["gzip"], layer.blobs["gzip"]
    found.append(("gzip | umoci (Go)", lambda: (count, running.by_umoci(gzip, blob, f"sha256:{tar}", image))))
    return found


def _installed() -> dict[str, str]:
    """The places of what PyPI and npm have, installed if the lists have changed."""
    python, packages = _CACHE / "venv", _CACHE / "npm"
    _install(HERE / "requirements.txt", python, lambda: _install_python(python))
    _install(HERE / "package.json", packages, lambda: _install_packages(packages))
    modules = packages / "node_modules"
    return {
        "PYTHON": str(python / "bin/python"),
        "BUN": str(modules / ".bin/bun"),
        "DENO": str(modules / ".bin/deno"),
        "READERS_PACKAGES": str(packages),
    }


def _install(listed: Path, directory: Path, install: Callable[[], None]) -> None:
    stamp = directory / "installed"
    if stamp.exists() and stamp.read_bytes() == listed.read_bytes():
        return
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    install()
    stamp.write_bytes(listed.read_bytes())


def _install_python(directory: Path) -> None:
    venv.create(directory, with_pip=True)
    pip = [directory / "bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "-r", HERE / "requirements.txt"], check=True)


def _install_packages(directory: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, directory)
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=directory, check=True)


if __name__ == "__main__":
    sys.exit(main())
