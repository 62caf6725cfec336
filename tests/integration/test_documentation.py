"""What the pages tell the reader to type does what they say."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tests import bases
from tests.program import Program, run

_REPOSITORY = Path(__file__).resolve().parents[2]
_PAGES = [_REPOSITORY / "README.md", _REPOSITORY / "CHANGELOG.md", *sorted((_REPOSITORY / "docs").rglob("*.md"))]


def _blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (_REPOSITORY / page).read_text(), re.DOTALL | re.MULTILINE)


def _links() -> Iterator[tuple[Path, str]]:
    for page in _PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            if "://" not in target and not target.startswith("#"):
                yield page, target.partition("#")[0]


def test_every_link_between_the_pages_leads_somewhere() -> None:
    links = list(_links())
    assert len(links) > 10
    assert [(page.name, target) for page, target in links if not (page.parent / target).exists()] == []


def test_the_first_python_example_builds_for_two_platforms(tmp_path: Path, busybox_store: Path) -> None:
    bases.copy_store(busybox_store, tmp_path / "store")
    (tmp_path / "examples").symlink_to(_REPOSITORY / "examples")
    example = _blocks("docs/reference/python.md", "python")[0]
    shown = run([sys.executable, "-c", example], cwd=tmp_path, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})
    assert re.fullmatch(
        r"sha256:[0-9a-f]{64}\nlinux/amd64 sha256:[0-9a-f]{64}\nlinux/arm64 sha256:[0-9a-f]{64}\n", shown.stdout
    )


def test_the_cross_build_of_the_guide_gives_each_platform_its_program(polyarch: Program, tmp_path: Path) -> None:
    # Without the compiler, which is some 200 MB of base: the stage that would compile writes what it was told.
    dockerfile = _blocks("docs/guides/build.md", "dockerfile")[0]
    dockerfile = dockerfile.replace("FROM --platform=$BUILDPLATFORM golang", "FROM --platform=$BUILDPLATFORM busybox")
    dockerfile = dockerfile.replace("go build -o /app", "env | grep ^GOARCH > /app")
    bases.import_busybox(polyarch)
    (tmp_path / "context").mkdir()
    output = tmp_path / "out"
    polyarch(
        "build",
        "--platform",
        "linux/amd64,linux/arm64",
        "-f",
        "-",
        "-o",
        f"type=local,dest={output}",
        tmp_path / "context",
        stdin=dockerfile,
    )
    assert (output / "linux_arm64" / "app").read_text() == "GOARCH=arm64\n"
    assert (output / "linux_amd64" / "app").read_text() == "GOARCH=amd64\n"
