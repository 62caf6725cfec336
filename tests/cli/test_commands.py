"""The tree of commands: what is there, under which names."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from polyarch.cli.commands.program import program
from polyarch.cli.groups import LazyGroup, load, plain_options
from polyarch.version import VERSION


def commands(group: LazyGroup, path: str = "polyarch") -> Iterator[tuple[str, click.Command]]:
    for name, target, _ in group.entries():
        command = load(target)
        yield f"{path} {name}", command
        if isinstance(command, LazyGroup):
            yield from commands(command, f"{path} {name}")


EVERY = dict(commands(program))


@pytest.mark.parametrize("path", EVERY)
def test_every_command_says_what_it_does_and_what_each_flag_means(path: str) -> None:
    command = EVERY[path]
    assert command.help, "a command without a description"
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden and parameter.name != "form":
            assert parameter.help, f"{parameter.opts} says nothing"
    with command.make_context(path, ["--help"], resilient_parsing=True) as context:
        assert command.get_help(context).startswith("Usage: ")


@pytest.mark.parametrize(
    "same",
    [
        ("build", "buildx build", "image build"),
        ("images", "image ls"),
        ("rmi", "image rm"),
        ("tag", "image tag"),
        ("push", "image push"),
        ("pull", "image pull"),
        ("save", "image save"),
        ("load", "image load"),
        ("import", "image import"),
        ("history", "image history"),
        ("inspect", "image inspect"),
        ("system prune", "buildx prune"),
    ],
)
def test_dockers_synonyms_are_one_command(same: tuple[str, ...]) -> None:
    first, *others = (EVERY[f"polyarch {path}"] for path in same)
    assert all(other is first for other in others)


@pytest.mark.parametrize("words", [["--version"], ["-v"], ["--version", ""]])
def test_the_program_runs_as_a_module_and_says_its_version(words: list[str]) -> None:
    ran = subprocess.run([sys.executable, "-m", "polyarch", *words], capture_output=True, text=True, check=True)
    assert ran.stdout == f"polyarch version {VERSION}\n"


@pytest.mark.parametrize(
    ("command", "words", "plain"),
    [
        ("build", "-q -t name .", "--quiet --tag name ."),
        ("build", "-t -q -q .", "--tag -q --quiet ."),
        ("build", "--build-arg --pull=false --pull=false --pull=1 -", "--build-arg --pull=false --pull -"),
        ("build", "-tname -t=name -o .", "-tname --tag name --output ."),
        ("build", ". -t", ". -t"),
        ("build", "-f x -- -q", "--file x -- -q"),
        ("run", "-e A=1 --rm=false image -e -q", "--env A=1 image -e -q"),
        ("run", "-it image sh", "-it image sh"),
    ],
)
def test_options_are_what_they_were_however_they_are_written(command: str, words: str, plain: str) -> None:
    """A value is never taken for an option, nor what a container runs for ours."""
    assert plain_options(EVERY[f"polyarch {command}"], words.split()) == plain.split()


def test_short_options_are_found_without_a_search_for_similar_names(tmp_path: Path) -> None:
    code = "from polyarch.cli.main import main\nimport sys\nmain(['images', '-q'])\nprint('difflib' in sys.modules)"
    environment = {"PATH": os.environ["PATH"], "POLYARCH_ROOT": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.endswith("False\n")
