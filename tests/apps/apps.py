"""The applications: a directory each below `projects/`, with a Dockerfile, its context and app.toml (see README.md)."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent / "projects"
PLATFORMS = ("linux/amd64", "linux/arm64")
_MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64", "linux/arm/v7": "armv7l", "linux/s390x": "s390x"}


class Question(NamedTuple):
    """One start of an image and what it must answer. `says` is a regular expression.

    With `http` the container is a server: it gets PORT, is queried for this path, and is stopped by `signal`.
    Otherwise its standard output is the answer.
    """

    says: str
    command: Sequence[str] = ()
    options: Sequence[str] = ()
    http: str = ""
    signal: str = "TERM"
    status: int = 0

    def at(self, platform: str) -> str:
        """The expression for a platform."""
        architecture = platform.split("/")[1]
        words = {"{platform}": platform, "{arch}": architecture, "{machine}": _MACHINES[platform]}
        says = self.says
        for word, value in words.items():
            says = says.replace(word, value)
        return says


class App(NamedTuple):
    """One application. `volatile` are patterns of paths whose content differs in each build.

    `differs` are intended differences to BuildKit's image; `peer` is false where BuildKit cannot build it.
    """

    name: str
    like: str
    directory: Path
    bases: Sequence[str]
    questions: Sequence[Question]
    platforms: Sequence[str]
    options: Sequence[str]
    secrets: Mapping[str, str]
    volatile: Sequence[str]
    differs: Sequence[str]
    peer: bool
    ssh: bool
    ci: bool


def read(directory: Path) -> App:
    """The application of a directory."""
    text: dict[str, Any] = tomllib.loads((directory / "app.toml").read_text())
    questions = [Question(**question) for question in text.pop("ask")]
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
    return App(name=directory.name, directory=directory, questions=questions, **wanted)


def everything() -> list[App]:
    """All of them, by name."""
    return [read(file.parent) for file in sorted(HERE.glob("*/app.toml"))]
