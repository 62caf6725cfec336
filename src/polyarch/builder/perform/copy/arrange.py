"""COPY, ADD and WORKDIR: from sources and rules to the items of a layer. Nothing is unpacked for it.

`arrange` settles what the layer will hold from listings alone; `fingerprint` tells two such arrangements apart by
content, so that a copy is packed once for all the platforms on whose bases it comes to lie alike.
"""

import hashlib
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from polyarch.builder.perform.copy import modes, wildcards
from polyarch.builder.perform.copy import placement as placing
from polyarch.builder.perform.copy.archives import AddedArchive
from polyarch.builder.perform.copy.files import SourceFiles
from polyarch.builder.perform.copy.placed import CopyRules, Items, Lookup, Placed
from polyarch.builder.perform.copy.placement import Placement
from polyarch.builder.perform.copy.symlinks import Through, links_on
from polyarch.builder.perform.copy.unpack import unpack
from polyarch.builder.vertices import CopyFiles
from polyarch.dockerfile import glob, ignorefile
from polyarch.dockerfile.source import DockerfileError
from polyarch.errors import NotFoundError, PolyarchError
from polyarch.layers.entry import Content, Entry, Item, plain

# Opens what is at a path of a source as an archive, or says that it is none.
_MOST_FILES = 20_000

OpenArchive = Callable[[SourceFiles, str], AddedArchive | None]


class Arrangement(msgspec.Struct, frozen=True):
    """The entries of a layer, and the sources that their bytes come from, by the numbers in `Placed.origin`.

    `asked` is all that was asked of the base. On another that gives the same answers the same copy comes to lie alike.
    `nothing` says that no source had anything to take, which only patterns may do; `unusable` is a directory that
    `--chmod` closed to all but root.
    """

    items: Items
    sources: list[SourceFiles]
    asked: Mapping[str, Entry | None] = {}
    nothing: bool = False
    unusable: str = ""
    _known: dict[bool, str] = msgspec.field(default_factory=dict)

    def lies_alike_on(self, base: Lookup) -> bool:
        """Whether the copy of these sources would be this one on `base`, too."""
        # Of the root only its being there matters, and no layer lists it.
        return all(_looks_like(base.entry(path), answer) for path, answer in self.asked.items() if path)

    def contents(self) -> Iterator[Item]:
        """The layer's members and where their bytes are, in the order of a tar."""
        return ((placed.entry, self._content(placed)) for placed in self.items)

    def _content(self, placed: Placed) -> Content | None:
        if placed.origin is None or placed.entry.kind != "file":
            return None
        number, path = placed.origin
        return self.sources[number].content(path)

    def fingerprint(self, *, times: bool) -> str:
        """A digest of all that the layer will hold, its files' times only with `times`.

        Times are no reason to make a layer again, as in BuildKit: a fresh clone has new ones.
        """
        if times in self._known:
            return self._known[times]
        digest = hashlib.sha256()
        for placed in self.items:
            entry = placed.entry if times else msgspec.structs.replace(placed.entry, mtime=0)
            digest.update(msgspec.msgpack.encode(_portable(entry)))
            if placed.origin is not None:
                number, path = placed.origin
                digest.update(self.sources[number].fingerprint(path).encode("utf-8", "surrogateescape"))
        return self._known.setdefault(times, f"sha256:{digest.hexdigest()}")

    def fingerprints(self) -> dict[str, str]:
        """What changes with each file that is taken, by its path in the source, for who compares two builds.

        Empty for more files than are worth the room.
        """
        found: dict[str, str] = {}
        for placed in self.items:
            entry = placed.entry
            number, path = placed.origin or (0, entry.path)
            content = self.sources[number].fingerprint(path) if placed.origin is not None else entry.link
            found[path] = f"{entry.kind} {entry.mode:o} {content[-16:]}"
            if len(found) > _MOST_FILES:
                return {}
        return found


def arrange(
    vertex: CopyFiles,
    sources: Sequence[SourceFiles],
    base: Lookup,
    owner: tuple[int, int] | None,
    open_archive: OpenArchive,
) -> Arrangement:
    """What the layer of `vertex` holds; `sources` are those of its parts, in order.

    Raises NotFoundError for a path that is not there, PolyarchError where types collide.
    """
    mode = modes.parse(vertex.mode) if vertex.mode else None
    rules = CopyRules(owner=owner, mode=mode, time=vertex.epoch or 0, exclude=_excluding(vertex.exclude))
    asked = _Asked(base)
    placement = Placement(asked)
    used = list(sources)
    for number, (part, files) in enumerate(zip(vertex.parts, sources, strict=True)):
        if vertex.parents and part.pattern:
            used += _with_parents(placement, files, (number, len(used)), part.path, vertex.destination, rules)
            continue
        path = part.path.strip("/")
        found = _named(files, part.path, rules.exclude) if part.pattern else [path]
        for one in found:
            archive = open_archive(files, one) if part.unpack else None
            if archive is not None:
                used.append(archive)
                unpack(placement, len(used) - 1, archive.order(), vertex.destination, rules)
            else:
                placement.copy(files, number, one, vertex.destination, rules)
    items = placement.items(rules.time, vertex.epoch)
    for one in items.paths():
        if ".wh." in one:
            _refuse_whiteout(one)
    return Arrangement(items, used, asked.answers, placement.taken == 0, placement.unusable)


class _Asked:
    """A base that remembers what it was asked, and what it said."""

    def __init__(self, base: Lookup) -> None:
        self._base = base
        self.answers: dict[str, Entry | None] = {}

    def entry(self, path: str) -> Entry | None:
        """As of `laid.Lookup`."""
        if path not in self.answers:
            self.answers[path] = self._base.entry(path)
        return self.answers[path]


def _looks_like(one: Entry | None, other: Entry | None) -> bool:
    """Whether two answers lead to the same layer, in which no time of a base is found again."""
    if one is None or other is None:
        return one is other
    return _portable(plain(one, mtime=0)) == _portable(plain(other, mtime=0))


def _named(files: SourceFiles, pattern: str, exclude: Callable[[str, bool], int] | None) -> list[str]:
    """What a source names. Of what a wildcard finds, `--exclude` leaves out what it matches, as the reference says."""
    found = list(wildcards.matches(files, pattern, wildcard))
    wild = wildcards.wild_parts(pattern)
    if exclude is None or not wild:
        return found
    kept: list[str] = []
    for path in found:
        entry = files.entry(path)
        relative = "/".join(path.split("/")[-wild:])
        if exclude(relative, entry is not None and entry.kind == "directory") != 2:
            kept.append(path)
    return kept


def _with_parents(
    placement: Placement, files: SourceFiles, numbers: tuple[int, int], path: str, destination: str, rules: CopyRules
) -> list[SourceFiles]:
    """`--parents`: what matches keeps its directories, from the pivot `/./` on where there is one.

    `numbers` are those of the source and of the next new one; the new ones are returned.
    """
    above, pivot, pattern = path.partition("/./")
    if not pivot:
        above, pattern = "/", path
    pattern = posixpath.normpath("/" + pattern).lstrip("/")
    wild = glob.has_wildcards(above) or glob.has_wildcards(pattern)
    if not wild and files.entry(placing.resolve(files, posixpath.join(above, pattern))) is None:
        raise NotFoundError(f'"{posixpath.join("/", above, pattern)}": not found')
    matcher = ignorefile.matcher(ignorefile.patterns([pattern]))

    def include(relative: str, directory: bool) -> int:
        if matcher.matches(relative):
            return 2
        return 1 if directory else 0

    included = msgspec.structs.replace(rules, include=include if pattern else None)
    new: list[SourceFiles] = []
    for top in wildcards.matches(files, above, wildcard):
        source, number = files, numbers[0]
        links = links_on(files, placing.resolve(files, top), wildcards.literal_parts(pattern)[: pattern.count("/")])
        if links:
            source, number = Through(files, links), numbers[1] + len(new)
            new.append(source)
        placement.copy(source, number, top, destination.rstrip("/") + "/", included)
    return new


def _refuse_whiteout(path: str) -> None:
    """In a layer such a name says that another file is deleted, so the file itself cannot be there."""
    if any(part.startswith(".wh.") for part in path.split("/")):
        raise PolyarchError(
            f"/{path} cannot be in an image: in a layer, a name that begins with .wh. deletes another file",
            "give it another name, or leave it out with .dockerignore or --exclude",
        )


def wildcard(pattern: str, name: str) -> bool:
    """Go's filepath.Match; a pattern that is none matches nothing, as where BuildKit resolves wildcards."""
    try:
        return glob.match(pattern, name)
    except DockerfileError:
        return False


def _excluding(texts: Sequence[str]) -> Callable[[str, bool], int] | None:
    if not texts:
        return None
    matcher = ignorefile.matcher(ignorefile.patterns(texts))

    def excluded(relative: str, directory: bool) -> int:
        if not matcher.matches(relative):
            return 0
        # A directory that a `!` pattern reaches into is walked all the same, and comes with what is found there.
        return 2 if not directory or matcher.skips(relative, matcher.enter(relative)) else 1

    return excluded


def make_directory(path: str, owner: tuple[int, int] | None, base: Lookup, epoch: int | None) -> Arrangement:
    """WORKDIR: the directory and its missing parents, 0755, the user's; nothing where it is there already."""
    placement = Placement(base)
    rules = CopyRules(owner=owner, time=epoch or 0)
    placement.make_directories(placing.resolve(placement, path), rules)
    return Arrangement(placement.items(rules.time), [])


def _portable(entry: Entry) -> tuple[object, ...]:
    return (
        entry.path.encode("utf-8", "surrogateescape"),
        entry.kind,
        entry.mode,
        entry.uid,
        entry.gid,
        entry.size,
        entry.mtime,
        entry.link.encode("utf-8", "surrogateescape"),
        entry.xattrs,
        entry.major,
        entry.minor,
    )


def no_archive(source: SourceFiles, path: str) -> None:
    """For keys: an archive's content says all of what it unpacks to."""
