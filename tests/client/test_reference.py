"""docs/reference/python.md says all of the public API, and its programs work as they stand."""

import ast
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import polyarch
from scripts.local_registry import LocalRegistry
from scripts.python_page import PROGRAMS, groups, python_api
from tests.needs import need
from tests.program import Program, run

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLES = REPOSITORY / "examples/python"


def test_every_public_name_is_described() -> None:
    described = [name for names in groups().values() for name in names]
    assert sorted([*described, "__version__"]) == polyarch.__all__
    for name in described:
        value = getattr(polyarch, name)
        if isinstance(value, type) and value.__module__.startswith("polyarch."):
            assert value.__doc__, name
            for method, function in vars(value).items():
                if callable(function) and not method.startswith("_"):
                    assert function.__doc__, f"{name}.{method}"
    page = python_api()
    assert all(f"### {name}\n" in page for name in described)
    assert "…" not in page.split("#### client.build")[1].split("####")[0]


def test_what_a_public_value_is_made_of_is_public(tmp_path: Path) -> None:
    public = {value for name in polyarch.__all__ if isinstance(value := getattr(polyarch, name), type)}
    pending, seen = [(kind, kind.__name__) for kind in public], set[type]()
    while pending:
        kind, via = pending.pop()
        pending += [(part, via) for part in typing.get_args(kind)]
        if not isinstance(kind, type) or not kind.__module__.startswith("polyarch.") or kind in seen:
            continue
        seen.add(kind)
        assert kind in public, f"{kind.__name__}, the type of {via}"
        pending += [(part, f"{kind.__name__}.{name}") for name, part in typing.get_type_hints(kind).items()]


def test_type_checkers_see_the_names_that_there_are() -> None:
    stub = ast.parse(Path(polyarch.__file__).with_suffix(".pyi").read_text())
    imported = {(f"polyarch.{home}", name) for home, names in polyarch._HOMES.items() for name in names.split()}
    found = {
        (str(node.module), alias.name)
        for node in stub.body
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("polyarch.")
        for alias in node.names
    }
    assert found == imported
    (listed,) = (node.value for node in stub.body if isinstance(node, ast.Assign))
    assert ast.literal_eval(listed) == polyarch.__all__


def test_every_program_is_shown() -> None:
    assert sorted(PROGRAMS) == sorted(path.stem for path in EXAMPLES.glob("*.py"))


@pytest.fixture
def place(polyarch: Program, busybox: str, registry: LocalRegistry, tmp_path: Path) -> Path:
    """A directory to run the programs in, where registry.example.org is a registry on loopback that has team/app."""
    settings = tmp_path / "registries.conf"
    settings.write_text(
        f'[[registry]]\nprefix = "registry.example.org"\nlocation = "{registry.address}"\ninsecure = true\n'
    )
    polyarch.env["CONTAINERS_REGISTRIES_CONF"] = str(settings)
    app = "registry.example.org/team/app"
    polyarch("tag", busybox, f"{app}:1")
    polyarch("push", f"{app}:1")
    for arch in ("amd64", "arm64"):
        polyarch("manifest", "create", f"{app}:1-{arch}", busybox)
        for other in {"amd64", "arm64", "arm/v7", "s390x"} - {arch}:
            polyarch("manifest", "remove", f"{app}:1-{arch}", f"linux/{other}")
        polyarch("manifest", "push", f"{app}:1-{arch}")
    (tmp_path / "examples").symlink_to(REPOSITORY / "examples")
    return tmp_path


EXPECTED = {
    "build_and_push": ["linux/amd64 sha256:", "linux/arm64 sha256:"],
    "pull_and_list": ["registry.example.org/team/app:1 linux/amd64, linux/arm64, linux/arm/v7, linux/s390x"],
    "edit_an_index": ["registry.example.org/team/app:2 sha256:"],
    "run_a_platform": ["aarch64"],
    "check_in_ci": ["registry.example.org/team/app:1: 0 errors, 0 warnings"],
    "save_and_load": ["registry.example.org/team/app:1 4"],
    "build_from_a_stream": ["True", "['linux/amd64']"],
    "progress": ["building on x86_64"],
    "parallel_builds": ["sha256:", "sha256:"],
    "errors": ["line 2 unknown instruction: COPPY", "there is no image registry.example.org/team/nothing:1"],
}


def test_the_programs_work_as_they_stand(place: Path, polyarch: Program) -> None:
    need("crun", "qemu-aarch64-static", "git")
    repository = place / "srv"
    (repository / "web").mkdir(parents=True)
    (repository / "web/Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "a"]):
        subprocess.run([*git, *words], cwd=repository, check=True)
    local = {
        "protocol.file.allow": "always",
        f"url.file://{repository}.insteadOf": "https://git.example.org/team/app.git",
    }
    settings = {"GIT_CONFIG_COUNT": str(len(local))}
    for number, (key, value) in enumerate(local.items()):
        settings |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    for name in PROGRAMS:
        done = run([sys.executable, EXAMPLES / f"{name}.py"], cwd=place, env={**polyarch.env, **settings})
        lines = done.stdout.splitlines()
        for line in EXPECTED[name]:
            assert any(shown.startswith(line) for shown in lines), f"{name}:\n{done}"


def test_the_first_example_of_the_page_builds_for_two_platforms(place: Path, polyarch: Program) -> None:
    polyarch("tag", "busybox", "docker.io/library/busybox:latest")
    code = python_api().split("```python\n")[1].split("```")[0]
    assert len(run([sys.executable, "-c", code], cwd=place, env=polyarch.env).stdout.splitlines()) == 2
