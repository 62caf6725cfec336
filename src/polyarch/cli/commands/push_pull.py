"""`pull` and `push`: between the store and registries."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import click

from polyarch.cli import options
from polyarch.cli.session import Session, pass_session
from polyarch.errors import NotFoundError, PolyarchError, UsageError

_Item = TypeVar("_Item")
_Done = TypeVar("_Done")


@click.command("pull")
@click.argument("name", metavar="NAME[:TAG|@DIGEST]")
@options.platform(several=True, help="Fetch these platforms (default: this machine's)")
@click.option("--all-platforms", is_flag=True, help="Fetch every platform, and attestations")
@click.option("-a", "--all-tags", is_flag=True, help="Fetch every tag of the repository")
@click.option("-q", "--quiet", is_flag=True, help="Print the name only")
@options.progress
@options.insecure
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
    """Fetch an image from its registry. The index stays whole, even where not every platform is fetched."""
    from polyarch.images import pull as pulling
    from polyarch.oci import reference as references

    if all_platforms and platform:
        raise UsageError("--all-platforms and --platform cannot be combined", "choose one of them")
    reference = references.parse(name)
    if all_tags and (reference.tag or reference.digest):
        raise UsageError(
            "--all-tags takes a name without a tag", f"say 'polyarch pull --all-tags {name.split(':')[0]}'"
        )
    chosen = session.platforms(platform or ([default] if (default := session.environment.default_platform) else ()))
    wanted = None if all_platforms else chosen or (session.host(),)
    registry = session.registry([reference.domain] if insecure else ())
    every = registry.repository(reference).tags() if all_tags else (reference.tagged().tag,)
    with session.display("quiet" if quiet else progress, verb="Pulling") as emit:
        pulled, failed = _each(
            [reference.tagged(tag or "latest") for tag in every],
            lambda one: pulling.pull(session.store, registry, one, wanted, emit),
        )
    for done in pulled:
        if not quiet:
            click.echo(f"Digest: {done.descriptor.digest}")
        click.echo(done.name)
    for one, error in failed:
        session.error(PolyarchError(f"{one.familiar()} was not fetched: {error.message}", error.hint))
    return 1 if failed else 0


@click.command("push")
@click.argument("name", metavar="NAME[:TAG]", shell_complete=options.complete_image)
@options.platform(several=True, help="Send only these platforms, under the same index where the registry takes it")
@click.option("-a", "--all-tags", is_flag=True, help="Send every tag of the repository")
@click.option("-q", "--quiet", is_flag=True, help="Print the name only")
@options.progress
@options.insecure
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
    from polyarch.images import names
    from polyarch.images import push as pushing
    from polyarch.oci import reference as references

    reference = references.parse(name)
    registry = session.registry([reference.domain] if insecure else ())
    if all_tags:
        if reference.tag or reference.digest:
            raise UsageError("--all-tags takes a name without a tag", "say 'polyarch push --all-tags NAME'")
        start = f"{reference}:"
        chosen = [tag for tag in sorted(session.store.tagged()) if tag.startswith(start)]
        if not chosen:
            raise NotFoundError(f"the store has no tag of {name}", "'polyarch images' lists what is here")
    else:
        chosen = [name]
    wanted = session.platforms(platform) or None
    with session.display("quiet" if quiet else progress, verb="Pushing") as emit:
        pushed, failed = _each(chosen, lambda tag: pushing.push(session.store, registry, tag, wanted, emit))
    for done in pushed:
        if quiet:
            click.echo(done.name)
            continue
        if done.note:
            session.note(done.note)
        click.echo(f"{done.tag}: digest: {done.descriptor.digest} size: {done.descriptor.size}")
    for tag, error in failed:
        session.error(PolyarchError(f"{names.familiar(tag)} was not pushed: {error.message}", error.hint))
    return 1 if failed else 0


def _each(
    items: Sequence[_Item], work: Callable[[_Item], _Done]
) -> tuple[list[_Done], list[tuple[_Item, PolyarchError]]]:
    """What became of each item, and the errors of those that failed; of a single one, the error is raised."""
    done: list[_Done] = []
    failed: list[tuple[_Item, PolyarchError]] = []
    for item in items:
        try:
            done.append(work(item))
        except PolyarchError as error:
            if len(items) == 1:
                raise
            failed.append((item, error))
    return done, failed
