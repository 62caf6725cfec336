"""`make init-test`: builds and runs a project of each language on real bases, for two platforms. It needs root.

python -m tests.scaffold [NAME…]
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.apps import bases
from tests.program import Program
from tests.scaffold.projects import made, write

HERE = Path(__file__).parent / "bases"
PLATFORMS = ("linux/amd64", "linux/arm64")
# For each project: the images that its Dockerfile names, and what each is made from; and what its program says.
# Compilers are for the machine's own processor only, so a build fails if it would emulate them.
_PROJECTS = {
    "go": ({"golang:1.19": "golang"}, "go on {go}"),
    "rust": ({"rust:1-bookworm": "rust", "debian:bookworm-slim": "debian"}, "rust on {machine}"),
    "java-plain": ({"eclipse-temurin:21-jdk": "jdk", "eclipse-temurin:21-jre": "jre"}, "java on {java}"),
    "node": ({"node:24-slim": "node"}, "node on {node}"),
    "python": ({"python:3.13-slim": "python"}, "python on {machine}"),
    "python-package": ({"python:3.11-slim": "python"}, "python as a package"),
}
_NAMES = {
    "linux/amd64": {"go": "amd64", "machine": "x86_64", "java": "amd64", "node": "x64"},
    "linux/arm64": {"go": "arm64", "machine": "aarch64", "java": "aarch64", "node": "arm64"},
}


def main(names: Sequence[str]) -> int:
    bad = 0
    for name in names or _PROJECTS:
        images, says = _PROJECTS[name]
        try:
            _try(name, images, says)
        except AssertionError as error:
            bad += 1
            print(f"DIFFERENT: {name}: {error}", flush=True)
        else:
            print(f"good: {name}", flush=True)
    return 1 if bad else 0


def _try(name: str, images: dict[str, str], says: str) -> None:
    wanted = set(images.values())
    polyarch = bases.kept(sorted({"debian"} | {base for base in wanted if not (HERE / base).is_dir()}))
    for image, base in images.items():
        if (HERE / base).is_dir():
            _make(polyarch, base)
        polyarch("tag", base, image)
    with tempfile.TemporaryDirectory(prefix="polyarch-init-") as scratch:
        project = write(name, Path(scratch) / "project")
        for file, text in made(name).files.items():
            (project / file).write_text(text)
        polyarch("bake", "--set", "app.tags=init-test", cwd=project, seconds=1800.0)
        for platform in PLATFORMS:
            said = polyarch("run", "--rm", f"--platform={platform}", "init-test", seconds=300.0).stdout.strip()
            assert said == says.format(**_NAMES[platform]), said
    polyarch("rmi", "init-test", *images)


def _make(polyarch: Program, name: str) -> None:
    """A base that only this test needs. The cache of builds keeps it."""
    own = "linux/" + {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    platforms = PLATFORMS if name == "jre" else (own,)
    polyarch("build", f"--platform={','.join(platforms)}", f"--tag={name}", HERE / name, seconds=1800.0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
