"""The tree of commands: what is there, under which names, and what each costs to start."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from polyarch.cli.commands import program
from polyarch.cli.groups import LazyGroup, load

PYTHON = Path(sys.executable)


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


def modules_of(*arguments: str, root: Path) -> set[str]:
    """What a command has imported when it ends."""
    code = (
        "import sys\n"
        "from polyarch.cli.main import main\n"
        f"status = main({list(arguments)!r})\n"
        "print(*sys.modules, file=sys.stderr)\n"
        "sys.exit(status)"
    )
    done = subprocess.run(
        [PYTHON, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"POLYARCH_ROOT": str(root), "HOME": str(root), "PATH": os.environ["PATH"]},
    )
    return set(done.stderr.split())


HEAVY = {
    "urllib3",
    "http.client",
    "ssl",
    "sqlite3",
    "subprocess",
    "tempfile",
    "dataclasses",
    "importlib.metadata",
    "logging",
    "concurrent.futures",
    "asyncio",
    "tomllib",
    "ctypes",
    "deflate",
    "isal",
    "email",
    "difflib",
    "json",
    "argparse",
}


def test_the_version_loads_nothing() -> None:
    loaded = modules_of("--version", root=Path("/nonexistent"))
    assert not loaded & (HEAVY | {"click", "msgspec", "typing", "re", "pathlib"})
    ours = {name for name in loaded if name.startswith("polyarch")}
    assert ours == {"polyarch", "polyarch.cli", "polyarch.cli.main", "polyarch.version"}


def test_images_loads_neither_network_nor_database(tmp_path: Path) -> None:
    loaded = modules_of("images", root=tmp_path / "store")
    assert not loaded & HEAVY, "a module that every start would pay for"
    rooms = {name.split(".")[1] for name in loaded if name.startswith("polyarch.")}
    assert rooms == {"cli", "errors", "images", "oci", "render", "store", "version"}


def test_a_cached_build_loads_nothing_that_works(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    build = ("build", "--quiet", "--platform=linux/amd64,linux/arm64", "--tag=app", str(context))
    first = modules_of(*build, root=tmp_path / "store")
    again = modules_of(*build, root=tmp_path / "store")
    assert not again & (HEAVY - {"sqlite3"}), "a module that every start would pay for"
    work = {
        "polyarch.layers.pack",
        "polyarch.layers.apply",
        "polyarch.sandbox.emulation",
        "polyarch.builder.perform.running",
    }
    assert not again & work
    assert first & work == {"polyarch.layers.pack"}


def test_import_polyarch_loads_no_room_until_a_name_is_used() -> None:
    code = (
        "import sys, polyarch\n"
        "assert not [name for name in sys.modules if name.startswith('polyarch.') and name != 'polyarch.version']\n"
        "assert polyarch.Platform.__module__ == 'polyarch.oci.platform'\n"
        "for name in polyarch.__all__: getattr(polyarch, name)\n"
    )
    subprocess.run([PYTHON, "-c", code], check=True)
