"""What a type checker says of programs that use the API, and that no option of a build is missing in it."""

import inspect
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from polyarch import BuildKeywords, Output, Platform, Polyarch, UsageError
from polyarch.buildflags import OPTIONS
from polyarch.client import building
from polyarch.client.core import ClientCore

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("user_program.py")


def test_mypy_finds_every_mistake_of_a_user_and_no_other(tmp_path: Path) -> None:
    programs = [PROGRAM, *sorted((REPOSITORY / "examples/python").glob("*.py"))]
    # An installed package is found by its py.typed, as a user's mypy finds it.
    configuration = tmp_path / "mypy.ini"
    configuration.write_text("[mypy]\nstrict = True\nwarn_unreachable = True\n")
    words = ["--config-file", configuration, "--cache-dir", REPOSITORY / ".mypy_cache/user", "--no-error-summary"]
    command = [sys.executable, "-m", "mypy", *words, "--scripts-are-modules", *programs]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    found = {
        (Path(match[1]).name, int(match[2]))
        for match in re.finditer(r"^(.*?):(\d+): error: ", done.stdout, re.MULTILINE)
    }
    lines = enumerate(PROGRAM.read_text().splitlines(), 1)
    marked = {(PROGRAM.name, number) for number, line in lines if line.endswith("# mistake")}
    assert len(marked) > 25
    assert found == marked, done.stdout + done.stderr


def test_the_wheel_says_that_it_is_typed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert {"polyarch/py.typed", "polyarch/__init__.pyi"} <= set(zipfile.ZipFile(wheel).namelist())


# A value of each keyword that is not its default, and the options of a build that it sets.
GIVEN: dict[str, tuple[Any, set[str]]] = {
    "platforms": ("linux/arm64", {"platforms"}),
    "tags": ("app", {"tags"}),
    "file": ("docker/File", {"file"}),
    "dockerfile": ("FROM scratch", {"dockerfile"}),
    "target": ("last", {"target"}),
    "args": ({"A": "b"}, {"build_args"}),
    "labels": ({"a": "b"}, {"labels"}),
    "contexts": ({"base": "docker-image://busybox"}, {"contexts"}),
    "secrets": ({"id": b"content"}, {"secrets"}),
    "ssh": ({}, {"ssh"}),
    "output": (Output(kind="tar", destination=Path("out.tar")), {"outputs"}),
    "push": (True, {"push"}),
    "load": (True, {"load"}),
    "annotations": ({"a": "b"}, {"annotations"}),
    "provenance": ({"mode": "min"}, {"provenance"}),
    "sbom": (True, {"sbom"}),
    "cache": (
        {"no_cache": True, "no_cache_filter": "base", "pull": True, "cache_from": "a:b", "cache_to": "a:b"},
        {"no_cache", "no_cache_filter", "pull", "cache_from", "cache_to"},
    ),
    "run": (
        {
            "network": "none",
            "hosts": {"a": "10.0.0.1"},
            "shm_size": "1m",
            "ulimits": {"nofile": 9},
            "sync": True,
            "emulated_cpus": {"linux/arm64": "cortex-a72"},
            "emulators": {"linux/arm64": "/opt/qemu-aarch64"},
        },
        {"network", "hosts", "shm_size", "ulimits", "sync", "emulated_cpus", "emulators"},
    ),
    "time": ({"epoch": 7, "reproducible": True}, {"epoch", "reproducible"}),
    "farm": ("tls://farm.example.org", set()),
    "overrides": ({"linux/amd64": {"args": {"A": "b"}}}, {"build_args"}),
    "allow": ("security.insecure", {"allow"}),
    "allow_foreign_base": (True, {"allow_foreign_base"}),
    "verify_platforms": ("off", {"verify_platforms"}),
    "on_failure": ("keep", {"on_failure"}),
    "workers": (7, {"workers"}),
}

# Options that no keyword stands for.
LEFT_OUT = {"attest": "`provenance` and `sbom` are the same for each type"}

HOST = Platform(os="linux", architecture="amd64")


def test_the_keywords_of_a_build_are_those_of_its_signature_and_of_its_type() -> None:
    parameters = inspect.signature(Polyarch.build).parameters
    keywords = [name for name, each in parameters.items() if each.kind is inspect.Parameter.KEYWORD_ONLY]
    assert keywords == [*BuildKeywords.__annotations__, "isolate"] == [*GIVEN, "isolate"]


def test_every_option_of_a_build_has_a_keyword_that_sets_it() -> None:
    found = set()
    for name, (value, sets) in GIVEN.items():
        given = building.options({name: value}, HOST, Path("/here"))
        assert set(given) == sets, name
        found |= sets
    assert found | set(LEFT_OUT) == OPTIONS
    assert not found & set(LEFT_OUT)


def test_every_keyword_changes_the_request(client: Polyarch, tmp_path: Path) -> None:
    core: ClientCore = client._core
    plain = building.request(core, ".", {})
    core.now = lambda: plain.created  # type: ignore[method-assign]
    for name, (value, _) in GIVEN.items():
        if name == "load":
            # Without another output it is the default.
            assert building.request(core, ".", {"push": True, "load": True}) != building.request(
                core, ".", {"push": True}
            )
        elif name == "cache":
            # `no_cache` and `no_cache_filter` exclude each other.
            for key, one in value.items():
                assert building.request(core, ".", {name: {key: one}}) != plain, key
        elif name != "ssh":
            assert building.request(core, ".", {name: value}) != plain, name


def test_every_default_of_the_signature_is_that_of_a_build_without_keywords(client: Polyarch) -> None:
    core: ClientCore = client._core
    plain = building.request(core, ".", {})
    core.now = lambda: plain.created  # type: ignore[method-assign]
    defaults = {
        name: each.default for name, each in inspect.signature(Polyarch.build).parameters.items() if name in GIVEN
    }
    assert building.request(core, ".", defaults) == plain


WRONG: dict[str, Any] = {name: 3.5 for name in GIVEN if name not in ("push", "load")} | {"push": "yes", "load": 1}


@pytest.mark.parametrize("name", WRONG)
def test_a_value_of_the_wrong_type_names_the_keyword(client: Polyarch, name: str) -> None:
    with pytest.raises(UsageError) as raised:
        client.build(".", **{name: WRONG[name]})
    assert str(raised.value).startswith(f"{name} cannot be ")
    assert raised.value.hint


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"cache": {"no_cache": "all"}}, "cache.no_cache cannot be 'all' (str)"),
        ({"cache": {"nocache": True}}, "cache has no 'nocache'"),
        ({"time": {"epoch": "yesterday"}}, "time.epoch cannot be 'yesterday' (str)"),
        ({"run": {"network": "bridge"}}, "run.network cannot be 'bridge' (str)"),
        ({"args": {"A": 1}}, "args['A'] cannot be 1 (int)"),
        ({"secrets": {"id": "hunter2"}}, "secrets['id'] cannot be a str"),
        ({"overrides": {"linux/arm64": {"argument": {}}}}, "overrides['linux/arm64'] has no 'argument'"),
        ({"overrides": {"linux/arm64": {"labels": 1}}}, "overrides['linux/arm64'].labels cannot be 1 (int)"),
        (
            {"overrides": {"linux/arm64": {"secrets": {"id": "hunter2"}}}},
            "overrides['linux/arm64'].secrets['id'] cannot",
        ),
        ({"platforms": "amd63"}, "'amd63' is neither"),
        ({"on_failure": "continue"}, "on_failure cannot be 'continue' (str)"),
        ({"isolate": 1}, "isolate cannot be 1 (int)"),
    ],
)
def test_a_value_inside_a_group_is_named_with_its_group(
    client: Polyarch, keywords: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as raised:
        client.build(".", **keywords)
    assert str(raised.value).startswith(message)
    assert "hunter2" not in str(raised.value)


def test_one_string_is_one_item_everywhere(client: Polyarch) -> None:
    request = building.request(
        client._core,
        ".",
        {"tags": "hello", "cache": {"no_cache_filter": "base"}, "platforms": "linux/amd64,linux/arm64"},
    )
    assert [name.familiar() for name in request.export.names] == ["hello"]
    assert request.plan.uncached_stages == {"base"}
    assert [str(platform) for platform in request.platforms] == ["linux/amd64", "linux/arm64"]
