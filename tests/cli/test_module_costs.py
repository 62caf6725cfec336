"""What each start pays for: the modules that `--version`, `images` and a cached build import.

Recorded with Python 3.11. A command may import fewer. To let one import more is a decision that changes this table. Of
our own code the statements are counted, not the files: a file that is split in two costs nearly the same.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from polyarch.deferred import _EARLY
from polyarch.sandbox.host import host_platform
from tests.needs import need
from tests.program import Program

PYTHON = Path(sys.executable)


class Cost(NamedTuple):
    """How many statements of ours a command imports, and which modules of libraries and of Python itself."""

    statements: int
    others: frozenset[str]


START = """
    __future__ collections collections.abc contextlib copyreg datetime enum errno fcntl fnmatch
    functools gc importlib importlib.machinery itertools keyword
    math ntpath operator pathlib re reprlib signal threading types
    typing unicodedata urllib urllib.parse uuid warnings weakref

    click click.core click.decorators click.exceptions click.formatting click.globals click.parser click.termui
    click.types click.utils

    msgspec msgspec.json msgspec.msgpack msgspec.structs
"""
BUILD = "array bisect sqlite3 sqlite3.dbapi2 struct zlib"

# SHA-256 without hashlib; its name depends on the version of Python.
OWN_SHA256 = {"_sha2", "_sha256"}

# How much more of our own code is allowed: a helper here and there, and the seams between rooms. Sockets paid for it:
# with and without both, a cached build takes the same time.
SLACK = 1.04

COSTS = {
    # 62 before the code of all modules was in one file.
    "--version": Cost(69, frozenset({"gc"})),
    "images": Cost(3660, frozenset(START.split())),
    "a cached build": Cost(16930, frozenset(START.split() + BUILD.split())),
}

# Modules for the work itself, which a cached build does not import.
WORK = {
    "polyarch.bake",
    "polyarch.compose",
    "polyarch.builder.contexts.walked",
    "polyarch.builder.perform.copy.archives",
    "polyarch.builder.perform.copy.arrange",
    "polyarch.builder.perform.copy.files",
    "polyarch.builder.perform.copy.layers",
    "polyarch.builder.perform.copy.placement",
    "polyarch.layers.pack",
    "polyarch.layers.apply",
    "polyarch.layers.content",
    "polyarch.layers.listing",
    "polyarch.layers.reader",
    "polyarch.layers.toc",
    "polyarch.layers.tree",
    "polyarch.sandbox.emulation",
    "polyarch.builder.perform.run",
    "polyarch.builder.perform.remote_steps",
    "polyarch.builder.remote",
    "polyarch.farm",
}


def modules_after(code: str, root: Path) -> set[str]:
    """What a new Python has loaded after some code, besides what it loads for itself."""
    waiting = "set(getattr(sys.modules.get('polyarch.deferred'), '_waiting', ()))"
    loaded = f"set(sys.modules) - before - {waiting}"
    report = f"import sys\nbefore = set(sys.modules)\n{code}\nprint(*{loaded}, file=sys.stderr)"
    environment = {
        "POLYARCH_ROOT": str(root),
        "HOME": str(root),
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [PYTHON, "-c", report], capture_output=True, text=True, check=True, env=environment, timeout=60
    )
    return set(done.stderr.split())


def modules_of(arguments: Iterable[str], root: Path) -> set[str]:
    """What a command imports. It is started as the program, but does not leave the process."""
    argv = ["polyarch", *arguments]
    code = f"from polyarch.cli import main\nmain._leave, sys.argv = lambda status: None, {argv!r}"
    return modules_after(f"{code}\nif main.main(): sys.exit('failed')", root)


def ours(loaded: Iterable[str]) -> set[str]:
    return {name for name in loaded if name.partition(".")[0] == "polyarch"}


def statements(modules: Iterable[str]) -> int:
    count = 0
    for module in modules:
        spec = find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        nodes = ast.walk(ast.parse(Path(spec.origin).read_text()))
        count += sum(isinstance(node, ast.stmt) for node in nodes)
    return count


def brought(names: Iterable[str], root: Path) -> set[str]:
    """Some modules and all that they import themselves, which differs between versions of Python."""
    code = "import contextlib, importlib\n" + "".join(
        f"with contextlib.suppress(ImportError): importlib.import_module({name!r})\n" for name in sorted(names)
    )
    return modules_after(code, root)


@pytest.fixture
def build(tmp_path: Path) -> list[str]:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    return ["build", "--quiet", "--platform=linux/amd64,linux/arm64", "--tag=app", str(context)]


@pytest.mark.parametrize("command", COSTS)
def test_a_command_imports_no_more_than_is_recorded(command: str, build: list[str], tmp_path: Path) -> None:
    root = tmp_path / "store"
    assert modules_of(build, root) >= {"polyarch.store.store"}
    loaded = modules_of(build if command == "a cached build" else [command], root)
    cost = COSTS[command]
    assert loaded - ours(loaded) <= brought(cost.others, root) | OWN_SHA256, "a module that every start would pay for"
    assert statements(ours(loaded)) <= cost.statements * SLACK, f"more code than before: {sorted(ours(loaded))}"


def test_the_version_imports_its_own_module_and_no_other(tmp_path: Path) -> None:
    assert ours(modules_of(["--version"], tmp_path)) == {
        "polyarch",
        "polyarch.cli",
        "polyarch.cli.main",
        "polyarch.version",
    }


def test_images_imports_only_the_rooms_that_it_needs(tmp_path: Path) -> None:
    rooms = {name.split(".")[1] for name in ours(modules_of(["images"], tmp_path)) if "." in name}
    rooms -= {"deferred", "precompiled"}
    assert rooms == {"cli", "client", "errors", "images", "lazy", "oci", "render", "store", "version"}


def test_modules_for_seldom_used_functions_of_libraries_are_not_loaded(build: list[str], tmp_path: Path) -> None:
    assert modules_of(build, tmp_path / "store") >= {"uuid", "click.core", "msgspec.json"}
    for arguments in (build, ["images"]):
        assert not modules_of(arguments, tmp_path / "store") & {*_EARLY, "ast", "locale", "typing_extensions"}


def test_a_cached_build_imports_none_of_the_work(build: list[str], tmp_path: Path) -> None:
    assert all(map(find_spec, WORK)), "a module that was renamed: name it here too"
    first = modules_of(build, tmp_path / "store")
    again = modules_of(build, tmp_path / "store")
    packing = {f"polyarch.layers.{name}" for name in ("content", "listing", "pack", "reader", "toc", "tree")}
    copying = {f"polyarch.builder.perform.copy.{name}" for name in ("arrange", "files", "layers", "placement")}
    assert first & WORK == packing | copying | {"polyarch.builder.contexts.walked"}
    assert not again & WORK


@pytest.mark.integration
def test_what_a_run_left_is_verified_in_the_first_build_only(polyarch: Program, busybox: str, tmp_path: Path) -> None:
    need("crun")
    (tmp_path / "Dockerfile").write_text(f"FROM {busybox}\nRUN cp /bin/busybox /copy\n")
    build = ["build", "--quiet", "--tag=app", str(tmp_path)]
    verifying = {"polyarch.contents.facts", "polyarch.images.check.foreign"}
    assert modules_of(build, polyarch.root) >= verifying
    assert not modules_of(build, polyarch.root) & verifying


def test_how_a_platform_of_another_family_runs_is_known_without_a_probe(tmp_path: Path) -> None:
    other = "s390x" if host_platform().architecture != "s390x" else "ppc64le"
    code = (
        "from polyarch.builder.history.recorder import how_of\nfrom polyarch.oci.platform import parse\n"
        f"assert how_of(parse('linux/{other}')) == 'emulated'"
    )
    assert not modules_after(code, tmp_path) & WORK


def test_import_polyarch_loads_no_room_until_a_name_is_used(tmp_path: Path) -> None:
    assert ours(modules_after("import polyarch", tmp_path)) == {"polyarch", "polyarch.version"}
    client = ours(modules_after("import polyarch\npolyarch.Polyarch", tmp_path))
    assert "polyarch.client.polyarch" in client
    assert not {name.split(".")[1] for name in client if "." in name} & {
        "builder",
        "buildflags",
        "images",
        "store",
        "transfer",
    }
    loaded = modules_after("import polyarch\nassert polyarch.Platform.__module__ == 'polyarch.oci.platform'", tmp_path)
    assert "polyarch.oci.platform" in loaded
    assert modules_after("import polyarch\nfor name in polyarch.__all__: getattr(polyarch, name)", tmp_path) > loaded
