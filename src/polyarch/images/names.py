"""Find an image in the store by its name, its name with a digest, its digest, or the first digits of its digest."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import msgspec

from polyarch.errors import ConflictError, NoImageError, NotFoundError, RegistryError, UsageError
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Index, Manifest
from polyarch.oci.reference import Reference

if TYPE_CHECKING:
    from polyarch.store import Store

_ID = r"(?:sha256:)?([0-9a-f]{2,64})"


class NamedRoots(Protocol):
    """The names in a store, and the documents that they point at."""

    def tagged(self) -> Mapping[str, Descriptor]: ...
    def kept(self) -> Sequence[Descriptor]: ...
    def peek(self, descriptor: Descriptor) -> Manifest | Index: ...


class NamedImage(msgspec.Struct, frozen=True):
    """An image in the store: its name there, a full reference in text form, and its descriptor.

    `by_id` says that it was found by its digest; `name` is then the first of its names, or empty. `reference` is the
    value of `name` for an image that was found by name. `member` is set if the digest is that of an entry of the
    index that `name` points at; `descriptor` is then the entry's.
    """

    name: str
    descriptor: Descriptor
    by_id: bool = False
    member: Descriptor | None = None
    reference: Reference | None = None

    @property
    def familiar(self) -> str:
        """The name in docker's short form; `<none>` for an unnamed image."""
        return self.reference.familiar() if self.reference is not None else familiar(self.name)

    @property
    def described(self) -> str:
        """The member, for a message: the image for linux/arm64 of app:latest."""
        if self.member is not None and self.member.is_attestation:
            return f"an attestation of {self.familiar}"
        platform = self.member.platform if self.member is not None else None
        return f"the image for {platform or 'an unknown platform'} of {self.familiar}"

    def command(self, verb: str) -> str:
        """The command for this member, such as `polyarch rmi --platform linux/arm64 app:1`; empty if there is none."""
        if self.member is None or self.member.is_attestation or self.member.platform is None:
            return ""
        return f"polyarch {verb} --platform {self.member.platform} {self.familiar}"


def full(text: str) -> str:
    """The full reference for `text`, with the tag latest if it has none. Raises UsageError."""
    return str(references.parse(text).tagged())


def familiar(name: str) -> str:
    """A full reference in docker's short form; `<none>` for an empty one; any other text unchanged."""
    if not name:
        return "<none>"
    try:
        return references.parse(name).familiar()
    except UsageError:
        return name


def parse(text: str) -> Reference | str:
    """The reference that `text` is, or `text` itself if it can only be an id. Raises UsageError if it is neither."""
    try:
        return references.parse(text)
    except UsageError:
        if re.fullmatch(_ID, text) is None:
            raise
        return text


def find(store: NamedRoots, name: str | Reference, hint: str = "") -> NamedImage:
    """The image that `name` means. As in docker, a name takes precedence over the digits of an id.

    An image that has a name takes precedence over the entries of indexes. Raises NotFoundError that suggests similar
    names, or has this `hint` if there are none; ConflictError if the digits match several images.
    """
    tagged = store.tagged()
    called = parse(name) if isinstance(name, str) else name
    text = name if isinstance(name, str) else name.familiar()
    reference = called.tagged() if isinstance(called, Reference) else None
    if reference is not None and str(reference) in tagged:
        return NamedImage(str(reference), tagged[str(reference)], reference=reference)
    if reference is not None and reference.digest:
        matches = _by_digest(store, reference)
    else:
        matches = by_id(store, text)
    if len({image.descriptor.digest for image in matches}) > 1:
        names = ", ".join(dict.fromkeys(_described(image) for image in matches))
        raise ConflictError(f"several ids begin with {text}: {names}", "give more digits, or use a name")
    if matches:
        return matches[0]
    raise NoImageError(text, _hint(text, tagged, hint))


def by_id(store: NamedRoots, text: str) -> list[NamedImage]:
    """The images whose digest begins with these hexadecimal digits, unnamed images last.

    If there are none, the entries of indexes whose digest begins with them; else the images and entries whose config
    has such a digest, which is the id that docker has for an image.
    """
    match = re.fullmatch(_ID, text)
    if match is None:
        return []
    start = f"sha256:{match[1]}"
    roots = [NamedImage(name, image, True) for name, image in store.tagged().items() if image.digest.startswith(start)]
    roots.sort(key=lambda image: image.name)
    roots += [NamedImage("", image, True) for image in store.kept() if image.digest.startswith(start)]
    if roots:
        return roots
    named = [*sorted(store.tagged().items()), *(("", descriptor) for descriptor in store.kept())]
    members = list(_members(store, named))
    from polyarch.images.members import has_config

    images = [*(NamedImage(name, image, True) for name, image in named), *members]
    return [image for image in members if image.descriptor.digest.startswith(start)] or list(
        {
            one.descriptor.digest: one for one in reversed(images) if has_config(store.peek, one.descriptor, start)
        }.values()
    )


def require_here(store: "Store", image: NamedImage) -> None:
    """Raises NotFoundError, with the command that fetches it, for an entry of an index that is not in the store."""
    if image.member is not None and not store.has_manifest(image.descriptor):
        command = image.command("pull") or f"polyarch pull --all-platforms {image.familiar}"
        raise NotFoundError(
            f"{image.descriptor.digest} is {image.described}, which is not in the store", f"'{command}' fetches it"
        )


def _by_digest(store: NamedRoots, reference: Reference) -> list[NamedImage]:
    """The image for a name with a digest: one with a name in this repository, or an entry of such an index."""
    named = {
        name: (descriptor, stored)
        for name, descriptor in sorted(store.tagged().items())
        if (stored := _reference(name)) is not None and stored.repository == reference.repository
    }
    for name, (descriptor, stored) in named.items():
        if descriptor.digest == reference.digest:
            return [NamedImage(name, descriptor, reference=stored)]
    roots = [(name, descriptor) for name, (descriptor, _) in named.items()]
    return [image for image in _members(store, roots) if image.descriptor.digest == reference.digest][:1]


def _members(store: NamedRoots, named: Iterable[tuple[str, Descriptor]]) -> Iterator[NamedImage]:
    """The entries of the indexes among these images, including those of nested indexes."""
    from polyarch.images.members import members

    for name, entry in members(store.peek, named):
        plain = Descriptor(media_type=entry.media_type, digest=entry.digest, size=entry.size)
        yield NamedImage(name, plain, True, entry)


def _reference(name: str) -> Reference | None:
    try:
        return references.parse(name)
    except UsageError:
        return None


def _described(image: NamedImage) -> str:
    return image.familiar + (f" for {image.member.platform}" if image.member is not None else "")


@contextmanager
def suggesting(store: NamedRoots, text: str) -> Iterator[None]:
    """Extend the hint of a NotFoundError or RegistryError with names in the store that are similar to `text`.

    For requests to a registry for an image that the store does not have: its name may be misspelled.
    """
    try:
        yield
    except (NotFoundError, RegistryError) as error:
        if close := _close(text, store.tagged()):
            suggestion = f"did you mean {' or '.join(close)}, which the store has?"
            error.hint = f"{error.hint}; {suggestion}" if error.hint else suggestion
        raise


def _close(text: str, tagged: Mapping[str, Descriptor]) -> list[str]:
    if not tagged:
        return []
    from difflib import get_close_matches

    # Without the tag that most names have: it would make all names similar.
    short = {name.removesuffix(":latest"): name for name in map(familiar, tagged)}
    return [short[name] for name in get_close_matches(text.removesuffix(":latest"), short, n=3)]


def _hint(text: str, tagged: Mapping[str, Descriptor], hint: str) -> str:
    close = _close(text, tagged)
    if close:
        return f"did you mean {' or '.join(close)}?"
    if re.fullmatch(_ID, text.rpartition("@")[2]):
        return "'polyarch images --no-trunc' lists the ids in the store"
    return hint or f"'polyarch pull {text}' fetches it, 'polyarch images' lists the images in the store"
