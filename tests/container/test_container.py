"""The image of container/Dockerfile and the scripts of docs/guides/ci.md, as far as CI has the time.

`make container-test` builds the image and runs the scripts in it; here they run on this machine, as a user.
"""

import shlex
from typing import NamedTuple

import pytest

from scripts.local_registry import LocalRegistry
from tests.conftest import Login
from tests.container import making, page, podman
from tests.container.scripting import perform, perform_workflow, verify
from tests.people import Person
from tests.program import Program
from tests.workflows.machine import local

SCRIPTS = {script.section: script for script in page.scripts()}


def test_the_build_checks_find_nothing_in_the_dockerfile(polyarch: Program, busybox: str) -> None:
    words = ("build", "--check", f"--build-arg=BASE={busybox}", "-f", making.REPOSITORY / "container/Dockerfile")
    checked = polyarch(*words, making.REPOSITORY)
    assert "no warnings found" in (checked.stdout + checked.stderr).lower()


def test_each_kind_of_snippet_is_found() -> None:
    assert list(SCRIPTS) == ["A shell", "GitLab CI", "Polyarch's own image"]
    assert all(script.lines for script in SCRIPTS.values())
    assert list(page.workflows()) == [
        "GitHub Actions",
        "With docker's actions",
        "Each platform on its own runner",
        "With bake on each runner",
        "Without a registry in between",
    ]


def test_the_page_names_the_platforms_and_options_that_are_tested() -> None:
    build, run = SCRIPTS["Polyarch's own image"].lines
    assert f"--platform {','.join(making.PLATFORMS)} " in build
    words = shlex.split(run)
    at = words.index("--security-opt")
    assert tuple(words[at : at + len(podman.OPTIONS)]) == podman.OPTIONS
    assert " ".join(podman.OPTIONS) in page.PAGE.read_text()


class Service(NamedTuple):
    """A registry that wants a password, one with a base image for everyone, and a user of this machine."""

    address: str
    base: str
    login: Login
    user: Person
    look: Program


@pytest.fixture
def service(
    unprivileged: Person,
    registry: LocalRegistry,
    password_registry: LocalRegistry,
    login: Login,
    polyarch: Program,
    busybox: str,
) -> Service:
    address, base = password_registry.address, f"{registry.address}/busybox"
    polyarch("login", "-u", login.user, "--password-stdin", address, stdin=login.password)
    polyarch("tag", busybox, base)
    polyarch("push", base)
    return Service(address, base, login, unprivileged, polyarch)


@pytest.mark.parametrize("section", ["A shell", "GitLab CI"])
def test_a_script_builds_and_pushes(section: str, service: Service) -> None:
    user = service.user
    work = user.directory / "work"
    work.mkdir()
    user.give(work)

    def run(script: str, variables: dict[str, str]) -> None:
        programs = user.polyarch
        path = f"{programs.path.parent}:{programs.env['PATH']}"
        user.run("bash", "-euc", script, cwd=work, env={**variables, "PATH": path})

    login = (service.login.user, service.login.password)
    perform(run, work, service.look, service.address, service.base, login, SCRIPTS[section])


@pytest.mark.parametrize("section", ["GitHub Actions", "With docker's actions"])
def test_a_workflow_builds_and_pushes(section: str, service: Service) -> None:
    user = service.user
    machines = local(user.polyarch, user.directory / "machines", user.give)
    login = (service.login.user, service.login.password)
    repository, _ = perform_workflow(machines, service.address, service.base, login, section)
    tags = {"GitHub Actions": ["v1.2.3"], "With docker's actions": ["1.2.3", "1.2", "latest"]}[section]
    indexes = [verify(service.look, f"{repository}:{tag}") for tag in tags]
    assert all(index == indexes[0] for index in indexes)
