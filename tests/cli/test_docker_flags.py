"""docs/reference/docker-flags.md says what becomes of each flag of docker. Each row is tried."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest

from polyarch.cli import docker_flags
from tests import trees
from tests.program import Program

pytestmark = pytest.mark.integration
PAGE = Path(__file__).parents[2] / "docs/reference/docker-flags.md"
ROW = re.compile(r"\| `([^`]+)` \| (\w+) \| ?(.*?) ?\|")
SECTIONS = {"Keys of --output": "build"}


class FlagRow(NamedTuple):
    """One row: the command, the flag with a value, and what becomes of it."""

    command: str
    words: str
    treatment: str


def rows() -> list[FlagRow]:
    found = []
    section = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif match := ROW.fullmatch(line):
            found.append(FlagRow(SECTIONS.get(section, section), match[1], match[2]))
    return found


# Without an image or a registry these commands fail after their flags are parsed: with the error of the image.
ARGUMENTS = {
    "build": (".",),
    "images": (),
    "pull": ("127.0.0.1:1/none",),
    "push": ("127.0.0.1:1/none",),
    "save": ("none",),
    "load": (),
    "rmi": ("none",),
    "import": ("none.tar", "app"),
    "run": ("--pull=never", "none"),
}


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.command} {row.words}")
def test_a_flag_is_treated_as_the_page_says(polyarch: Program, tmp_path: Path, row: FlagRow) -> None:
    trees.write(tmp_path / "context", {"Dockerfile": "FROM scratch AS one\nCOPY Dockerfile /\n", "env": "A=b\n"})
    words = shlex.split(row.words, posix='"' not in row.words)
    result = polyarch(row.command, *words, *ARGUMENTS[row.command], cwd=tmp_path / "context", check=False)
    assert result.status != 2, result
    refused = (
        "is not supported" in result.stderr or "not enforced" in result.stderr or "cannot annotate" in result.stderr
    )
    assert refused == (row.treatment == "refused"), result
    assert ("has no effect" in result.stderr) == (row.treatment == "noted"), result
    assert "unknown" not in result.stderr.partition("unknown/")[0], result
    if row.command == "build":
        assert (result.status == 0) == (row.treatment != "refused"), result


def test_the_page_has_every_flag_that_is_noted_or_refused_in_a_build() -> None:
    listed = {row.words.split()[0] for row in rows() if row.command == "build"}
    assert {name for flag in docker_flags.FLAGS["build"] for name in flag.names} <= listed


def test_the_page_has_every_flag_of_buildx_build() -> None:
    """The flags of buildx 0.36.1, without those that need a registry or an agent."""
    flags = """--add-host --allow --annotation --attest --build-arg --build-context --builder --cache-from --cache-to
    --call --cgroup-parent --check -D --debug -f --iidfile --label --load --metadata-file --network --no-cache
    --no-cache-filter -o --platform --policy --progress --provenance --pull -q --resource --sbom --secret --shm-size -t
    --target --ulimit"""
    assert set(flags.split()) <= {re.split("[ =]", row.words)[0] for row in rows() if row.command == "build"}


@pytest.mark.parametrize("words", [("--no-cache", "--no-cache-filter", "one"), ("--policy", "sometimes")])
def test_contradictions_are_refused(polyarch: Program, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch AS one\n")
    assert polyarch("build", *words, tmp_path, check=False).status == 2


def test_a_wrong_name_is_still_suggested(polyarch: Program) -> None:
    assert "--platform" in polyarch("build", "--platfrom", "linux/amd64", ".", check=False).stderr
