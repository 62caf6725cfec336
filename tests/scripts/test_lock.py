"""The lock files contain versions and hashes, and no index URL."""

import re
import tomllib
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parents[2]
_FILES = ("runtime.txt", "build.txt", "dev.txt")


def _locked(file: str) -> dict[str, str]:
    text = (_REPOSITORY / "requirements" / file).read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("file", _FILES)
def test_every_line_is_a_version_or_a_hash(file: str) -> None:
    requirement = r"[a-z0-9._-]+==[\w.+!]+( ; [^\\@]+)? \\"
    digest = r"    --hash=sha256:[0-9a-f]{64}( \\)?"
    for line in (_REPOSITORY / "requirements" / file).read_text().splitlines():
        assert re.fullmatch(rf"{requirement}|{digest}", line), line


def test_the_parts_have_the_versions_of_the_whole() -> None:
    whole = _locked("dev.txt")
    for file in ("runtime.txt", "build.txt"):
        assert _locked(file).items() <= whole.items()


def test_what_pyproject_asks_for_is_locked() -> None:
    project = tomllib.loads((_REPOSITORY / "pyproject.toml").read_text())
    asked = project["project"]["dependencies"] + [
        requirement
        for group in project["dependency-groups"].values()
        for requirement in group
        if isinstance(requirement, str)
    ]
    names = {re.split(r"[\[><=;\s]", requirement)[0].lower().replace(".", "-") for requirement in asked}
    assert names <= set(_locked("dev.txt"))
