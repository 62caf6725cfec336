"""`create`, `cp`, `export`, `rm`, `ps`: containers that take files out of an image, and never run.

That is how programs get a file out of an image: `id=$(docker create IMAGE); docker cp $id:/path .; docker rm $id`.
"""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyarch.cli import options
from polyarch.cli.commands.run import run
from polyarch.cli.session import Session, pass_session
from polyarch.errors import ConflictError, NotFoundError, PolyarchError, UnsupportedError, UsageError
from polyarch.store.containers import Container

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from polyarch.images.files import ImageFiles
    from polyarch.transfer.choose import ChosenImage

_HEADER = ("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES")
_SHORT = 12
_COMMAND = 20


@pass_session
def _create(session: Session, /, image: str, arguments: tuple[str, ...], **words: Any) -> None:
    from polyarch.cli import run_flags
    from polyarch.images import run as running

    registry = session.registry_for([image] if words["insecure"] else ())
    with session.display("quiet" if words["quiet"] else None, verb="Pulling") as emit:
        wanted = session.platform(words["platform"])
        chosen, _ = running.find(session.store, registry, image, wanted, session.host(), words["pull"], emit)
    given = running.RunOptions(
        arguments=arguments,
        entrypoint=None if words["entrypoint"] is None else tuple(filter(None, [words["entrypoint"]])),
    )
    try:
        command = running.command_line(chosen.config, given, image)
    except UsageError:
        # A container that only files are copied from needs no command; docker asks for any.
        command = ()
    name = run_flags.write_cidfile(words["cidfile"]) if words["cidfile"] else ""
    made = session.store.containers.create(
        Container(
            id=name,
            name=words["name"] or "",
            image=image,
            digest=chosen.descriptor.digest,
            platform=str(chosen.platform),
            command=command,
            created=time.time(),
        )
    )
    click.echo(made.id)


create = click.Command(
    "create",
    params=list(run.params),
    callback=_create,
    context_settings=run.context_settings,
    help="Create a container, and print its id. It is not run: cp copies files out of it, and rm removes it.\n\n"
    "Takes the options of run.",
)


@click.command("cp")
@click.argument("source", metavar="IMAGE:PATH|CONTAINER:PATH")
@click.argument("target", metavar="DEST|-")
@click.option("-L", "--follow-link", is_flag=True, help="Copy what a symbolic link at PATH leads to")
@click.option("-a", "--archive", is_flag=True, help="Keep owners (needs root)")
@click.option("-q", "--quiet", is_flag=True, help="Accepted: only errors are shown")
@options.platform(several=False, help="Platform of an image (default: this machine's)")
@pass_session
def cp(
    session: Session, source: str, target: str, follow_link: bool, archive: bool, quiet: bool, platform: str | None
) -> None:
    """Copy a file or directory of an image or a container to DEST, or to standard output as a tar.

    If DEST is a directory, the copy is placed in it; PATH/. copies only what is in a directory.
    """
    from polyarch.images import files

    name, colon, path = _split(source)
    if not colon:
        raise UsageError(
            f"{source!r} names no file of an image", "expected IMAGE:PATH or CONTAINER:PATH; nothing is copied into one"
        )
    if target == "-":
        _refuse_terminal("a tar")
        with _opened(session, name, platform) as image:
            files.write_tar(sys.stdout.buffer, image.members(path, follow=follow_link))
        return
    place = Path(target)
    if target.endswith("/") and not place.is_dir():
        raise NotFoundError(f"cannot copy to {target}: there is no such directory", "create it first")
    with _opened(session, name, platform) as image:
        image.copy(path, place, follow=follow_link, owner=archive)


@click.command("export")
@click.argument("name", metavar="IMAGE|CONTAINER")
@click.option("-o", "--output", metavar="FILE", help="Write to FILE (default: standard output)")
@options.platform(several=False, help="Platform of an image (default: this machine's)")
@pass_session
def export(session: Session, name: str, output: str | None, platform: str | None) -> None:
    """Write all files of an image or a container as a tar, without metadata; import makes an image of it again."""
    from polyarch.images import files

    if output in (None, "-"):
        _refuse_terminal("a tar")
        with _opened(session, name, platform) as image:
            files.write_tar(sys.stdout.buffer, image.export())
        return
    path = Path(str(output))
    if path.is_dir():
        raise ConflictError(f"{path} is a directory", "name a file with -o FILE")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with _opened(session, name, platform) as image:
        try:
            with temporary.open("xb") as file:
                files.write_tar(file, image.export())
            temporary.replace(path)
        except OSError as error:
            raise PolyarchError(f"cannot write {path}: {error.strerror or error}") from error
        finally:
            temporary.unlink(missing_ok=True)


@click.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="CONTAINER...")
@click.option("-f", "--force", is_flag=True, help="Ignore containers that do not exist")
@click.option("-v", "--volumes", is_flag=True, help="Accepted: such a container has no volumes")
@pass_session
def rm(session: Session, names: tuple[str, ...], force: bool, volumes: bool) -> int:
    """Remove containers that create made. One that runs ends with the command that runs it."""
    from polyarch.cli.removing import remove_each

    known = session.store.containers
    return remove_each(session, names, lambda name: known.remove(known.find(name)), force=force)


@click.command("prune")
@click.option("-f", "--force", is_flag=True, help="Accepted: nothing is lost that an image does not have")
@click.option("--filter", "filters", multiple=True, hidden=True)
@pass_session
def prune(session: Session, force: bool, filters: tuple[str, ...]) -> None:
    """Remove all containers that create made."""
    if filters:
        raise UnsupportedError("container prune --filter is not supported", "polyarch rm removes single containers")
    for one in session.store.containers.all():
        if not one.runs:
            session.store.containers.remove(one)
            click.echo(one.id)
    click.echo("Total reclaimed space: 0B")


@click.command("ps", context_settings={"ignore_unknown_options": True})
@click.option("-a", "--all", "everything", is_flag=True, help="Show containers that create made, too")
@click.option("-q", "--quiet", is_flag=True, help="Print the ids only")
@click.option("--no-trunc", is_flag=True, help="Print whole ids and commands")
@click.option("--format", "form", metavar="FORMAT", help="Output format: table, json or a Go template")
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@pass_session
def ps(
    session: Session, everything: bool, quiet: bool, no_trunc: bool, form: str | None, words: tuple[str, ...]
) -> None:
    """List containers. None runs in the background: each ends with the command that runs it."""
    from polyarch.cli.formats import show
    from polyarch.render import tables

    found = [one for one in session.store.containers.all() if not one.runs] if everything else []
    ids = [one.id if no_trunc else one.id[:_SHORT] for one in found]
    if quiet:
        click.echo("".join(f"{each}\n" for each in ids), nl=False)
        return
    rows = [_row(one, shown, whole=no_trunc) for one, shown in zip(found, ids, strict=True)]

    def table() -> str:
        if not rows:
            return "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"
        fields = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
        return tables.render(_HEADER, [[row[field] for field in fields] for row in rows])

    show(form, rows, table, {"ID": "CONTAINER ID", "RunningFor": "CREATED", "Names": "NAMES"})


def _row(one: Container, shown: str, *, whole: bool) -> dict[str, str]:
    from polyarch.cli.formats import since

    command = " ".join(one.command)
    command = command if whole or len(command) <= _COMMAND else f"{command[: _COMMAND - 1]}…"
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(one.created))
    return {
        "ID": shown,
        "Image": one.image,
        "Command": f'"{command}"',
        "CreatedAt": f"{moment}Z",
        "RunningFor": since(moment),
        "Status": "Created",
        "State": "created",
        "Ports": "",
        "Names": one.name,
        "Labels": "",
        "Mounts": "",
        "Networks": "",
    }


def _split(source: str) -> tuple[str, str, str]:
    """The name and the path of NAME:PATH. A name may have colons, but none before a slash; a path may be relative."""
    name, colon, path = source.partition(":/")
    if colon:
        return name, colon, f"/{path}"
    return source.rpartition(":")


def _opened(session: Session, name: str, platform: str | None) -> "AbstractContextManager[ImageFiles]":
    """The files of a container, or of an image in the store. Raises NotFoundError."""
    from polyarch.images.files import ImageFiles

    image = _chosen(session, name, platform)
    return ImageFiles.opened(session.store, session.registry(), image, name, session.warn_of)


def _chosen(session: Session, name: str, platform: str | None) -> "ChosenImage":
    from polyarch.images import names
    from polyarch.transfer import choose
    from polyarch.transfer.read_through import ReadThroughSource

    source = ReadThroughSource(session.store, session.registry())
    wanted = session.platform(platform)
    try:
        made = session.store.containers.find(name)
    except NotFoundError as missing:
        try:
            image = names.find(session.store, name)
        except (NotFoundError, UsageError) as error:
            raise NotFoundError(
                f"there is no container and no image {name} in the store", f"'polyarch pull {name}' fetches an image"
            ) from (error or missing)
        return choose.choose(source, image.familiar, image.descriptor, wanted, session.host())
    try:
        image = names.find(session.store, made.digest)
    except NotFoundError as error:
        raise NotFoundError(
            f"the image {made.image} of the container {name} was removed", "pull or build it"
        ) from error
    return choose.choose(source, made.image, image.descriptor, wanted, session.host())


def _refuse_terminal(what: str) -> None:
    if sys.stdout.isatty():
        raise UsageError(f"refusing to write {what} to a terminal", "redirect standard output, or name a file")
