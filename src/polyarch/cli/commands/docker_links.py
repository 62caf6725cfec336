"""`docker-links`: writes links by whose names Polyarch is called as docker."""

import os
import shutil
import sys
from pathlib import Path

import click

from polyarch.cli.session import Session, pass_session
from polyarch.errors import ConflictError, NotFoundError

_NAMES = ("docker", "docker-buildx")


@click.command("docker-links")
@click.argument("directory", metavar="DIR")
@click.option("-f", "--force", is_flag=True, help="Replace files that are there")
@pass_session
def docker_links(session: Session, directory: str, force: bool) -> None:
    """Write links named docker and docker-buildx into DIR, for programs that call docker.

    Put DIR first on PATH. Credential helpers (docker-credential-*) are not touched.
    """
    program = _program(session)
    place = Path(directory)
    place.mkdir(parents=True, exist_ok=True)
    for name in _NAMES:
        link = place / name
        if os.path.lexists(link) and not force and os.path.realpath(link) != os.path.realpath(program):
            raise ConflictError(
                f"{link} exists, and is not a link of Polyarch", "choose another directory, or use --force"
            )
    for name in _NAMES:
        link = place / name
        fresh = place / f".{name}-{os.getpid()}"
        os.symlink(program, fresh)
        # Replaces an older link at once: a pipeline that runs beside never finds none.
        os.replace(fresh, link)
        click.echo(str(link))
    if str(place.resolve()) not in session.environment.search_path.split(":"):
        session.note(f'put it first on PATH: export PATH="{place.resolve()}:$PATH"')


def _program(session: Session) -> Path:
    """The file that was called. Raises NotFoundError if that is not one that a link could name."""
    called = Path(sys.argv[0])
    for candidate in (called, Path(sys.executable).parent / "polyarch", shutil.which("polyarch")):
        if (
            candidate
            and os.path.isfile(candidate)
            and os.access(candidate, os.X_OK)
            and Path(candidate).suffix != ".py"
        ):
            return Path(os.path.realpath(candidate))
    raise NotFoundError("the program polyarch was not found", "install the package, which writes it")
