"""The applications: a directory each below `projects/`, with its Dockerfile, context, app.toml and tests.toml."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent / "projects"
PLATFORMS = ("linux/amd64", "linux/arm64")


class App(NamedTuple):
    """One application. `volatile` are patterns of paths whose content differs in each build.

    `differs` are intended differences to BuildKit's image; `peer` is false where BuildKit cannot build it.
    """

    name: str
    like: str
    directory: Path
    bases: Sequence[str]
    platforms: Sequence[str]
    options: Sequence[str]
    secrets: Mapping[str, str]
    volatile: Sequence[str]
    differs: Sequence[str]
    peer: bool
    ssh: bool
    ci: bool

    @property
    def tests(self) -> Path:
        """The file of the tests that its images pass."""
        return self.directory / "tests.toml"


def read(directory: Path) -> App:
    """The application of a directory."""
    text: dict[str, Any] = tomllib.loads((directory / "app.toml").read_text())
    wanted = {
        "platforms": PLATFORMS,
        "options": (),
        "secrets": {},
        "volatile": (),
        "differs": (),
        "peer": True,
        "ssh": False,
        "ci": False,
    } | text
    return App(name=directory.name, directory=directory, **wanted)


def everything() -> list[App]:
    """All of them, by name."""
    return [read(file.parent) for file in sorted(HERE.glob("*/app.toml"))]
