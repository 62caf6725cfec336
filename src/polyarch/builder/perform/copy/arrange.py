"""Compute from listings what the layer of a COPY, ADD or WORKDIR will contain. Nothing is unpacked or read.

The result is an `Arrangement`. Its fingerprint compares arrangements by content, so a layer is packed once for all
platforms on whose bases it is the same.
"""

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from polyarch.builder.perform.copy import modes, wildcards
from polyarch.builder.perform.copy import placement as placing
from polyarch.builder.perform.copy.entry_table import Items, Lookup, Placed
from polyarch.builder.perform.copy.files import SourceFiles
from polyarch.builder.perform.copy.followed_links import FollowedLinks, links_on
from polyarch.builder.perform.copy.placement import Placement
from polyarch.builder.perform.copy.rules import CopyRules, PathFilter
from polyarch.builder.perform.copy.unpack import unpack
from polyarch.builder.vertices import CopyFiles
from polyarch.dockerfile import glob, ignorefile
from polyarch.dockerfile.source import DockerfileError
from polyarch.errors import NotFoundError, PolyarchError
from polyarch.layers.entry import Content, Entry, Item, plain
from polyarch.oci import digest as digests

if TYPE_CHECKING:
    from polyarch.builder.perform.copy.archives import AddedArchive

# A list of more files takes too much space.
_MOST_FILES = 20_000

# Opens a path of a source as an archive; None if it is not one.
OpenArchive = Callable[[SourceFiles, str], "AddedArchive | None"]


class Arrangement(msgspec.Struct, frozen=True):
    """The entries of a layer, and the sources of their bytes, by the numbers in `Placed.origin`.

    `asked` records each lookup in the base and its answer. The arrangement is valid on any base that answers the same.
    `nothing` says that no file was found, which is allowed for patterns only. `unusable` is a directory that only root
    can enter because of `--chmod`.
    """

    items: Items
    sources: list[SourceFiles]
    asked: Mapping[str, Entry | None] = {}
    nothing: bool = False
    unusable: str = ""
    _fingerprints: dict[bool, str] = msgspec.field(default_factory=dict)
    _files: dict[str, str] = msgspec.field(default_factory=dict)

    def is_valid_on(self, base: Lookup) -> bool:
        """Whether the same copy on `base` has the same arrangement."""
        # No layer lists the root, so its metadata does not matter.
        return all(_looks_like(base.entry(path), answer) for path, answer in self.asked.items() if path)

    def contents(self) -> Iterator[Item]:
        """The entries of the layer and the locations of their bytes, in the order of a tar.

        When all have been read, the fingerprint without times is known: the digest of a file is known once it has been
        read, and deriving thousands of entries a second time would take long.
        """
        fingerprint = None if False in self._fingerprints else _Fingerprint(self.sources)
        for placed in self.items:
            yield placed.entry, self.content(placed)
            if fingerprint is not None:
                fingerprint.add(placed)
        if fingerprint is not None:
            self._keep(fingerprint)

    def content(self, placed: Placed) -> Content | None:
        """The location of the bytes of one of the items; None if it is not a file."""
        if placed.origin is None or placed.entry.kind != "file":
            return None
        number, path = placed.origin
        return self.sources[number].content(path)

    def fingerprint(self, *, times: bool) -> str:
        """A digest of everything that the layer will hold; the times of files only with `times`.

        As in BuildKit, a change of times alone does not change the layer: a fresh clone has new times.
        """
        known = self._fingerprints.get(times)
        if known is not None:
            return known
        fingerprint = _Fingerprint(self.sources, times=times)
        for placed in self.items:
            fingerprint.add(placed)
        return self._keep(fingerprint)

    def _keep(self, fingerprint: "_Fingerprint") -> str:
        self._files.update(fingerprint.files)
        return self._fingerprints.setdefault(fingerprint.times, fingerprint.text())

    def files(self) -> Mapping[str, str]:
        """A short text that changes with the file, for each path in the source. Used to compare two builds.

        Empty if there are more than 20,000 files.
        """
        self.fingerprint(times=False)
        return self._files if len(self._files) <= _MOST_FILES else {}


class _Fingerprint:
    """The fingerprint of the entries that are added to it, and the same of each file."""

    def __init__(self, sources: Sequence[SourceFiles], *, times: bool = False) -> None:
        self.times = times
        self.files: dict[str, str] = {}
        self._sources = sources
        self._digest = digests.new()

    def add(self, placed: Placed) -> None:
        entry = placed.entry
        same = entry if self.times else msgspec.structs.replace(entry, mtime=0)
        self._digest.update(msgspec.msgpack.encode(_portable(same)))
        path, content = entry.path, entry.link
        if placed.origin is not None:
            number, path = placed.origin
            content = self._sources[number].fingerprint(path)
            self._digest.update(content.encode("utf-8", "surrogateescape"))
        if len(self.files) <= _MOST_FILES:
            self.files[path] = f"{entry.kind} {entry.mode:o} {content[-16:]}"

    def text(self) -> str:
        return f"sha256:{self._digest.hexdigest()}"


def arrange(
    vertex: CopyFiles,
    sources: Sequence[SourceFiles],
    base: Lookup,
    owner: tuple[int, int] | None,
    open_archive: OpenArchive,
) -> Arrangement:
    """What the layer of `vertex` holds; `sources` are those of its parts, in order.

    Raises NotFoundError for a missing path, PolyarchError if a file meets a directory.
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
        paths = _named(files, part.path, rules.exclude) if part.pattern else [path]
        for path in paths:
            archive = open_archive(files, path) if part.unpack else None
            if archive is not None:
                used.append(archive)
                unpack(placement, len(used) - 1, archive.order(), vertex.destination, rules)
            else:
                placement.copy(files, number, path, vertex.destination, rules)
    items = placement.items(rules.time, vertex.epoch)
    for placed in items.paths():
        if ".wh." in placed:
            _refuse_whiteout(placed)
    return Arrangement(items, used, asked.answers, placement.taken == 0, placement.unusable)


class _Asked:
    """A base that records each lookup and its answer."""

    def __init__(self, base: Lookup) -> None:
        self._base = base
        self.answers: dict[str, Entry | None] = {}

    def entry(self, path: str) -> Entry | None:
        """Implements `Lookup.entry`."""
        if path not in self.answers:
            self.answers[path] = self._base.entry(path)
        return self.answers[path]


def _looks_like(one: Entry | None, other: Entry | None) -> bool:
    """Whether two answers lead to the same layer. Times do not matter: no layer has a time of its base."""
    if one is None or other is None:
        return one is other
    return _portable(plain(one, mtime=0)) == _portable(plain(other, mtime=0))


def _named(files: SourceFiles, pattern: str, exclude: PathFilter | None) -> list[str]:
    """The paths that match a pattern. As documented for Dockerfiles, `--exclude` removes matches of a wildcard."""
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
    """Place the matches of `--parents`, which keep their directories; those before a pivot `/./` are dropped.

    `numbers` are the number of the source and the next free one. Returns the sources that were added.
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
            source, number = FollowedLinks(files, links), numbers[1] + len(new)
            new.append(source)
        placement.copy(source, number, top, destination.rstrip("/") + "/", included)
    return new


def _refuse_whiteout(path: str) -> None:
    """Raise for a file whose name is a whiteout: in a layer, it would delete another file."""
    if any(part.startswith(".wh.") for part in path.split("/")):
        raise PolyarchError(
            f"/{path} cannot be in an image: in a layer, a name that begins with .wh. deletes another file",
            "give it another name, or leave it out with .dockerignore or --exclude",
        )


def wildcard(pattern: str, name: str) -> bool:
    """Go's filepath.Match. An invalid pattern matches nothing, as in BuildKit's resolver of wildcards."""
    try:
        return glob.match(pattern, name)
    except DockerfileError:
        return False


def _excluding(texts: Sequence[str]) -> PathFilter | None:
    if not texts:
        return None
    matcher = ignorefile.matcher(ignorefile.patterns(texts))

    def excluded(relative: str, directory: bool) -> int:
        if not matcher.matches(relative):
            return 0
        # If a `!` pattern may match below an excluded directory, the directory is walked, and copied with a match.
        return 2 if not directory or matcher.skips(relative, matcher.enter(relative)) else 1

    return excluded


def make_directory(path: str, owner: tuple[int, int] | None, base: Lookup, epoch: int | None) -> Arrangement:
    """WORKDIR: the directory and its missing parents with mode 0755; nothing if the directory exists."""
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
    """An `OpenArchive` for keys: the content of an archive determines what it unpacks to."""
