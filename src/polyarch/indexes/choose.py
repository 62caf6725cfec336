"""Select entries of a list by digest, by platform, or by the name of an image that is in it."""

import msgspec

from polyarch.errors import NotFoundError, RegistryError, UsageError
from polyarch.indexes import members
from polyarch.indexes.members import IndexMember
from polyarch.oci import digest as digests
from polyarch.oci import index as indexes
from polyarch.oci import platform as platforms
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Index
from polyarch.oci.platform import Platform
from polyarch.transfer.locate import Places


class Choice(msgspec.Struct, frozen=True):
    """The selected entries, which may be none, and the member, if the selector is the name of an image."""

    entries: tuple[Descriptor, ...]
    member: IndexMember | None = None


def choose(places: Places, index: Index, selector: str) -> Choice:
    """The entries of the list that `selector` selects.

    `selector` is a platform if the list has an entry for it, or if Go knows the platform and no image in the store has
    this name: `linux/arm64` is not looked up in a registry. Raises NotFoundError for an unknown digest or image.
    """
    digest = _digest(index, selector)
    if digest is not None:
        return Choice(tuple(entry for entry in index.manifests if entry.digest == digest))
    hint = f"the list has {indexes.describe(index)}"
    wanted = _platform(selector)
    if wanted is not None:
        meant = indexes.meant_by(wanted)
        if found := tuple(entry for entry in index.manifests if meant(entry)):
            return Choice(found)
        if wanted.is_known and str(references.parse(selector).tagged()) not in places.store.tagged():
            raise NotFoundError(f"the list has no entry for {wanted}", hint)
    try:
        member = members.gather(places, selector)
    except (NotFoundError, RegistryError) as error:
        raise NotFoundError(
            f"{selector} is not in the list, and cannot be found elsewhere: {error.message}", hint
        ) from error
    return Choice(members.matching(index, member), member)


def _platform(selector: str) -> Platform | None:
    try:
        return platforms.parse(selector)
    except UsageError:
        return None


def _digest(index: Index, selector: str) -> str | None:
    """A digest, given in full or by its first digits (at least 12, as docker prints them). Raises NotFoundError."""
    if digests.is_digest(selector):
        if all(entry.digest != selector for entry in index.manifests):
            raise NotFoundError(f"the list has no entry {selector}", f"it has {indexes.describe(index)}")
        return selector
    short = selector.removeprefix("sha256:")
    if len(short) < 12 or any(letter not in "0123456789abcdef" for letter in short):
        return None
    found = {entry.digest for entry in index.manifests if entry.digest.startswith(f"sha256:{short}")}
    return found.pop() if len(found) == 1 else None
