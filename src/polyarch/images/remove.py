"""`rmi`: remove names, and with the last name the content; or the content of some platforms of an index that stays."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, TypeVar

import msgspec

from polyarch.errors import ConflictError, CorruptError, NotFoundError, PolyarchError, UsageError
from polyarch.images import names
from polyarch.images.names import NamedImage
from polyarch.oci import document as documents
from polyarch.oci import index as indexes
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.oci.layer_table import tables_of
from polyarch.oci.platform import Platform
from polyarch.transfer import select
from polyarch.transfer.select import Leaf

if TYPE_CHECKING:
    from polyarch.store import Store


_T = TypeVar("_T")


class Removed(msgspec.Struct, frozen=True):
    """What was removed: names, and the digests of manifests."""

    untagged: tuple[str, ...] = ()
    deleted: tuple[Digest, ...] = ()


def remove(
    store: "Store", text: str, platforms: tuple[Platform, ...] = (), *, force: bool = False, prune: bool = True
) -> Removed:
    """Remove the name `text`, or all names of an id; with `platforms`, only their content. As in docker, an id needs
    `force` if the image has several names. Content that no name needs any longer is deleted at once, unless `prune` is
    False; content that another image shares stays. Raises NotFoundError (not with `force`), ConflictError.
    """
    (removed,) = remove_all(store, [text], platforms, force=force, prune=prune)
    if isinstance(removed, PolyarchError):
        raise removed
    return removed


def remove_all(
    store: "Store",
    texts: Sequence[str],
    platforms: tuple[Platform, ...] = (),
    *,
    force: bool = False,
    prune: bool = True,
) -> list[Removed | PolyarchError]:
    """As `remove` for several texts, with one collection. The result for a text that could not be removed is its error.
    Content that several of them shared is in the result of the last.
    """
    if platforms:
        return _empty_all(store, texts, platforms, force=force)
    left = _Left(store)
    results = [_attempt(lambda text=text: left.take(text, force)) for text in texts]  # type: ignore[misc]
    taken = [found for found in results if isinstance(found, _Taken)]
    graphs = [_graph(store, found.digest) if found.digest else set[Digest]() for found in taken]
    store.drop([name for found in taken for name in found.names], [found.digest for found in taken if found.all])
    deleted = iter(_delete_unneeded(store, graphs) if prune else [()] * len(taken))
    return [
        Removed(tuple(map(names.familiar, found.names)), next(deleted)) if isinstance(found, _Taken) else found
        for found in results
    ]


class _Taken(msgspec.Struct, frozen=True):
    """The names of the image `digest` that one text removes. `all`: no name is left, so it is not kept unnamed
    either.
    """

    names: tuple[str, ...]
    digest: Digest
    all: bool


class _Left:
    """The names in the store that are left while others are removed. Implements `names.Images`."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._tagged = dict(store.tagged())
        self._kept = list(store.kept())

    def tagged(self) -> Mapping[str, Descriptor]:
        return self._tagged

    def kept(self) -> Sequence[Descriptor]:
        return self._kept

    def peek(self, descriptor: Descriptor) -> Manifest | Index:
        return self._store.peek(descriptor)

    def take(self, text: str, force: bool) -> _Taken:
        """Remove the name, or all names of the id. Raises NotFoundError (not with `force`), ConflictError."""
        found = _found(self, text, force)
        if found is None:
            return _Taken((), Digest(""), all=False)
        digest = found.descriptor.digest
        gone = [found.name]
        if found.by_id:
            gone = sorted(name for name, other in self._tagged.items() if other.digest == digest)
            if len(gone) > 1 and not force:
                raise ConflictError(
                    f"{text} has several names: {', '.join(map(names.familiar, gone))}",
                    "remove them by name, or all of them with --force",
                )
            self._kept = [other for other in self._kept if other.digest != digest]
        for name in gone:
            del self._tagged[name]
        return _Taken(tuple(gone), digest, all=found.by_id)


def _attempt(work: Callable[[], _T]) -> _T | PolyarchError:
    try:
        return work()
    except PolyarchError as error:
        return error


def _found(store: names.NamedRoots, text: str, force: bool) -> NamedImage | None:
    """The names to remove for a text; None with `force` if it does not exist. Raises NotFoundError, ConflictError."""
    try:
        found = names.find(store, text, "'polyarch images' lists the images in the store")
    except NotFoundError:
        if force:
            return None
        raise
    if found.member is not None:
        command = found.command("rmi")
        raise ConflictError(
            f"{text} is {found.described}; it is removed together with the index",
            f"'{command}' removes its content and keeps the index" if command else None,
        )
    return found


class _Emptied(msgspec.Struct, frozen=True):
    """The content that `rmi --platform` removed from an index: manifests, and everything that they name."""

    gone: tuple[Digest, ...] = ()
    candidates: frozenset[Digest] = frozenset()


def _empty_all(
    store: "Store", texts: Sequence[str], platforms: tuple[Platform, ...], *, force: bool
) -> list[Removed | PolyarchError]:
    named = frozenset(descriptor.digest for descriptor in store.tagged().values())
    users = Counter(digest for root in named for digest in _graph(store, root))

    def empty(text: str) -> _Emptied:
        found = _found(store, text, force)
        if found is None:
            return _Emptied()
        own = 1 if found.descriptor.digest in named else 0
        return _empty(store, found, platforms, lambda digest: users[digest] > own)

    results = [_attempt(lambda text=text: empty(text)) for text in texts]  # type: ignore[misc]
    emptied = [found for found in results if isinstance(found, _Emptied)]
    swept = iter(_delete_unneeded(store, [found.candidates for found in emptied]))
    return [
        Removed((), tuple(dict.fromkeys((*found.gone, *next(swept))))) if isinstance(found, _Emptied) else found
        for found in results
    ]


def _empty(
    store: "Store", found: NamedImage, platforms: tuple[Platform, ...], is_shared: Callable[[Digest], bool]
) -> _Emptied:
    """Remove platforms. The index stays unchanged, so that they can be fetched again. `is_shared` returns whether
    another image that has a name needs a digest.
    """
    shown = found.familiar
    root = _document(store, found.descriptor.digest)
    if not isinstance(root, Index):
        raise UsageError(f"{shown} is a single image, not an index", f"'polyarch rmi {shown}' removes it")
    leaves = [leaf for platform in platforms for leaf in _of_platform(store, root, platform, shown)]
    candidates: set[Digest] = set()
    members: set[Digest] = set()
    for leaf in leaves:
        if is_shared(leaf.entry.digest):
            raise ConflictError(
                f"the image of {shown} for {leaf.entry.platform} is also used by another name",
                "remove that name first; 'polyarch images' shows the digests",
            )
        for digest in (leaf.entry.digest, *(note.digest for note in leaf.about)):
            members.add(digest)
            candidates |= _graph(store, digest)
    # The index stays, so a collection would find its members reachable and keep them. Therefore they are removed first.
    # Readers must expect that a manifest can disappear at any time (store/layout.py).
    gone = tuple(leaf.entry.digest for leaf in leaves if store.blob_path(leaf.entry.digest).exists())
    for digest in members:
        store.blob_path(digest).unlink(missing_ok=True)
    return _Emptied(gone, frozenset(candidates))


def _of_platform(store: "Store", root: Index, platform: Platform, shown: str) -> list[Leaf]:
    found = [leaf for leaf in select.leaves(store, root, platform) if indexes.meant_by(platform)(leaf.entry)]
    if not found:
        raise NotFoundError(f"{shown} has no image for {platform}", f"it is for {select.describe(store, root)}")
    return found


def _delete_unneeded(store: "Store", graphs: Sequence[Set[Digest]]) -> list[tuple[Digest, ...]]:
    """Delete the unneeded content of these graphs. Returns the deleted digests, each with the last graph that has
    it.
    """
    from polyarch.store.gc import Keep

    candidates = frozenset[Digest]().union(*graphs)
    if not candidates:
        return [()] * len(graphs)
    # Layers that only the build cache remembers are left for `prune`. A manifest that nothing points at is removed
    # here.
    strays = {document.digest for document in store.manifests()}
    reclaimed = store.maintenance.gc(Keep(only=candidates | strays, snapshots=None))
    left = {Digest(item.name) for item in reclaimed.removed} & candidates
    swept: list[tuple[Digest, ...]] = []
    for graph in reversed(graphs):
        swept.append(tuple(sorted(left & graph)))
        left -= graph
    return swept[::-1]


def _graph(store: "Store", root: Digest) -> set[Digest]:
    """The content of the store that a manifest or index names. Read without a lease, which would prevent its
    deletion.
    """
    seen: set[Digest] = set()
    pending = [root]
    referring = store.referring()
    while pending:
        digest = pending.pop()
        if digest in seen:
            continue
        seen.add(digest)
        pending += [entry.digest for entry in referring.get(digest, ())]
        document = _document(store, digest)
        if isinstance(document, Index):
            pending += [entry.digest for entry in document.manifests]
        elif document is not None:
            seen.update(child.digest for child in (document.config, *document.layers, *tables_of(document)))
    return seen


def _document(store: "Store", digest: Digest) -> Manifest | Index | None:
    try:
        return documents.load(store.blob_path(digest).read_bytes())
    except (FileNotFoundError, CorruptError):
        return None
