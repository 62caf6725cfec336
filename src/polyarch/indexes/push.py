"""Push a list to a registry: first its members, mounted or copied from where they are, then the list."""

import msgspec

from polyarch import progress
from polyarch.errors import NotFoundError, UsageError
from polyarch.indexes import lists
from polyarch.oci.place import Source
from polyarch.oci.platform import Platform
from polyarch.oci.reference import Reference
from polyarch.transfer import locate
from polyarch.transfer.copy import CopyOptions, Sent
from polyarch.transfer.formats import Converted
from polyarch.transfer.locate import Places
from polyarch.transfer.publish import publish, remembered_tag
from polyarch.transfer.read_through import ReadThroughSource


class PushOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to push: converted to `format` ("oci", "docker") if given. `purge` removes the list from the store."""

    format: str | None = None
    purge: bool = False
    platforms: tuple[Platform, ...] | None = None


class PushedIndex(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a push.

    If only some platforms were pushed, `note` says which index was sent. `warnings` say what changed in the registry
    since it was last read, and what the format cannot hold.
    """

    destination: Reference
    sent: Sent
    note: str = ""
    warnings: tuple[str, ...] = ()


def push(
    places: Places,
    name: str | Reference,
    destination: str | Reference = "",
    options: PushOptions | None = None,
    emit: progress.Emit = progress.ignore,
) -> PushedIndex:
    """Send the list `name` to its registry, or to `destination`. Does not change the list in the store.

    Raises NotFoundError before it sends anything if a member is not available, UnsupportedError for what docker's
    format cannot hold, RegistryError.
    """
    options = options or PushOptions()
    reference = lists.name_of(name)
    lists.load(places.store, reference)
    target = _target(destination) if destination else reference
    stored = ReadThroughSource(places.store, places.registry)
    converted = Converted(stored, to_docker=options.format == "docker") if options.format is not None else None
    source: Source = converted or stored
    warnings = _changed_remotely(places, places.registry.repository(target), target)
    unit = f"push {target}"
    with progress.reported(emit, unit, f"push {target.familiar()}"):
        copy_options = CopyOptions(platforms=options.platforms, unit=unit, called=reference.familiar())
        sent = publish(
            places.store,
            places.registry,
            source,
            str(reference),
            target,
            copy_options,
            emit,
            converted=converted is not None,
        )
    if options.purge:
        lists.rm(places.store, (reference,))
    return PushedIndex(
        destination=target,
        sent=sent,
        note=note(sent, options.platforms),
        warnings=(*warnings, *(converted.left_out if converted is not None else ())),
    )


def note(sent: Sent, platforms: tuple[Platform, ...] | None) -> str:
    """A note for the user about a push of some platforms: which index was sent. Empty for a complete image."""
    only = ", ".join(map(str, platforms or ()))
    if sent.form == "sparse":
        return f"sent the complete index, but only its images for {only}: the registry accepts this"
    if sent.form == "subset":
        return f"sent an index with only {only}: the registry does not accept an index without all of its images"
    return ""


def _target(destination: str | Reference) -> Reference:
    """Raises UsageError if the destination is not in a registry."""
    if isinstance(destination, Reference):
        return lists.name_of(destination)
    if locate.parse(destination).kind not in ("any", "registry"):
        raise UsageError(
            f"a list is pushed to a registry, and {destination} is not in one",
            "'polyarch save' writes archives, 'polyarch buildx imagetools create -t oci-layout://DIR:TAG' layouts",
        )
    return lists.name_of(destination.removeprefix("docker://"))


def _changed_remotely(places: Places, repository: Source, target: Reference) -> tuple[str, ...]:
    known = remembered_tag(places.store, target)
    if known is None:
        return ()
    try:
        there = repository.resolve(target.tag).digest
    except NotFoundError:
        return (f"{target.familiar()} is gone from the registry since it was last read there as {known}",)
    if there == known:
        return ()
    return (f"{target.familiar()} was changed in the registry since it was last read: {known} then, {there} now",)
