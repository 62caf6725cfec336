"""Python: packages are installed into a virtual environment, for each platform, because many contain compiled code."""

import json
from collections.abc import Mapping
from typing import Any

from polyarch.scaffold.project import Project, ProjectPlan, command, is_word, table, version

_VERSION = "3.13"
_BUILD = """\
FROM python:{version}-slim AS build
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
WORKDIR /src
{steps}
"""
_RUNTIME = """\
FROM python:{version}-slim
ENV PYTHONUNBUFFERED=1
WORKDIR /app
{copies}
USER 65532:65532
{command}
"""
_PIP = "RUN --mount=type=cache,target=/root/.cache/pip pip install"
_PROGRAMS = ("main.py", "app.py", "server.py", "__main__.py", "src/main.py", "run.py")
_IGNORED = ("__pycache__", "**/__pycache__", "**/*.pyc", ".venv", "venv", ".pytest_cache", ".mypy_cache", "*.egg-info")
# Servers by the packages that the project requires: the words of the command, for a module and its program.
_SERVERS: Mapping[str, tuple[str, ...]] = {
    "uvicorn": ("uvicorn", "{module}:app", "--host", "0.0.0.0", "--port", "8000"),
    "gunicorn": ("gunicorn", "--bind", "0.0.0.0:8000", "{module}:app"),
    "flask": ("flask", "--app", "{module}", "run", "--host", "0.0.0.0", "--port", "8000"),
}


def plan(project: Project) -> ProjectPlan | None:
    """The plan for a Python project; None for anything else."""
    document = project.toml("pyproject.toml")
    requirements = project.first("requirements.txt")
    program = project.first(*_PROGRAMS, "manage.py")
    if not (document or requirements or program):
        return None
    required = _required(project, document)
    steps, copies = _steps(project, document, needs=bool(required))
    start, why, sure = _start(project, document, required)
    found = (
        version(project.texts.get(".python-version"), r"(3\.\d+)")
        or version(table(document, "project").get("requires-python"), r"(?:==|~=)\s*(3\.\d+)")
        or _VERSION
    )
    texts = [_BUILD.format(version=found, steps="\n".join(steps))] if steps else []
    texts.append(_RUNTIME.format(version=found, copies="\n".join(copies), command=start))
    file = "pyproject.toml" if document else requirements or program
    reasons = [f"{file}: a Python project, with Python {found}", why]
    reasons.append(
        "packages are installed for each platform, because they may contain compiled code: emulated where it is another"
        if steps
        else "there are no packages to install, so no step runs anything: nothing is emulated"
    )
    notes = [] if sure else ["change CMD if that is not the program"]
    notes += [
        f"{lock} is not used"
        for lock in ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock")
        if lock in project.paths
    ]
    return ProjectPlan(
        title="Python", dockerfile="\n".join(texts), reasons=tuple(reasons), notes=tuple(notes), ignored=_IGNORED
    )


def _steps(project: Project, document: dict[str, Any], *, needs: bool) -> tuple[list[str], list[str]]:
    """The steps that install packages, and those that copy what was installed and the program."""
    steps: list[str] = []
    if "requirements.txt" in project.paths and needs:
        steps += ["COPY requirements.txt ./", f"{_PIP} -r requirements.txt"]
    # Without [build-system] it is a program beside its pyproject.toml, which need not be installable itself.
    if table(document, "build-system") or table(document, "project", "scripts"):
        steps += ["COPY . .", f"{_PIP} ."]
    elif dependencies := _dependencies(document):
        # In exec form, because a requirement has characters that a shell would interpret: package>=1; marker
        steps.append(f"{_PIP.removesuffix('pip install')}{json.dumps(['pip', 'install', *dependencies])}")
    copies = ["ENV PATH=/venv/bin:$PATH", "COPY --from=build /venv /venv"] if steps else []
    return steps, [*copies, "COPY . ."]


def _required(project: Project, document: dict[str, Any]) -> set[str]:
    """The names of the packages that the project requires, in lower case."""
    lines = [line.partition("#")[0].strip() for line in project.texts.get("requirements.txt", "").splitlines()]
    lines += _dependencies(document)
    return {(version(line, r"^([A-Za-z0-9._-]+)") or line).lower().replace("_", "-") for line in lines if line}


def _dependencies(document: dict[str, Any]) -> list[str]:
    """The requirements in pyproject.toml. What begins like an option of pip is none."""
    found = table(document, "project").get("dependencies")
    lines = found if isinstance(found, list) else []
    return [line for line in lines if isinstance(line, str) and line[:1].isalnum()]


def _start(project: Project, document: dict[str, Any], required: set[str]) -> tuple[str, str, bool]:
    """The CMD, why it is that, and whether it is sure."""
    scripts = table(document, "project", "scripts") or table(document, "tool", "poetry", "scripts")
    script = next(iter(scripts), "")
    if is_word(script):
        return command(script), f"scripts in pyproject.toml: the command is {script}", True
    if "manage.py" in project.paths:
        return (
            command("python", "manage.py", "runserver", "0.0.0.0:8000"),
            "manage.py: a Django project, with its development server on port 8000",
            False,
        )
    program = project.first(*_PROGRAMS)
    module = program.removesuffix(".py").replace("/", ".")
    for server, words in _SERVERS.items():
        if program and (server in required or (server == "uvicorn" and "fastapi" in required)):
            filled = (word.format(module=module) for word in words)
            return command(*filled), f"{server} is required: it serves {module} on port 8000", False
    if program:
        return command("python", program), f"{program}: the program", True
    modules = sorted(path for path in project.paths if path.endswith("/__main__.py") and path.count("/") <= 2)
    if modules:
        name = modules[0].removesuffix("/__main__.py").removeprefix("src/").replace("/", ".")
        return command("python", "-m", name), f"{modules[0]}: the program", True
    return command("python"), "no program was found", False
