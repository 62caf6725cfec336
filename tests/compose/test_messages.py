"""Mistakes in compose files: what is wrong, where, and what was perhaps meant. All in bounded time."""

import time
from pathlib import Path

import pytest

from tests.answers import RecordedCase
from tests.compose import running


def _said(text: str, directory: Path, words: tuple[str, ...] = (), **files: str) -> str:
    """What `compose config` says about a file that it refuses."""
    case = RecordedCase(
        "", {"compose.yaml": text, **{name.replace("__", "."): one for name, one in files.items()}}, words
    )
    found, said = running.ours(case, directory, "yaml")
    assert found is None
    assert "this is a bug" not in said
    return said.replace(str(directory / "proj") + "/", "")


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("services:\n  web:\n    image: a\n    enviroment: {}\n", "4:5", "did you mean environment?"),
        ("services:\n  web:\n    build: {contxt: .}\n", "3:13", "did you mean context?"),
        ("servces:\n  web: {image: a}\n", "1:1", "did you mean services?"),
        ("services:\n  web:\n    image: [a]\n", "3:5", "services.web.image: it must be a string, but is a list"),
        ("services:\n  web:\n    image: a\n    image: b\n", "4:5", "the key 'image' is already on line 3"),
        ("services:\n\tweb: {image: a}\n", "2:1", "indent with spaces"),
        ("services:\n  web: {image: a\n", "3:1", "invalid YAML"),
        ("services:\n  web:\n    image: a: b\n", "3:13", "needs quotes"),
        ("services:\n  web:\n    image: ${A\n", "3:5", "is not closed"),
        ("services:\n  web:\n    image: ${A:?is needed}\n", "3:5", "the variable A is required: is needed"),
        ("services:\n  web:\n    image: a\n    scale: ${A:-x}\n", "4:5", "'x' is not a whole number"),
        ("services:\n  web:\n    image: a\n    depends_on: [dbb]\n  db: {image: b}\n", "4:5", "did you mean db?"),
        ("services:\n  web:\n    image: a\n    networks: [n]\n", "4:5", "there is no network 'n'"),
        ("services:\n  web:\n    image: a\n    ports: ['1:2', 'x:80']\n", "4:20", "'x:80' is not a port"),
        ("services:\n  web:\n    command: a\n", "2:3", "neither an image nor a build"),
        ("services:\n  a: {extends: b}\n  b: {extends: a}\n", "3:7", "the services extend each other"),
        ("services:\n  a: {extends: bb}\n  b: {image: x}\n", "2:7", "did you mean b?"),
        (
            "services:\n  a: {image: a, depends_on: [b]}\n  b: {image: b, depends_on: [a]}\n",
            "",
            "need each other: a → b → a",
        ),
        ("services: &a\n  web: *a\n", "1:11", "this alias contains itself"),
        ("services:\n  web: {image: !foo a}\n", "2:16", "the tag !foo is unknown"),
        ("services:\n  web: {image: a, labels: {1: x}}\n", "2:28", "a key in services.web.labels is not text"),
        ("- a\n", "1:1", "a compose file must be a mapping"),
        ("services: {web: {build: {context: ., ssh: [x]}}}\n", "1:44", "'x' is not an ssh agent"),
    ],
)
def test_a_mistake_is_shown_with_its_place(text: str, place: str, reason: str, tmp_path: Path) -> None:
    said = _said(text, tmp_path)
    assert reason in said
    assert f"compose.yaml:{place}" in said


def test_the_lines_around_a_mistake_are_shown(tmp_path: Path) -> None:
    said = _said("services:\n  web:\n    image: a\n    enviroment: {}\n    tty: true\n", tmp_path)
    assert "   3 |     image: a\n   4 |     enviroment: {}\n     |     ^^^^^^^^^^\n   5 |     tty: true" in said


def test_the_file_with_the_mistake_is_named(tmp_path: Path) -> None:
    said = _said(
        "include: [inc.yaml]\nservices: {web: {image: a}}\n", tmp_path, inc__yaml="services:\n  db: {imag: b}\n"
    )
    assert "inc.yaml:2:8" in said


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]\n" for n in range(12)),
        "x: " + "[" * 2000,
        "services: {web: {image: '" + "${A:-" * 3000 + "}" * 3000 + "'}}",
        "services: {a0: {image: a}" + "".join(f", a{n}: {{extends: a{n - 1}}}" for n in range(1, 300)) + "}",
    ],
    ids=["aliases", "brackets", "variables", "extends"],
)
def test_a_file_that_expands_without_end_is_refused_soon(text: str, tmp_path: Path) -> None:
    started = time.monotonic()
    _said(text, tmp_path)
    assert time.monotonic() - started < 20


def test_files_that_include_each_other_are_refused(tmp_path: Path) -> None:
    said = _said("include: [b.yaml]\n", tmp_path, b__yaml="include: [compose.yaml]\n")
    assert "the files include each other" in said
