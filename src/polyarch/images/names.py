"""What people call an image of the store: its name, its name with a digest, its digest, or the first digits of it."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import msgspec

from polyarch.errors import ConflictError, CorruptError, NotFoundError, RegistryError, UsageError
from polyarch.oci import media_types
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest

if TYPE_CHECKING:
    from polyarch.oci.reference import Reference
    from polyarch.store import Store

_ID = re.compile(r"(?:sha256:)?([0-9a-f]{2,64})")
# As many levels of indexes as the copier takes (transfer/graph.py).
_MAX_DEPTH = 4


class NamedRoots(Protocol):
    """The names of a store, and the documents that they point at."""

    def tagged(self) -> Mapping[str, Descriptor]: ...
    def kept(self) -> Sequence[Descriptor]: ...
    def peek(self, descriptor: Descriptor) -> Manifest | Index: ...


class NamedImage(msgspec.Struct, frozen=True):
    """An image of the store: the full reference that points at it, and what it points at.

    `by_id` says that it was called by its digest; `name` is then the first of its names. `member` is set where the
    digest is that of an entry of the index that `name` points at: then `descriptor` is the entry's.
    """

    name: str
    descriptor: Descriptor
    by_id: bool = False
    member: Descriptor | None = None

    @property
    def described(self) -> str:
        """What a member is, for a message: the image for linux/arm64 of app:latest."""
        if self.member is not None and self.member.is_attestation:
            return f"an attestation of {familiar(self.name)}"
        platform = self.member.platform if self.member is not None else None
        return f"the image for {platform or 'an unknown platform'} of {familiar(self.name)}"

    def command(self, verb: str) -> str:
        """The command that does `verb` to a member, as `rmi --platform linux/arm64 app:latest`; empty if none does."""
        if self.member is None or self.member.is_attestation or self.member.platform is None:
            return ""
        return f"polyarch {verb} --platform {self.member.platform} {familiar(self.name)}"


def full(text: str) -> str:
    """The full reference that `text` spells, with the tag latest where it has none. Raises UsageError."""
    return str(references.parse(text).tagged())


def familiar(name: str) -> str:
    """A full reference in docker's short form; `<none>` for no name; what is no reference, as it is."""
    if not name:
        return "<none>"
    try:
        return references.parse(name).familiar()
    except UsageError:
        return name


def find(store: NamedRoots, text: str) -> NamedImage:
    """The image that `text` calls. A name wins over the digits of an id, as with docker, and an image that has a name
    over the entries of indexes.

    Raises NotFoundError with names that are nearly it, ConflictError where digits fit several images.
    """
    tagged = store.tagged()
    try:
        reference = references.parse(text).tagged()
    except UsageError:
        if _ID.fullmatch(text) is None:
            raise
        reference = None
    if reference is not None and str(reference) in tagged:
        return NamedImage(str(reference), tagged[str(reference)])
    if reference is not None and reference.digest:
        matches = _by_digest(store, reference)
    else:
        matches = by_id(store, text)
    if len({found.descriptor.digest for found in matches}) > 1:
        names = ", ".join(dict.fromkeys(_described(found) for found in matches))
        raise ConflictError(f"several ids begin with {text}: {names}", "give more digits, or use a name")
    if matches:
        return matches[0]
    raise NotFoundError(f"there is no image {text} in the store", _hint(text, tagged))


def by_id(store: NamedRoots, text: str) -> list[NamedImage]:
    """The images whose digest begins with these hexadecimal digits, those without a name last.

    Where there are none, the entries of indexes whose digest does.
    """
    match = _ID.fullmatch(text)
    if match is None:
        return []
    start = f"sha256:{match[1]}"
    roots = [NamedImage(name, found, True) for name, found in store.tagged().items() if found.digest.startswith(start)]
    roots.sort(key=lambda found: found.name)
    roots += [NamedImage("", found, True) for found in store.kept() if found.digest.startswith(start)]
    if roots:
        return roots
    named = [*sorted(store.tagged().items()), *(("", descriptor) for descriptor in store.kept())]
    return [found for found in _members(store, named) if found.descriptor.digest.startswith(start)]


def require_here(store: "Store", found: NamedImage) -> None:
    """Raises NotFoundError that says how to fetch it where an entry of an index is not in the store."""
    if found.member is not None and not store.has_manifest(found.descriptor):
        command = found.command("pull") or f"polyarch pull --all-platforms {familiar(found.name)}"
        raise NotFoundError(
            f"{found.descriptor.digest} is {found.described}, and it is not in the store", f"'{command}' fetches it"
        )


def _by_digest(store: NamedRoots, reference: "Reference") -> list[NamedImage]:
    """What a name with a digest means: an image that goes by it in this repository, or an entry of such an index."""
    named = [
        (name, descriptor)
        for name, descriptor in sorted(store.tagged().items())
        if _repository(name) == reference.repository
    ]
    roots = [NamedImage(name, found) for name, found in named if found.digest == reference.digest]
    members = (
        [] if roots else [found for found in _members(store, named) if found.descriptor.digest == reference.digest]
    )
    return (roots or members)[:1]


def _members(store: NamedRoots, named: Iterable[tuple[str, Descriptor]]) -> Iterator[NamedImage]:
    """The entries of the indexes among these images, those of nested indexes too."""
    seen: set[Digest] = set()
    pending = [(name, root, 0) for name, root in named]
    while pending:
        name, node, depth = pending.pop(0)
        if node.media_type not in media_types.INDEXES or node.digest in seen or depth > _MAX_DEPTH:
            continue
        seen.add(node.digest)
        try:
            # Without a lease, which would keep what `rmi` is about to remove.
            document = store.peek(node)
        except (NotFoundError, CorruptError):
            continue  # what is wrong with it is said by who uses it
        assert isinstance(document, Index)
        for entry in document.manifests:
            plain = Descriptor(media_type=entry.media_type, digest=entry.digest, size=entry.size)
            yield NamedImage(name, plain, True, entry)
            pending.append((name, plain, depth + 1))


def _repository(name: str) -> "Reference | None":
    try:
        return references.parse(name).repository
    except UsageError:
        return None


def _described(found: NamedImage) -> str:
    return familiar(found.name) + (f" for {found.member.platform}" if found.member is not None else "")


@contextmanager
def suggesting(store: NamedRoots, text: str) -> Iterator[None]:
    """Adds to the hint of a NotFoundError or RegistryError inside which names of the store are nearly `text`.

    For who asks a registry for what the store does not have: a slip in the name of a stored image, perhaps.
    """
    try:
        yield
    except (NotFoundError, RegistryError) as error:
        if close := _close(text, store.tagged()):
            besides = f"did you mean {' or '.join(close)}, which the store has?"
            error.hint = f"{error.hint}; {besides}" if error.hint else besides
        raise


def _close(text: str, tagged: Mapping[str, Descriptor]) -> list[str]:
    from difflib import get_close_matches

    # Without the tag that all have: it would make any two names alike.
    short = {name.removesuffix(":latest"): name for name in map(familiar, tagged)}
    return [short[name] for name in get_close_matches(text.removesuffix(":latest"), short, n=3)]


def _hint(text: str, tagged: Mapping[str, Descriptor]) -> str:
    close = _close(text, tagged)
    if close:
        return f"did you mean {' or '.join(close)}?"
    if _ID.fullmatch(text.rpartition("@")[2]):
        return "'polyarch images --no-trunc' lists the ids that are here"
    return f"'polyarch pull {text}' fetches it, 'polyarch images' lists what is here"
