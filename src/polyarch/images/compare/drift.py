"""`drift`: unexpected differences between the platforms of one image.

Files are compared by name and kind, packages by version, and the config in all fields that affect how the image runs.
The content of binaries always differs, and is not compared.
"""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec

from polyarch import progress
from polyarch.errors import UsageError
from polyarch.images.check import sources
from polyarch.images.check.collect import chosen
from polyarch.images.check.view import View
from polyarch.images.compare import naming, rows
from polyarch.images.compare.rows import Row
from polyarch.images.compare.views import members, views
from polyarch.oci.platform import Platform
from polyarch.transfer.locate import Places

# The suffix of the version of a package that was rebuilt for one architecture (Debian's binary NMU).
_REBUILT = re.compile(r"\+b\d+$")


# The databases of package managers: their content is compared as packages.
_BOOKS = ("var/lib/dpkg/", "lib/apk/db/", "usr/lib/apk/db/", "var/lib/rpm/", "usr/lib/sysimage/rpm/")


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """The platforms of an image that were compared, and their differences.

    `unread` are messages about content that could not be compared.
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
    """Compare the platforms `wanted`, by default all, of the image that `text` names.

    `ignore` are patterns of paths. Raises UsageError for fewer than two platforms, NotFoundError.
    """
    with sources.opened(text, places) as place:
        available = members(place.source, place.source.resolve(place.name))
        images = [chosen(available, platform, place.called) for platform in wanted] if wanted else available
        if len({image.descriptor.digest for image in images}) < 2:
            raise UsageError(
                f"{place.called} has {len(available)} image{'s' if len(available) > 1 else ''}; comparing needs two",
                "name two of its platforms, or an image for several",
            )
        return compare(views(place.source, images, places.store, emit), place.called, ignore)


def compare(images: Sequence[View], name: str, ignore: Sequence[str] = ()) -> Drift:
    """As `drift`, for images that have been read."""
    same = [_rewriting(image.platform.architecture) for image in images]
    differences = [
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
        rows=tuple(differences),
        unread=tuple(f"{image.platform}: {note}" for image in images for note in image.unread_packages()),
    )


def _rewriting(architecture: str) -> rows.Rewrite:
    return lambda value: naming.rewrite(value, architecture)


def listed_packages(image: View) -> dict[str, str]:
    """The packages of an image with their versions."""
    by_name: dict[str, set[str]] = {}
    for package in image.packages():
        by_name.setdefault(f"{package.manager} {package.name}", set()).add(package.version)
    return {name: ", ".join(sorted(versions)) for name, versions in by_name.items()}


def _files(images: Sequence[View], ignore: Sequence[str]) -> list[Row]:
    """Files that some images do not have, or have as another kind. Files below a missing directory are only counted."""
    spellings: dict[str, set[str]] = {}
    missing = list(rows.differing("file", _kinds(images, spellings)))
    differences: list[Row] = []
    counts: dict[str, int] = {}
    for row in missing:
        if any(fnmatchcase(row.name, pattern) or row.name.startswith(f"{pattern}/") for pattern in ignore):
            continue
        above = next((parent for parent in _parents(row.name) if parent in counts), None)
        if above is not None:
            counts[above] += 1
            continue
        if row.is_missing and set(row.values) == {None, "directory"}:
            counts[row.name] = 0
        differences.append(row)
    return [_shown(row, spellings[row.name], counts.get(row.name, 0)) for row in differences]


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _shown(row: Row, spellings: set[str], below: int) -> Row:
    """The row for the user: with the full path, if it is the same in all images."""
    path = f"/{next(iter(spellings)) if len(spellings) == 1 else row.name}"
    if not below:
        return Row(kind="file", name=path, values=row.values)
    entries = f"directory, {below} {'entry' if below == 1 else 'entries'}"
    return Row(kind="file", name=path, values=tuple(value and entries for value in row.values))


def _kinds(images: Sequence[View], spellings: dict[str, set[str]]) -> list[dict[str, str]]:
    """The kinds of files by path without the architecture's name. Adds the original paths to `spellings`."""
    kinds = [
        {node.entry.path: node.entry.kind for node in image.tree.walk() if not node.entry.path.startswith(_BOOKS)}
        for image in images
    ]
    columns = [(image.platform.architecture, paths) for image, paths in zip(images, kinds, strict=True)]
    named: list[dict[str, str]] = []
    for names, kind in zip(naming.aligned(columns), kinds, strict=True):
        named.append({name: kind[path] for path, name in names.items()})
        for path, name in names.items():
            spellings.setdefault(name, set()).add(path)
    return named
