"""Combine images that were built on several machines into one index, without a registry."""

from collections.abc import Callable, Sequence

import msgspec

from polyarch import progress
from polyarch.errors import NotFoundError, UsageError
from polyarch.indexes import create, lists, members
from polyarch.indexes.create import Changed
from polyarch.indexes.members import IndexEntry
from polyarch.oci import index as indexes
from polyarch.oci.config import ImageConfig
from polyarch.oci.document import Index, Manifest
from polyarch.transfer import copy as copier
from polyarch.transfer import graph as graphs
from polyarch.transfer import locate
from polyarch.transfer.archive import OciArchive
from polyarch.transfer.compressed import Compacted, compacted
from polyarch.transfer.layout import LayoutSource
from polyarch.transfer.locate import Places


class Disagreement(msgspec.Struct, frozen=True):
    """A setting that differs between platforms, though it should not: its name, and (platform, value) pairs."""

    field: str
    values: tuple[tuple[str, str], ...]


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """The merged index under each of its names, and the differences between its images."""

    lists: tuple[Changed, ...]
    drift: tuple[Disagreement, ...]


def merge(
    places: Places,
    sources: Sequence[str],
    names: Sequence[str],
    *,
    allow_duplicates: bool = False,
    emit: progress.Emit = progress.ignore,
) -> Merged:
    """Create one index from all images in the layouts and archives `sources`, and store it completely under `names`.

    Names inside a source are ignored; with a prefix, `oci-archive:PATH:NAME` selects one image. Raises ConflictError
    if two images are for one platform, NotFoundError, CorruptError; then no name has changed.
    """
    if not names:
        raise UsageError("merge needs a name for the index", "give one with -t NAME")
    if not sources:
        raise UsageError("merge needs images", "name one or more layouts or archives")
    references = [lists.name_of(name) for name in names]
    entries: list[IndexEntry] = []
    for text in sources:
        entries += _store_source(places, text, emit)
    index = indexes.ordered(create.combine(None, entries, allow_duplicates=allow_duplicates)[0])
    changed = tuple(
        Changed(
            name=str(reference),
            index=index,
            descriptor=lists.save(places.store, reference, index),
            added=index.manifests,
        )
        for reference in references
    )
    return Merged(lists=changed, drift=drift(places, index))


def drift(places: Places, index: Index) -> tuple[Disagreement, ...]:
    """The differences between the images of an index in the store, except those that depend on the platform."""
    read: list[tuple[str, Manifest, ImageConfig]] = []
    for entry in indexes.images(index):
        document = graphs.read_node(places.store, entry).document
        if isinstance(document, Manifest) and document.is_image:
            read.append((str(entry.platform), document, members.image_config(places.store, document)))
    differences = []
    for field, value in _COMPARED.items():
        values = tuple((platform, value(manifest, config)) for platform, manifest, config in read)
        if len({text for _, text in values}) > 1:
            differences.append(Disagreement(field, values))
    for field, table in _TABLES.items():
        tables = [(platform, table(config)) for platform, _, config in read]
        for key in sorted({key for _, pairs in tables for key in pairs}):
            values = tuple((platform, pairs.get(key, "(not set)")) for platform, pairs in tables)
            if len({text for _, text in values}) > 1:
                differences.append(Disagreement(f"{field} {key}", values))
    return tuple(differences)


def _run_field(name: str) -> Callable[[Manifest, ImageConfig], str]:
    return lambda _, config: msgspec.json.encode(config.run.get(name)).decode()


_COMPARED: dict[str, Callable[[Manifest, ImageConfig], str]] = {
    "layers": lambda manifest, _: str(len(manifest.layers)),
    "entrypoint": _run_field("Entrypoint"),
    "cmd": _run_field("Cmd"),
    "user": _run_field("User"),
    "working directory": _run_field("WorkingDir"),
    "exposed ports": _run_field("ExposedPorts"),
    "volumes": _run_field("Volumes"),
}


_TABLES: dict[str, Callable[[ImageConfig], dict[str, str]]] = {
    "env": lambda config: config.env,
    "label": lambda config: config.labels,
}


def _store_source(places: Places, text: str, emit: progress.Emit) -> list[IndexEntry]:
    """Store everything of one source. Returns its entries."""
    location = locate.parse(text) if _has_prefix(text) else locate.of_path(text)
    unit = f"merge {text}"
    options = copier.CopyOptions(unit=unit, present_only=True)
    result: list[IndexEntry] = []
    with locate.opened(location, places) as opened:
        located = msgspec.structs.replace(opened, source=compacted(opened.source, places.store))
        if location.name or not isinstance(located.source, LayoutSource | OciArchive | Compacted):
            digests = [located.source.resolve(location.name).digest]
        else:
            digests = list(dict.fromkeys(named.descriptor.digest for named in located.source.images()))
        if not digests:
            raise NotFoundError(f"{text} has no images", "build one into it with: polyarch build -o type=oci,dest=…")
        with progress.reported(emit, unit, unit):
            for digest in digests:
                copier.copy(located.source, digest, places.store, (), options, emit)
                result += members.gather_found(places, located, digest, text).entries
    return result


def _has_prefix(text: str) -> bool:
    return any(text.startswith(prefix) for prefix, _ in locate.PREFIXES)
