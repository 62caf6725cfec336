"""Lists: all repositories, what a search finds, and the tags of one repository."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from polyarch.errors import NotFoundError
from polyarch.images import list as listing
from polyarch.images.list import ListedImage, ListedPlatform
from polyarch.oci import digest as digests
from polyarch.oci.descriptor import Descriptor
from polyarch.page import attached, order
from polyarch.page.address import PageAddress
from polyarch.page.view import Library, PageView, Request, paged

_REPOSITORIES = 50
_TAGS = 50
# A search shows so many tags.
_FOUND = 200
# A digest without a tag is looked for in so many repositories.
_SEARCHED = 500
_DIGEST = re.compile(r"(?:sha256:)?[0-9a-f]{6,64}")


class TagRow(msgspec.Struct, frozen=True, kw_only=True):
    """A tag in a list: what it points at, its platforms, and when the first of them was made."""

    tag: str
    address: PageAddress
    digest: str
    platforms: tuple[ListedPlatform, ...]
    created: str
    is_artifact: bool


class RepositoryRow(msgspec.Struct, frozen=True, kw_only=True):
    """A repository in a list, with its first tag."""

    name: str
    address: PageAddress
    tags: int
    first: TagRow | None


def repositories(library: Library, request: Request) -> PageView:
    """All repositories, or those that match a search, with the tags that do."""
    names = [name for name in library.images.repositories() if request.visible(name)]
    words = request.words
    found = [name for name in names if all(word in name for word in words)]
    page = paged(found, request.number, _REPOSITORIES)
    tags = list(_found_tags(library, names, words)) if words and page.number == 1 else []
    if len(words) == 1 and not tags and digests.is_digest(words[0]):
        tags = list(_found_images(library, names[:_SEARCHED], words[0]))
    shown = rows(library, tags[:_FOUND])
    return PageView(
        template="repositories.html",
        title=request.language("repositories"),
        values={
            "page": page,
            "rows": [_repository(library, name) for name in page.items],
            "query": request.query.get("q", "").strip(),
            "tags": shown,
            "more_tags": max(len(tags) - _FOUND, 0),
        },
    )


def repository(library: Library, request: Request) -> PageView:
    """The tags of a repository."""
    name = request.address.repository
    everything = library.images.tags(name)
    words = request.words
    whole = bool(request.query.get("all"))
    shown = [tag for tag in everything if whole or not order.is_carrier(tag)]
    matching = [tag for tag in shown if all(word in tag.lower() or _begins(everything[tag], word) for word in words)]
    page = paged(order.ordered(matching), request.number, _TAGS)
    return PageView(
        template="repository.html",
        title=name,
        values={
            "name": name,
            "page": page,
            "rows": rows(library, [(name, tag, everything[tag]) for tag in page.items]),
            "query": request.query.get("q", "").strip(),
            "all": "1" if whole else "",
            "total": len(shown),
            "hidden": len(everything) - len(shown),
        },
    )


def rows(library: Library, tags: Sequence[tuple[str, str, Descriptor]]) -> list[TagRow]:
    """The rows of (repository, tag, descriptor)."""
    # Very large indexes are not read for a list: fifty of them would take long.
    named = {f"{number:09d}": one for number, (_, _, one) in enumerate(tags) if one.size <= attached.LARGEST_INDEX}
    listed = {image.name: image for image in listing.list_images(library.store, named)}
    return [
        _row(library, PageAddress(repository=repository, reference=tag), descriptor, listed.get(f"{number:09d}"))
        for number, (repository, tag, descriptor) in enumerate(tags)
    ]


def _row(library: Library, address: PageAddress, descriptor: Descriptor, image: ListedImage | None) -> TagRow:
    platforms = tuple(one for one in image.platforms if not one.attestation) if image is not None else ()
    is_artifact = image is not None and not image.is_index and not any(one.platform for one in platforms)
    present = next((one for one in platforms if one.present), None)
    return TagRow(
        tag=address.reference,
        address=address,
        digest=descriptor.digest,
        platforms=() if is_artifact else platforms,
        created=listing.created(library.store, present) if present is not None and not is_artifact else "",
        is_artifact=is_artifact,
    )


def _repository(library: Library, name: str) -> RepositoryRow:
    tags = library.images.tags(name)
    shown = [tag for tag in tags if not order.is_carrier(tag)]
    first = order.ordered(shown)[:1]
    (row,) = rows(library, [(name, first[0], tags[first[0]])]) if first else (None,)
    return RepositoryRow(name=name, address=PageAddress(repository=name), tags=len(shown), first=row)


def _found_tags(library: Library, names: Sequence[str], words: Sequence[str]) -> Iterator[tuple[str, str, Descriptor]]:
    """The tags that match a search although the name of their repository alone does not."""
    for name in names:
        rest = [word for word in words if word not in name]
        if not rest:
            continue
        tags: Mapping[str, Descriptor] = library.images.tags(name)
        for tag, descriptor in tags.items():
            text = f"{name}:{tag}".lower()
            if all(word in text or _begins(descriptor, word) for word in rest):
                yield name, tag, descriptor


def _found_images(library: Library, names: Sequence[str], digest: str) -> Iterator[tuple[str, str, Descriptor]]:
    """Where the digest is that of a platform or of an older image: these have no tag of their own."""
    for name in names:
        with contextlib.suppress(NotFoundError):
            yield name, digest, library.images.resolve(name, digest)


def _begins(descriptor: Descriptor, word: str) -> bool:
    """Whether a word is the beginning of a digest, with or without sha256:."""
    return _DIGEST.fullmatch(word) is not None and descriptor.digest.removeprefix("sha256:").startswith(
        word.removeprefix("sha256:")
    )
