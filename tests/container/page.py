"""The scripts of docs/guides/ci.md."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

PAGE = Path(__file__).resolve().parents[2] / "docs/guides/ci.md"
# Steps that prepare a virtual machine: they install packages and change the kernel's settings.
_PREPARING = "Prepare"


class Script(NamedTuple):
    """The lines of one snippet, in their order. `preparing` are those that need a machine of their own."""

    section: str
    lines: tuple[str, ...]
    preparing: tuple[str, ...] = ()


def scripts() -> list[Script]:
    """Every script of the page: a block of shell, a job of GitHub Actions, a job of GitLab CI."""
    found = []
    for section, language, text in _blocks():
        if language == "sh":
            found.append(Script(section, tuple(text.splitlines())))
        elif language == "yaml":
            for job in _jobs(yaml.safe_load(text)):
                lines, preparing = _lines(job)
                found.append(Script(section, lines, preparing))
    return found


def _blocks() -> list[tuple[str, str, str]]:
    """Section, language and text of each code block."""
    parts = re.split(r"^#+ (.*)$", PAGE.read_text(), flags=re.MULTILINE)
    return [
        (section, language, text)
        for section, body in zip(parts[1::2], parts[2::2], strict=True)
        for language, text in re.findall(r"^```(\w*)\n(.*?)^```", body, re.DOTALL | re.MULTILINE)
    ]


def _jobs(document: dict[str, Any]) -> list[dict[str, Any]]:
    return list(document["jobs"].values()) if "jobs" in document else list(document.values())


def _lines(job: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    lines: list[str] = list(job.get("script", ()))
    preparing: list[str] = []
    for step in job.get("steps", ()):
        (preparing if step.get("name") == _PREPARING else lines).extend(str(step.get("run", "")).splitlines())
    return tuple(lines), tuple(preparing)
