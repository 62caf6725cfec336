"""What people call an image of the store: its name, its name with a digest, its digest, or the first digits of it."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from polyarch.errors import ConflictError, NotFoundError, UsageError
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor

if TYPE_CHECKING:
    from polyarch.oci.reference import Reference
    from polyarch.store import Store

_ID = re.compile(r"(?:sha256:)?([0-9a-f]{2,64})")


class Named(msgspec.Struct, frozen=True):
    """An image of the store: the full reference that points at it, and what it points at.

    `by_id` says that it was called by its digest; `name` is then the first of its names.
    """

    name: str
    descriptor: Descriptor
    by_id: bool = False


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


def find(store: "Store", text: str) -> Named:
    """The image that `text` calls. A name wins over the digits of an id, as with docker.

    Raises NotFoundError with names that are nearly it, ConflictError where digits fit several images.
    """
    tagged = store.tagged()
    try:
        reference = references.parse(text).tagged()
    except UsageError:
        if _ID.fullmatch(text) is None:
            raise
        reference = None
    if reference is not None:
        if str(reference) in tagged:
            return Named(str(reference), tagged[str(reference)])
        if reference.digest and (found := _by_digest(reference, tagged)) is not None:
            return found
    matches = by_id(store, text)
    if len({found.descriptor.digest for found in matches}) > 1:
        names = ", ".join(familiar(found.name) for found in matches)
        raise ConflictError(f"{text} is the beginning of several ids: {names}", "give more digits, or the name")
    if matches:
        return matches[0]
    raise NotFoundError(f"there is no image {text} in the store", _hint(text, tagged))


def by_id(store: "Store", text: str) -> list[Named]:
    """The images whose digest begins with these hexadecimal digits, those without a name last."""
    match = _ID.fullmatch(text)
    if match is None:
        return []
    start = f"sha256:{match[1]}"
    named = [Named(name, found, True) for name, found in sorted(store.tagged().items())]
    named += [Named("", found, True) for found in store.kept()]
    return [found for found in named if found.descriptor.digest.startswith(start)]


def _by_digest(reference: "Reference", tagged: Mapping[str, Descriptor]) -> Named | None:
    repository = str(reference.repository)
    for name, descriptor in sorted(tagged.items()):
        if descriptor.digest == reference.digest and name.rpartition("@")[0].startswith(repository):
            return Named(name, descriptor)
        if descriptor.digest == reference.digest and name.startswith(repository + ":"):
            return Named(name, descriptor)
    return None


def _hint(text: str, tagged: Mapping[str, Descriptor]) -> str:
    from difflib import get_close_matches

    short = [familiar(name) for name in tagged]
    close = get_close_matches(text if ":" in text else f"{text}:latest", short, n=3)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"'polyarch pull {text}' fetches it, 'polyarch images' lists what is here"
