"""`make sbom-oracle`: asks syft what is in the images, and compares.

python -m tests.attest.oracle [--record] [--small]

--record writes the answers for the small images, which the suite compares with. --small leaves out the whole images:
those of `make apps`, and programs and archives of Debian's packages.
"""

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from polyarch.store import Store
from scripts import debian, syft
from tests.apps import bases
from tests.attest.oracle import answers
from tests.attest.oracle.differences import BEYOND, DIFFERENCES, Found, compare
from tests.attest.oracle.images import IMAGES
from tests.program import Program

# Packages of Debian whose files are in one whole image.
_DEBIAN = (
    *(
        f"lib{name}-java:all"
        for name in ("maven3-core", "guava", "commons-lang3", "spring-core", "jetty9", "wagon-http")
    ),
    *(f"{name}:all" for name in ("ruby-rack", "rake", "ruby-sinatra")),
    *(f"{name}:amd64" for name in ("openjdk-17-jre-headless", "libruby3.1", "ruby-nokogiri")),
    *(f"{name}:amd64" for name in ("skopeo", "runc", "docker-registry", "gh")),
)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.attest.oracle")
    parser.add_argument("--record", action="store_true", help="write the answers for the small images")
    parser.add_argument("--small", action="store_true", help="only the small images")
    chosen = parser.parse_args(arguments)
    bad = 0
    used: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="polyarch-oracle-") as scratch:
        asked = {}
        for name in IMAGES:
            ours, theirs = _small(name, Path(scratch))
            asked[name] = sorted(theirs)
            bad += _report(name, ours, theirs, used)
        if chosen.record:
            answers.write(asked)
        elif asked != answers.read():
            print("syft answers otherwise than recorded (--record writes its answers)")
            bad += 1
        if not chosen.small:
            for name, ours, theirs in _whole(Path(scratch)):
                bad += _report(name, ours, theirs, used)
            unused = {row.reason for row in (*DIFFERENCES, *BEYOND)} - used
            for reason in sorted(unused):
                print(f"this row of the table is not needed: {reason}")
            bad += bool(unused)
    return 1 if bad else 0


def _report(name: str, ours: Sequence[Found], theirs: Sequence[Found], used: set[str]) -> bool:
    """Print the result of one image. Returns whether there are differences that no row explains."""
    found = compare(ours, theirs)
    used |= found.used
    print(f"{name}: {len(ours)} packages, syft {len(theirs)}", flush=True)
    for package in found.missing:
        print("  only syft:", *package)
    for package in found.additional:
        print("  only polyarch:", *package)
    return bool(found.missing or found.additional)


def _small(name: str, scratch: Path) -> tuple[list[Found], list[Found]]:
    archive = scratch / f"{name}.tar"
    with Store.open(scratch / "store") as store:
        ours = answers.packages_of(store, name)
    polyarch = Program(scratch / "store", scratch)
    polyarch("save", "--format", "docker-archive", "-o", archive, name)
    return ours, syft.packages(f"docker-archive:{archive}")


def _whole(scratch: Path) -> Iterator[tuple[str, list[Found], list[Found]]]:
    kept = bases.kept(["debian", "python", "node", "golang"])
    for name in ("debian", "python", "node", "golang"):
        yield name, *_compared(kept, name, scratch)
    polyarch = Program(scratch / "other", scratch)
    polyarch("import", "--platform", "linux/amd64", _files(scratch), "files")
    yield "files of Debian's packages", *_compared(polyarch, "files", scratch)


def _compared(polyarch: Program, name: str, scratch: Path) -> tuple[list[Found], list[Found]]:
    archive = scratch / "whole.tar"
    polyarch("save", "--platform", "linux/amd64", "--format", "docker-archive", "-o", archive, name)
    said = polyarch("sbom", "--platform", "linux/amd64", "--format", "spdx-json", name).stdout
    packages = [one for one in json.loads(said)["packages"] if "externalRefs" in one]
    ours = [(one["name"], one.get("versionInfo", ""), one["externalRefs"][0]["referenceLocator"]) for one in packages]
    return ours, syft.packages(f"docker-archive:{archive}")


def _files(scratch: Path) -> Path:
    """The files of some packages, which nobody installed, and syft itself, as a tar."""
    root, target = scratch / "root", scratch / "root.tar"
    found = debian.download(_DEBIAN, scratch / "packages")
    for path in found.values():
        subprocess.run(["dpkg-deb", "-x", path, root], check=True)
    with tarfile.open(target, "w") as tar:
        tar.add(root, ".")
        tar.add(syft.program(), "usr/bin/syft")
    return target


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
