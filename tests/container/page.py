"""The scripts and workflows of docs/guides/ci.md."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.workflows.runner import PREPARING

PAGE = Path(__file__).resolve().parents[2] / "docs/guides/ci.md"


class Script(NamedTuple):
    """The lines of one snippet, in their order."""

    section: str
    lines: tuple[str, ...]


class Block(NamedTuple):
    """A block of code, and the heading above it."""

    section: str
    language: str
    text: str


def blocks() -> list[Block]:
    parts = re.split(r"^#+ (.*)$", re.sub(r"^```.*?^```", _hidden, PAGE.read_text(), flags=_WHOLE), flags=re.MULTILINE)
    return [
        Block(section, language, text.replace("\0#", "#"))
        for section, body in zip(parts[1::2], parts[2::2], strict=True)
        for language, text in re.findall(r"^```(\w*)\n(.*?)^```", body, _WHOLE)
    ]


_WHOLE = re.DOTALL | re.MULTILINE


def _hidden(block: re.Match[str]) -> str:
    """A block in which no line looks like a heading."""
    return re.sub(r"^#", "\0#", block[0], flags=re.MULTILINE)


def workflows() -> dict[str, str]:
    """The workflows of GitHub Actions, as YAML, by section."""
    return {block.section: block.text for block in blocks() if block.language == "yaml" and "\njobs:" in block.text}


def scripts() -> list[Script]:
    """Every script of the page that is not a workflow: a block of shell, or a pipeline of GitLab CI."""
    found = []
    for section, language, text in blocks():
        if language == "sh":
            found.append(Script(section, tuple(text.splitlines())))
        elif language == "yaml" and "\njobs:" not in text:
            found += [Script(section, tuple(job["script"])) for job in pipeline(text).values()]
    return found


def pipeline(text: str) -> dict[str, dict[str, Any]]:
    """The jobs of a pipeline of GitLab CI, by name."""
    return {name: job for name, job in yaml.safe_load(text).items() if "script" in job}


def definition() -> str:
    """The bake file of the page."""
    (text,) = (block.text for block in blocks() if block.language == "hcl")
    return text


def preparations() -> list[str]:
    """The scripts of the workflows that need a virtual machine of their own."""
    return [step["run"] for step in _steps() if step.get("name") == PREPARING]


def other_scripts() -> list[str]:
    """The other scripts of the workflows."""
    return [step["run"] for step in _steps() if "run" in step and step.get("name") != PREPARING]


def _steps() -> list[dict[str, Any]]:
    documents = [yaml.safe_load(text) for text in workflows().values()]
    return [step for document in documents for job in document["jobs"].values() for step in job["steps"]]
