"""`rmi`: names go, and with the last of them the content; or the content for some platforms, under a kept index."""

from typing import TYPE_CHECKING

import msgspec

from polyarch.errors import ConflictError, CorruptError, NotFoundError, UsageError
from polyarch.images import names
from polyarch.images.names import Named
from polyarch.oci import document as documents
from polyarch.oci import index as indexes
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.oci.platform import Platform
from polyarch.transfer import choosing
from polyarch.transfer.choosing import Leaf

if TYPE_CHECKING:
    from polyarch.store import Store


class Removed(msgspec.Struct, frozen=True):
    """What went: names, and the digests of manifests."""

    untagged: tuple[str, ...] = ()
    deleted: tuple[Digest, ...] = ()


def remove(
    store: "Store", text: str, platforms: tuple[Platform, ...] = (), *, force: bool = False, prune: bool = True
) -> Removed:
    """Take the name `text` away, or all names of an id; of an index with `platforms`, only their content.

    `text` by id needs `force` where the image has several names, as with docker. What no name needs any more is
    deleted at once, unless `prune` is False; content that another image shares stays. Raises NotFoundError
    (not with `force`), ConflictError.
    """
    try:
        found = names.find(store, text)
    except NotFoundError:
        if force:
            return Removed()
        raise
    if found.member is not None:
        name, platform = names.familiar(found.name), found.member.platform
        raise ConflictError(
            f"{text} is the image for {platform} of {name}, and goes with it",
            f"'polyarch rmi --platform {platform} {name}' removes its content and keeps the index",
        )
    if platforms:
        return _remove_platforms(store, found, platforms)
    untagged: list[str] = []
    if not found.by_id:
        store.untag(found.name)
        untagged.append(found.name)
    else:
        untagged += sorted(name for name, other in store.tagged().items() if other.digest == found.descriptor.digest)
        if len(untagged) > 1 and not force:
            raise ConflictError(
                f"{text} has several names: {', '.join(map(names.familiar, untagged))}",
                "remove them by name, or all of them with --force",
            )
        for name in untagged:
            store.untag(name)
        store.forget(found.descriptor.digest)
    shown = tuple(names.familiar(name) for name in untagged)
    return Removed(shown, _sweep(store, _graph(store, found.descriptor.digest)) if prune else ())


def _remove_platforms(store: "Store", found: Named, platforms: tuple[Platform, ...]) -> Removed:
    """The index stays as it is, with its digest, so that what it lost can be fetched again."""
    shown = names.familiar(found.name)
    root = _document(store, found.descriptor.digest)
    if not isinstance(root, Index):
        raise UsageError(f"{shown} is no index but one image", f"'polyarch rmi {shown}' removes it")
    leaves = [leaf for platform in platforms for leaf in _of_platform(store, root, platform, shown)]
    others = {
        child
        for name, other in store.tagged().items()
        if other.digest != found.descriptor.digest
        for child in _graph(store, other.digest)
    }
    candidates: set[Digest] = set()
    members: set[Digest] = set()
    for leaf in leaves:
        if leaf.entry.digest in others:
            raise ConflictError(
                f"the image of {shown} for {leaf.entry.platform} is also another name's",
                "remove that name first; 'polyarch images' shows the digests",
            )
        for digest in (leaf.entry.digest, *(note.digest for note in leaf.about)):
            members.add(digest)
            candidates |= _graph(store, digest)
    # As long as the index is here its members are reachable, so the collection cannot take them: they go first.
    # A reader may meet a manifest that is gone at any time (store/layout.py).
    gone = tuple(leaf.entry.digest for leaf in leaves if store.blob_path(leaf.entry.digest).exists())
    for digest in members:
        store.blob_path(digest).unlink(missing_ok=True)
    return Removed((), tuple(dict.fromkeys((*gone, *_sweep(store, candidates)))))


def _of_platform(store: "Store", root: Index, platform: Platform, shown: str) -> list[Leaf]:
    found = [leaf for leaf in choosing.leaves(store, root, platform) if indexes.meant_by(platform)(leaf.entry)]
    if not found:
        raise NotFoundError(f"{shown} has no image for {platform}", f"it is for {choosing.describe(store, root)}")
    return found


def _sweep(store: "Store", candidates: set[Digest]) -> tuple[Digest, ...]:
    """Delete those of `candidates` that nothing needs; which ones went."""
    from polyarch.store.gc import Keep

    # Layers that only a build's cache remembers are none of this command's business: `prune` takes them. A manifest
    # that nothing points at is: kept, it would keep what it names.
    manifests = {document.digest for document in store.manifests()}
    others = frozenset(store.find_by_prefix("")) - candidates - manifests
    reclaimed = store.gc(Keep(digests=others, snapshots=None))
    return tuple(Digest(item.name) for item in reclaimed.removed if item.name in candidates)


def _graph(store: "Store", root: Digest) -> set[Digest]:
    """All that hangs on a manifest or index, as far as it is here. Read without a lease, or nothing would go."""
    seen: set[Digest] = set()
    pending = [root]
    while pending:
        digest = pending.pop()
        if digest in seen:
            continue
        seen.add(digest)
        document = _document(store, digest)
        if isinstance(document, Index):
            pending += [entry.digest for entry in document.manifests]
        elif document is not None:
            seen.update(child.digest for child in (document.config, *document.layers))
    return seen


def _document(store: "Store", digest: Digest) -> Manifest | Index | None:
    try:
        return documents.load(store.blob_path(digest).read_bytes())
    except (FileNotFoundError, CorruptError):
        return None
