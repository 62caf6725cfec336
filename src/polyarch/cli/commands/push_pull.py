"""`pull` and `push`: transfer images between the store and registries."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import click

from polyarch.cli import options
from polyarch.cli.docker_flags import docker_flags
from polyarch.cli.session import Session, pass_session
from polyarch.errors import NotFoundError, PolyarchError, UsageError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@click.command("pull")
@click.argument("name", metavar="NAME[:TAG|@DIGEST]")
@options.platform(several=True, help="Fetch these platforms (default: this machine's)")
@click.option("--all-platforms", is_flag=True, help="Fetch every platform, and attestations")
@click.option("-a", "--all-tags", is_flag=True, help="Fetch every tag of the repository")
@click.option("-q", "--quiet", is_flag=True, help="Print only the name")
@options.progress
@options.insecure
@docker_flags("pull")
@pass_session
def pull(
    session: Session,
    name: str,
    platform: tuple[str, ...],
    all_platforms: bool,
    all_tags: bool,
    quiet: bool,
    progress: str | None,
    insecure: bool,
) -> int:
    """Fetch an image from its registry. Keeps the complete index, even if it does not fetch every platform."""
    from polyarch.images import pull as pulling
    from polyarch.oci import reference as references

    if all_platforms and platform:
        raise UsageError("--all-platforms and --platform cannot be combined", "choose one of them")
    reference = references.parse(name)
    if all_tags and (reference.tag or reference.digest):
        raise UsageError(
            "--all-tags takes a name without a tag", f"use 'polyarch pull --all-tags {name.split(':')[0]}'"
        )
    platforms = session.platforms(platform or ([default] if (default := session.environment.default_platform) else ()))
    wanted = None if all_platforms else platforms or (session.host(),)
    registry = session.registry([reference.domain] if insecure else ())
    tags = registry.repository(reference).tags() if all_tags else ()
    chosen = [reference.tagged(tag) for tag in tags] if all_tags else [reference.tagged()]
    with session.display("quiet" if quiet else progress, verb="Pulling") as emit:
        pulled, failed = _each(
            chosen,
            lambda tagged: pulling.pull(session.store, registry, tagged, wanted, emit),
        )
    for image in pulled:
        if not quiet:
            click.echo(f"Digest: {image.descriptor.digest}")
        click.echo(image.name)
    for tagged, error in failed:
        session.error(PolyarchError(f"{tagged.familiar()} was not fetched: {error.message}", error.hint))
    return 1 if failed else 0


@click.command("push")
@click.argument("name", metavar="NAME[:TAG]", shell_complete=options.complete_image)
@options.platform(several=True, help="Send only these platforms, with the complete index if the registry accepts it")
@click.option("-a", "--all-tags", is_flag=True, help="Send every tag of the repository")
@click.option("-q", "--quiet", is_flag=True, help="Print only the name")
@options.progress
@options.insecure
@docker_flags("push")
@pass_session
def push(
    session: Session,
    name: str,
    platform: tuple[str, ...],
    all_tags: bool,
    quiet: bool,
    progress: str | None,
    insecure: bool,
) -> int:
    """Send an image with all its platforms to its registry."""
    from polyarch.images import push as pushing
    from polyarch.oci import reference as references

    reference = references.parse(name)
    registry = session.registry([reference.domain] if insecure else ())
    if all_tags:
        if reference.tag or reference.digest:
            raise UsageError("--all-tags takes a name without a tag", "use 'polyarch push --all-tags NAME'")
        start = f"{reference}:"
        stored = sorted(session.store.tagged())
        chosen = [reference.tagged(tag.removeprefix(start)) for tag in stored if tag.startswith(start)]
        if not chosen:
            raise NotFoundError(f"the store has no tag of {name}", "'polyarch images' lists the images in the store")
    else:
        chosen = [reference]
    wanted = session.platforms(platform) or None
    with session.display("quiet" if quiet else progress, verb="Pushing") as emit:
        pushed, failed = _each(chosen, lambda tagged: pushing.push(session.store, registry, tagged, wanted, emit))
    for image in pushed:
        if quiet:
            click.echo(image.name)
            continue
        if image.note:
            session.note(image.note)
        click.echo(f"{image.tag}: digest: {image.descriptor.digest} size: {image.descriptor.size}")
    for tagged, error in failed:
        session.error(PolyarchError(f"{tagged.familiar()} was not pushed: {error.message}", error.hint))
    return 1 if failed else 0


def _each(
    items: Sequence[_Item], work: Callable[[_Item], _Result]
) -> tuple[list[_Result], list[tuple[_Item, PolyarchError]]]:
    """Apply `work` to each item. Returns the results, and the items that failed with their errors.

    The error of a single item is raised.
    """
    results: list[_Result] = []
    failed: list[tuple[_Item, PolyarchError]] = []
    for item in items:
        try:
            results.append(work(item))
        except PolyarchError as error:
            if len(items) == 1:
                raise
            failed.append((item, error))
    return results, failed
