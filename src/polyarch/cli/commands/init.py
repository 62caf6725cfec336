"""`init`: write a Dockerfile, .dockerignore and bake file for a project. `polyarch.scaffold` makes their texts."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polyarch.cli.session import Session, pass_session
from polyarch.errors import ConflictError, NotFoundError

if TYPE_CHECKING:
    from polyarch.scaffold.project import Project
    from polyarch.scaffold.scaffold import Scaffold

# Enough to recognize a project; a directory may hold anything else besides.
_DEPTH = 8
_MOST_PATHS = 20_000
_MOST_BYTES = 1 << 20
_SKIPPED = frozenset((".git", "node_modules", ".venv", "venv", "target", "__pycache__", ".gradle"))
_READ = frozenset(
    "package.json pyproject.toml requirements.txt go.mod Cargo.toml rust-toolchain.toml pom.xml build.gradle "
    "build.gradle.kts settings.gradle settings.gradle.kts .python-version .nvmrc".split()
)


@click.command("init")
@click.argument("directory", required=False, default=".", metavar="[DIR]")
@click.option("--kind", metavar="KIND", help="What the project is: go, rust, java, python, node or static")
@click.option("--force", is_flag=True, help="Replace files that exist")
@click.option("--print", "print_", is_flag=True, help="Print the files instead of writing them")
@pass_session
def init(session: Session, directory: str, kind: str | None, force: bool, print_: bool) -> None:
    """Write a Dockerfile, .dockerignore and docker-bake.hcl for the project in a directory.

    They build an image for linux/amd64 and linux/arm64, emulating as little as possible. Shows what was found, and
    what follows from it. Files that exist are kept, unless --force is given.
    """
    from polyarch.render import text
    from polyarch.scaffold import scaffold

    place = Path(directory)
    if not place.is_dir():
        raise NotFoundError(f"there is no directory {directory}")
    made = scaffold.scaffold(_project(place), kind)
    if print_:
        for name, content in made.files.items():
            click.echo(f"# {name}\n{content}")
    else:
        _write(place, made.files, force=force)
    for line in _said(made, directory, written=not print_):
        session.note(text.plain(line))


def _project(place: Path) -> "Project":
    """What is there. Links are not followed; a file that cannot be read as text has none."""
    from polyarch.scaffold.project import Project

    paths: list[str] = []
    texts: dict[str, str] = {}
    for parent, directories, files in os.walk(place):
        below = Path(parent).relative_to(place)
        directories[:] = sorted(set(directories) - _SKIPPED) if len(below.parts) < _DEPTH else []
        for name in sorted(files):
            path = (below / name).as_posix()
            paths.append(path)
            if (path in _READ or name.endswith(".java")) and (text := _text(place / path)) is not None:
                texts[path] = text
        if len(paths) > _MOST_PATHS:
            break
    return Project(name=place.resolve().name, paths=frozenset(paths), texts=texts)


def _text(path: Path) -> str | None:
    # A named pipe or device would wait or never end.
    if not path.is_file() or path.stat().st_size > _MOST_BYTES:
        return None
    try:
        return path.read_text("utf-8-sig")
    except (UnicodeDecodeError, OSError):
        return None


def _write(place: Path, files: Mapping[str, str], *, force: bool) -> None:
    """Write all files, or if one exists and may not be replaced, none. Raises ConflictError."""
    existing = [name for name in files if os.path.lexists(place / name)]
    if existing and not force:
        raise ConflictError(
            f"{place} already has {', '.join(existing)}",
            "--force replaces existing files; --print shows what would be written",
        )
    for name, text in files.items():
        # A link is replaced, not followed: what it points to is not the project's.
        with tempfile.NamedTemporaryFile("w", dir=place, prefix=".polyarch-init-", delete=False) as file:
            try:
                file.write(text)
                file.flush()
                os.chmod(file.name, 0o644)
                os.replace(file.name, place / name)
            except BaseException:
                os.unlink(file.name)
                raise


def _said(made: "Scaffold", directory: str, *, written: bool) -> list[str]:
    lines = [f"Found {made.plan.title}:", *(f"  {reason}" for reason in made.plan.reasons)]
    lines += [f"Note: {note}" for note in made.plan.notes]
    if made.others:
        lines.append(f"It could also be {', '.join(made.others)}: choose with --kind")
    if written:
        lines.append(
            f"Wrote {', '.join(made.files)}. Build: {'' if directory == '.' else f'cd {directory} && '}polyarch bake"
        )
    return lines
