"""The image of container/Dockerfile and the scripts of docs/guides/ci.md, as far as CI has the time.

`make container-test` builds the image and runs the scripts in it; here they run on this machine, as a user.
"""

import shlex
import subprocess

import pytest

from scripts.local_registry import LocalRegistry
from tests.conftest import Login
from tests.container import making, page, podman
from tests.container.scripting import perform
from tests.people import Person
from tests.program import Program

SCRIPTS = {script.section: script for script in page.scripts()}


def test_the_build_checks_find_nothing_in_the_dockerfile(polyarch: Program, busybox: str) -> None:
    words = ("build", "--check", f"--build-arg=BASE={busybox}", "-f", making.REPOSITORY / "container/Dockerfile")
    checked = polyarch(*words, making.REPOSITORY)
    assert "no warnings found" in (checked.stdout + checked.stderr).lower()


def test_each_kind_of_script_is_found() -> None:
    assert list(SCRIPTS) == [
        "A shell",
        "GitHub Actions",
        "With docker's actions",
        "GitLab CI",
        "Polyarch's own image",
    ]
    assert all(script.lines for script in SCRIPTS.values())
    assert {name for name, script in SCRIPTS.items() if script.preparing} == {"GitHub Actions", "With docker's actions"}


@pytest.mark.parametrize("section", SCRIPTS)
def test_a_shell_can_read_every_line(section: str) -> None:
    for line in (*SCRIPTS[section].lines, *SCRIPTS[section].preparing):
        subprocess.run(["bash", "-n", "-c", line], check=True)


def test_the_page_names_the_options_that_podman_gets_here() -> None:
    words = shlex.split(SCRIPTS["Polyarch's own image"].lines[-1])
    at = words.index("--security-opt")
    assert tuple(words[at : at + len(podman.OPTIONS)]) == podman.OPTIONS
    assert " ".join(podman.OPTIONS) in page.PAGE.read_text()


@pytest.mark.parametrize("section", ["A shell", "With docker's actions"])
def test_a_script_builds_and_pushes(
    section: str, unprivileged: Person, password_registry: LocalRegistry, login: Login, polyarch: Program, busybox: str
) -> None:
    address = password_registry.address
    polyarch("login", "-u", login.user, "--password-stdin", address, stdin=login.password)
    polyarch("tag", busybox, f"{address}/busybox")
    polyarch("push", f"{address}/busybox")
    work = unprivileged.directory / "work"
    work.mkdir()
    unprivileged.give(work)

    def run(script: str, variables: dict[str, str]) -> None:
        programs = unprivileged.polyarch
        path = f"{programs.path.parent}:{programs.env['PATH']}"
        unprivileged.run("bash", "-euc", script, cwd=work, env={**variables, "PATH": path})

    perform(run, work, polyarch, address, (login.user, login.password), SCRIPTS[section])
