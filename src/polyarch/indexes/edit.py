"""Edit a list in the store: annotate and remove entries. A list whose edit fails stays unchanged."""

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
from polyarch.oci.reference import Reference
from polyarch.transfer.locate import Places


def annotate(
    places: Places,
    name: str | Reference,
    selector: str,
    edit: PlatformEdit | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Changed:
    """Change the platform and annotations of the entry that `selector` selects: an image, a digest or a platform.

    An image that is not in the list becomes the entry for the platform of `edit`. It replaces an existing entry, which
    is then in `removed`. An entry that contradicts the image's own config is a warning.
    Raises NotFoundError, UsageError.
    """
    edit = indexes.normalized(edit or PlatformEdit())
    if edit.is_empty and not annotations:
        raise UsageError("nothing to annotate", "use --os, --arch, --variant, --annotation …")
    reference = lists.name_of(name)
    with lists.editing(places.store, reference):
        return _annotate(places, reference, selector, edit, annotations)


def _annotate(
    places: Places, reference: Reference, selector: str, edit: PlatformEdit, annotations: Mapping[str, str] | None
) -> Changed:
    index = lists.load(places.store, reference)
    choice = choose(places, index, selector)
    if choice.entries:
        chosen = {entry.digest for entry in choice.entries}
        changed = indexes.annotate(index, lambda entry: entry.digest in chosen, edit, annotations)
    else:
        changed = _take_in(index, reference, selector, choice, edit)
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
    warnings = contradictions(places, [entry for entry in changed.manifests if entry.digest in chosen])
    return _saved(places, reference, index, changed, warnings)


def annotate_list(places: Places, name: str | Reference, annotations: Mapping[str, str]) -> Changed:
    """Annotate the list itself. Raises NotFoundError."""
    reference = lists.name_of(name)
    with lists.editing(places.store, reference):
        index = indexes.annotate_index(lists.load(places.store, reference), annotations)
        return Changed(name=str(reference), index=index, descriptor=lists.save(places.store, reference, index))


def remove(places: Places, name: str | Reference, selector: str) -> Changed:
    """Remove an entry from the list, with its attestations. For `selector`, see `annotate`.

    Raises NotFoundError that lists the entries.
    """
    reference = lists.name_of(name)
    with lists.editing(places.store, reference):
        return _remove(places, reference, selector)


def _remove(places: Places, reference: Reference, selector: str) -> Changed:
    index = lists.load(places.store, reference)
    chosen = {entry.digest for entry in choose(places, index, selector).entries}
    if not chosen:
        raise NotFoundError(f"{reference.familiar()} has no entry {selector}", f"it has {indexes.describe(index)}")
    changed = indexes.remove(index, lambda entry: entry.digest in chosen)
    return _saved(places, reference, index, changed)


def _saved(
    places: Places, reference: Reference, index: Index, changed: Index, warnings: tuple[str, ...] = ()
) -> Changed:
    """Save the list, and return what changed in it."""
    before, after = ({entry.digest for entry in one.manifests} for one in (index, changed))
    return Changed(
        name=str(reference),
        index=changed,
        descriptor=lists.save(places.store, reference, changed),
        added=tuple(entry for entry in changed.manifests if entry.digest not in before),
        removed=tuple(entry for entry in index.manifests if entry.digest not in after),
        warnings=warnings,
    )


def _take_in(index: Index, reference: Reference, selector: str, choice: Choice, edit: PlatformEdit) -> Index:
    """The list with a new image as the entry for the platform of the edit."""
    assert choice.member is not None
    if edit.architecture is None and edit.os is None and edit.variant is None:
        raise NotFoundError(
            f"{reference.familiar()} has no entry {selector}",
            f"it has {indexes.describe(index)}; to create {selector} the entry for a platform, use --arch",
        )
    image = _only_image(choice, selector, edit)
    assert image.platform is not None
    entry = msgspec.structs.replace(image, platform=_labelled(image.platform, edit))
    changed = put(index, entry)
    for attestation in (part.descriptor for part in choice.member.entries):
        if attestation.is_attestation and attestation in indexes.attestations(_alone(choice), image.digest):
            changed = indexes.add(changed, attestation)
    return changed


def _only_image(choice: Choice, selector: str, edit: PlatformEdit) -> Descriptor:
    """The image of the member; if that is an index, its image for the platform of the edit."""
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
        raise NotFoundError(
            f"{selector} has {len(images)} matching images", f"it has {offered}: name one by its digest"
        )
    return images[0]


def _alone(choice: Choice) -> Index:
    """The entries of the member as an index."""
    assert choice.member is not None
    return indexes.create(entry.descriptor for entry in choice.member.entries)


def _labelled(own: Platform, edit: PlatformEdit) -> Platform:
    """The platform with the edit applied. A new architecture drops the variant, which belongs to the old one."""
    architecture = own.architecture if edit.architecture is None else edit.architecture
    variant = own.variant if architecture == own.architecture else ""
    return platforms.normalize(
        Platform(
            os=own.os if edit.os is None else edit.os,
            architecture=architecture,
            variant=variant if edit.variant is None else edit.variant,
            os_version=own.os_version if edit.os_version is None else edit.os_version,
            os_features=own.os_features if edit.os_features is None else edit.os_features,
        )
    )
