"""`drift`: what differs between the platforms of one image, though it should not.

Files are compared by name and kind, packages by version, and of the config all that says how the image is run. What
binaries contain differs always, and is not looked at.
"""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec

from polyarch import progress
from polyarch.contents import packages
from polyarch.errors import UsageError
from polyarch.images.check import sources
from polyarch.images.check.view import View
from polyarch.images.compare import naming, rows
from polyarch.images.compare.rows import Row
from polyarch.images.compare.views import chosen, members, views
from polyarch.oci.platform import Platform
from polyarch.transfer.locate import Places

# What only a rebuild for one architecture has behind its version (Debian's binary NMU).
_REBUILT = re.compile(r"\+b\d+$")


# Package managers' own books: what they say is compared as packages.
_BOOKS = ("var/lib/dpkg/", "lib/apk/db/", "usr/lib/apk/db/", "var/lib/rpm/", "usr/lib/sysimage/rpm/")


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """The platforms of an image that were compared, and what is not the same on all of them.

    `unread` says what could not be compared.
    """

    name: str
    platforms: tuple[Platform, ...]
    rows: tuple[Row, ...]
    unread: tuple[str, ...] = ()


def drift(
    places: Places,
    text: str,
    wanted: Sequence[Platform] = (),
    ignore: Sequence[str] = (),
    emit: progress.Emit = progress.ignore,
) -> Drift:
    """What differs between the platforms `wanted` of the image that `text` calls; between all where none is given.

    `ignore` are patterns of paths. Raises UsageError where there are fewer than two platforms, NotFoundError.
    """
    with sources.opened(text, places) as place:
        found = members(place.source, place.source.resolve(place.name))
        images = [chosen(found, platform, place.called) for platform in wanted] if wanted else found
        if len({image.descriptor.digest for image in images}) < 2:
            raise UsageError(
                f"{place.called} has {len(found)} image{'s' if len(found) > 1 else ''}, and two are needed to compare",
                "name two platforms that it has, or an image for several",
            )
        return compare(views(place.source, images, places.store, emit), place.called, ignore)


def compare(images: Sequence[View], name: str, ignore: Sequence[str] = ()) -> Drift:
    """As `drift`, of images that are at hand."""
    same = [_rewriting(image.platform.architecture) for image in images]
    found = [
        *rows.of_configs([image.config for image in images], same),
        *rows.differing(
            "package",
            [listed_packages(image) for image in images],
            [lambda version: _REBUILT.sub("", version)] * len(images),
        ),
        *_files(images, [pattern.strip("/") for pattern in ignore]),
    ]
    return Drift(
        name=name,
        platforms=tuple(image.platform for image in images),
        rows=tuple(found),
        unread=tuple(message for image in images if (message := _unread(image))),
    )


def _rewriting(architecture: str) -> rows.Rewrite:
    return lambda value: naming.rewrite(value, architecture)


def listed_packages(image: View) -> dict[str, str]:
    """The packages of an image with their versions."""
    found: dict[str, set[str]] = {}
    for package in image.packages():
        found.setdefault(f"{package.manager} {package.name}", set()).add(package.version)
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}


def _unread(image: View) -> str:
    if any(packages.is_rpm(node.entry.path) for node in image.tree.walk() if node.entry.kind == "file"):
        return f"{image.platform}: rpm's database is there, and is not read: its packages are not compared"
    return ""


def _files(images: Sequence[View], ignore: Sequence[str]) -> list[Row]:
    """Files that not all images have, or have as another kind; what lies below a missing directory is only counted."""
    spelt: dict[str, set[str]] = {}
    missing = list(rows.differing("file", _kinds(images, spelt)))
    found: list[Row] = []
    gone: dict[str, int] = {}
    for row in missing:
        if any(fnmatchcase(row.name, pattern) or row.name.startswith(f"{pattern}/") for pattern in ignore):
            continue
        above = next((parent for parent in _parents(row.name) if parent in gone), None)
        if above is not None:
            gone[above] += 1
            continue
        if row.is_missing and set(row.values) == {None, "directory"}:
            gone[row.name] = 0
        found.append(row)
    return [_shown(row, spelt[row.name], gone.get(row.name, 0)) for row in found]


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _shown(row: Row, spelt: set[str], below: int) -> Row:
    """The row as people see it: a path that is spelt in one way in full."""
    named = f"/{next(iter(spelt)) if len(spelt) == 1 else row.name}"
    if not below:
        return Row(kind="file", name=named, values=row.values)
    entries = f"directory, {below} {'entry' if below == 1 else 'entries'}"
    return Row(kind="file", name=named, values=tuple(value and entries for value in row.values))


def _kinds(images: Sequence[View], spelt: dict[str, set[str]]) -> list[dict[str, str]]:
    """What there is, by a path that no longer names the architecture; `spelt` gets the paths as they are."""
    kinds = [
        {node.entry.path: node.entry.kind for node in image.tree.walk() if not node.entry.path.startswith(_BOOKS)}
        for image in images
    ]
    columns = [(image.platform.architecture, paths) for image, paths in zip(images, kinds, strict=True)]
    found: list[dict[str, str]] = []
    for names, kind in zip(naming.aligned(columns), kinds, strict=True):
        found.append({name: kind[path] for path, name in names.items()})
        for path, name in names.items():
            spelt.setdefault(name, set()).add(path)
    return found
