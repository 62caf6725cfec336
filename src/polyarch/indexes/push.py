"""Sending a list to a registry: its members first, mounted or copied from wherever they are, then the list."""

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
    """How to push: converted to `format` ("oci", "docker") where one is given; `purge` lets the local list go."""

    format: str | None = None
    purge: bool = False
    platforms: tuple[Platform, ...] | None = None


class PushedIndex(msgspec.Struct, frozen=True, kw_only=True):
    """What was pushed where.

    `note` says which index it was where only some platforms went; `warnings` what changed there since it was last
    read, and what the format had no place for.
    """

    destination: Reference
    sent: Sent
    note: str = ""
    warnings: tuple[str, ...] = ()


def push(
    places: Places,
    name: str,
    destination: str = "",
    options: PushOptions | None = None,
    emit: progress.Emit = progress.ignore,
) -> PushedIndex:
    """Send the list `name` to its registry, or to `destination`. The list here is left as it is.

    Raises NotFoundError before anything is sent where a member cannot be had, UnsupportedError for what docker's
    format cannot say, RegistryError.
    """
    options = options or PushOptions()
    lists.load(places.store, name)
    reference = lists.name_of(name)
    target = _target(destination) if destination else reference
    lazy = ReadThroughSource(places.store, places.registry)
    converted = Converted(lazy, to_docker=options.format == "docker") if options.format is not None else None
    source: Source = converted or lazy
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
        lists.rm(places.store, (name,))
    return PushedIndex(
        destination=target,
        sent=sent,
        note=note(sent, options.platforms),
        warnings=(*warnings, *(converted.left_out if converted is not None else ())),
    )


def note(sent: Sent, platforms: tuple[Platform, ...] | None) -> str:
    """What a person should know of a push of some platforms: which index it was. Empty for a whole image."""
    only = ", ".join(map(str, platforms or ()))
    if sent.form == "sparse":
        return f"the index was sent as it is, with its images for {only} alone: the registry takes that"
    if sent.form == "subset":
        return f"the registry does not take an index with a part of its images: an index of just {only} was sent"
    return ""


def _target(destination: str) -> Reference:
    """Raises UsageError for what is no registry."""
    if locate.parse(destination).kind not in ("any", "registry"):
        raise UsageError(
            f"a list is pushed to a registry, and {destination} is none",
            "polyarch save writes archives, polyarch buildx imagetools create -t oci-layout://DIR:TAG layouts",
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
