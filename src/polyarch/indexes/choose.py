"""Which entries of a list a word means: a digest, a platform, or the name of an image that is in it."""

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
    """The entries that a word means, and the member that it names where it is a name; the entries may be none."""

    entries: tuple[Descriptor, ...]
    member: IndexMember | None = None


def choose(places: Places, index: Index, word: str) -> Choice:
    """What `word` means in the list. Raises NotFoundError for a digest that it lacks or an image that is nowhere.

    A platform is meant where the list has an entry for it, and where `word` is one that Go knows and no image of the
    store: `linux/arm64` is not asked for at a registry.
    """
    digest = _digest(index, word)
    if digest is not None:
        return Choice(tuple(entry for entry in index.manifests if entry.digest == digest))
    hint = f"the list has {indexes.describe(index)}"
    wanted = _platform(word)
    if wanted is not None:
        meant = indexes.meant_by(wanted)
        if found := tuple(entry for entry in index.manifests if meant(entry)):
            return Choice(found)
        if wanted.is_known and str(references.parse(word).tagged()) not in places.store.tagged():
            raise NotFoundError(f"the list has no entry for {wanted}", hint)
    try:
        member = members.gather(places, word)
    except (NotFoundError, RegistryError) as error:
        raise NotFoundError(f"{word} is neither in the list nor anywhere else: {error.message}", hint) from error
    return Choice(members.matching(index, member), member)


def _platform(word: str) -> Platform | None:
    try:
        return platforms.parse(word)
    except UsageError:
        return None


def _digest(index: Index, word: str) -> str | None:
    """A digest in full or by its beginning (12 digits at least, as docker prints it). Raises NotFoundError."""
    if digests.is_digest(word):
        if all(entry.digest != word for entry in index.manifests):
            raise NotFoundError(f"the list has no entry {word}", f"it has {indexes.describe(index)}")
        return word
    short = word.removeprefix("sha256:")
    if len(short) < 12 or any(letter not in "0123456789abcdef" for letter in short):
        return None
    found = {entry.digest for entry in index.manifests if entry.digest.startswith(f"sha256:{short}")}
    return found.pop() if len(found) == 1 else None
