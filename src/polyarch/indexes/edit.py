"""Changing a list of the store: annotate and remove. A list whose edit fails stays as it was."""

from collections.abc import Mapping

import msgspec

from polyarch.errors import NotFoundError, UsageError
from polyarch.indexes import lists
from polyarch.indexes.choose import Choice, choose
from polyarch.indexes.create import Changed, contradictions, put
from polyarch.oci import index as indexes
from polyarch.oci import platform as platforms
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Index
from polyarch.oci.index import PlatformEdit
from polyarch.oci.platform import Platform
from polyarch.transfer.locate import Places


def annotate(
    places: Places,
    name: str,
    word: str,
    edit: PlatformEdit | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Changed:
    """Change the platform and annotations of an entry: `word` is an image, a digest or a platform.

    An image that is not in the list becomes its entry for the platform that the edit names: in the place of the one
    that was there, which is then in `removed`, or added where there was none. An entry that contradicts the image's
    own config is a warning. Raises NotFoundError, UsageError.
    """
    edit = indexes.normalized(edit or PlatformEdit())
    if edit.is_empty and not annotations:
        raise UsageError("nothing to annotate", "say what with --os, --arch, --variant, --annotation …")
    with lists.editing(places.store, name):
        return _annotate(places, name, word, edit, annotations)


def _annotate(
    places: Places, name: str, word: str, edit: PlatformEdit, annotations: Mapping[str, str] | None
) -> Changed:
    index = lists.load(places.store, name)
    choice = choose(places, index, word)
    if choice.entries:
        chosen = {entry.digest for entry in choice.entries}
        changed = indexes.annotate(index, lambda entry: entry.digest in chosen, edit, annotations)
    else:
        changed = _take_in(index, name, word, choice, edit)
        if annotations:
            old = {entry.digest for entry in index.manifests}
            changed = indexes.annotate(
                changed,
                lambda entry: entry.digest not in old and not entry.is_attestation,
                PlatformEdit(),
                annotations,
            )
        chosen = {entry.digest for entry in changed.manifests} - {entry.digest for entry in index.manifests}
    if not edit.is_empty:
        changed = indexes.ordered(changed)
    before = {entry.digest for entry in index.manifests}
    after = {entry.digest for entry in changed.manifests}
    return Changed(
        name=str(lists.name_of(name)),
        index=changed,
        descriptor=lists.save(places.store, name, changed),
        added=tuple(entry for entry in changed.manifests if entry.digest not in before),
        removed=tuple(entry for entry in index.manifests if entry.digest not in after),
        warnings=contradictions(places, [entry for entry in changed.manifests if entry.digest in chosen]),
    )


def annotate_list(places: Places, name: str, annotations: Mapping[str, str]) -> Changed:
    """Annotate the list itself. Raises NotFoundError."""
    with lists.editing(places.store, name):
        index = indexes.annotate_index(lists.load(places.store, name), annotations)
        return Changed(name=str(lists.name_of(name)), index=index, descriptor=lists.save(places.store, name, index))


def remove(places: Places, name: str, word: str) -> Changed:
    """Take an entry out of the list, and the attestations that speak of it: `word` as for `annotate`.

    Raises NotFoundError that lists what there is.
    """
    with lists.editing(places.store, name):
        return _remove(places, name, word)


def _remove(places: Places, name: str, word: str) -> Changed:
    index = lists.load(places.store, name)
    chosen = {entry.digest for entry in choose(places, index, word).entries}
    if not chosen:
        raise NotFoundError(f"{name} has no entry {word}", f"it has {indexes.describe(index)}")
    changed = indexes.remove(index, lambda entry: entry.digest in chosen)
    after = {entry.digest for entry in changed.manifests}
    return Changed(
        name=str(lists.name_of(name)),
        index=changed,
        descriptor=lists.save(places.store, name, changed),
        removed=tuple(entry for entry in index.manifests if entry.digest not in after),
    )


def _take_in(index: Index, name: str, word: str, choice: Choice, edit: PlatformEdit) -> Index:
    """The list with an image that it did not have as its entry for the platform that the edit names."""
    assert choice.member is not None
    if edit.architecture is None and edit.os is None and edit.variant is None:
        raise NotFoundError(
            f"{name} has no entry {word}",
            f"it has {indexes.describe(index)}; to make {word} its entry for a platform, say which with --arch",
        )
    image = _the_image(choice, word, edit)
    assert image.platform is not None
    entry = msgspec.structs.replace(image, platform=_labelled(image.platform, edit))
    changed = put(index, entry)
    for attestation in (found.descriptor for found in choice.member.entries):
        if attestation.is_attestation and attestation in indexes.attestations(_alone(choice), image.digest):
            changed = indexes.add(changed, attestation)
    return changed


def _the_image(choice: Choice, word: str, edit: PlatformEdit) -> Descriptor:
    """The one image of the member; of an index, the one for the platform that the edit names."""
    assert choice.member is not None
    images = [entry.descriptor for entry in choice.member.images]
    if len(images) > 1:
        images = [
            image
            for image in images
            if image.platform is not None and platforms.same(_labelled(image.platform, edit), image.platform)
        ]
    if len(images) != 1:
        offered = indexes.describe(_alone(choice))
        raise NotFoundError(f"{word} has {len(images)} images that fit", f"it has {offered}: name one by its digest")
    return images[0]


def _alone(choice: Choice) -> Index:
    assert choice.member is not None
    return indexes.create(entry.descriptor for entry in choice.member.entries)


def _labelled(own: Platform, edit: PlatformEdit) -> Platform:
    """The platform with the edit applied; a variant belongs to its architecture and does not outlive it."""
    architecture = own.architecture if edit.architecture is None else edit.architecture
    kept = own.variant if architecture == own.architecture else ""
    return platforms.normalize(
        Platform(
            os=own.os if edit.os is None else edit.os,
            architecture=architecture,
            variant=kept if edit.variant is None else edit.variant,
            os_version=own.os_version if edit.os_version is None else edit.os_version,
            os_features=own.os_features if edit.os_features is None else edit.os_features,
        )
    )
