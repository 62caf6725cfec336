"""Chooses the kind of a project, and makes the three files for it."""

import re
from collections.abc import Callable, Mapping

import msgspec

from polyarch.errors import NotFoundError, UsageError
from polyarch.scaffold import go, java, node, python, rust, static
from polyarch.scaffold.project import Project, ProjectPlan

# The kinds, in the order in which they are tried: a site often has tools in package.json, a program seldom has a page.
_KINDS: Mapping[str, Callable[[Project], ProjectPlan | None]] = {
    "go": go.plan,
    "rust": rust.plan,
    "java": java.plan,
    "python": python.plan,
    "node": node.plan,
    "static": static.plan,
}
KINDS = tuple(_KINDS)
# What `init` looks for, for its help and its errors.
RECOGNIZED = (
    "Go (go.mod), Rust (Cargo.toml), Java (pom.xml, build.gradle, *.java), Python (pyproject.toml, requirements.txt, "
    "main.py), Node.js (package.json), static sites (index.html)"
)
DOCKERFILE, IGNORE, BAKE = "Dockerfile", ".dockerignore", "docker-bake.hcl"
PLATFORMS = ("linux/amd64", "linux/arm64")

_IGNORED = (".git", ".github", ".gitignore", DOCKERFILE, IGNORE, "docker-bake.*", "compose*.y*ml", ".env", ".env.*")


class Scaffold(msgspec.Struct, frozen=True, kw_only=True):
    """The files by name, and what to say about them. `others` are further kinds that the project could be."""

    kind: str
    plan: ProjectPlan
    files: Mapping[str, str]
    others: tuple[str, ...] = ()


def scaffold(project: Project, kind: str | None = None) -> Scaffold:
    """The files for a project: of this kind, or of the first kind that fits.

    Raises NotFoundError if the project is of no known kind, and UsageError for files of it that cannot be read.
    """
    if kind is not None and kind not in _KINDS:
        raise UsageError(f"--kind {kind} is unknown", f"known: {', '.join(KINDS)}")
    fitting: dict[str, ProjectPlan] = {}
    for name in [kind] if kind else KINDS:
        plan = _KINDS[name](project)
        if plan is not None:
            fitting[name] = plan
    if not fitting:
        what = f"a project of the kind {kind}" if kind else "a project that init knows"
        raise NotFoundError(f"{project.name or 'the directory'} is not {what}", f"recognized: {RECOGNIZED}")
    chosen, *others = fitting
    files = {
        DOCKERFILE: fitting[chosen].dockerfile,
        IGNORE: "\n".join((*_IGNORED, *fitting[chosen].ignored)) + "\n",
        BAKE: _bake(image_name(project.name)),
    }
    return Scaffold(kind=chosen, plan=fitting[chosen], files=files, others=tuple(others))


def image_name(name: str) -> str:
    """The name of a directory as the name of an image: lower case letters, digits and separators."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    return "-".join(words) or "app"


def _bake(name: str) -> str:
    platforms = ", ".join(f'"{platform}"' for platform in PLATFORMS)
    return f"""\
variable "TAG" {{
  default = "latest"
}}

group "default" {{
  targets = ["app"]
}}

target "app" {{
  context   = "."
  platforms = [{platforms}]
  tags      = ["{name}:${{TAG}}"]
}}
"""
