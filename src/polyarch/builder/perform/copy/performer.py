"""COPY, ADD and WORKDIR: what each takes, how it comes to lie, and its layer, packed once for all platforms."""

import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from polyarch import progress
from polyarch.builder import encoding
from polyarch.builder.cache import packed
from polyarch.builder.cache import results as records
from polyarch.builder.export.streaming import Uploads, no_upload
from polyarch.builder.perform.copy import accounts, arrange, placement
from polyarch.builder.perform.copy.archives import AddedArchive, open_archive
from polyarch.builder.perform.copy.arrange import no_archive
from polyarch.builder.perform.copy.files import SourceFiles, StageFiles
from polyarch.builder.perform.copy.placed import Lookup
from polyarch.builder.perform.environment import VERSION, Result, StepEnvironment, key_of, stack_of
from polyarch.builder.perform.sources import CopySources
from polyarch.builder.vertices import NOTHING, BuildGraph, Context, CopyFiles, CopyPart, MakeDirectory, VertexId
from polyarch.contents import layer as layer_values
from polyarch.contents.filesystem import Filesystems
from polyarch.contents.layer import Layer
from polyarch.contents.stack import Stack
from polyarch.dockerfile import rules
from polyarch.errors import NotFoundError

_LAST = "last"
_SELECTION = "selection"


class CopyPerformer:
    """Makes the layers of one build that come of files, not of a process; safe from many threads. It owns nothing."""

    def __init__(
        self,
        graph: BuildGraph,
        site: StepEnvironment,
        sources: CopySources,
        filesystems: Filesystems,
        emit: progress.Emit,
    ) -> None:
        self._graph = graph
        self._site = site
        self._sources = sources
        self._filesystems = filesystems
        self._emit = emit
        self._lock = threading.Lock()
        self._selections: dict[str, str] = {}
        self._arrangements: dict[str, arrange.Arrangement] = {}
        self._arranged: dict[str, list[arrange.Arrangement]] = {}
        self._unread: dict[str, CopyFiles] = {}
        self._flights: dict[str, threading.Lock] = {}
        self._packed: set[str] = set()
        self._ahead: Uploads | None = None

    def pack_ahead(self, uploads: Uploads) -> None:
        """From now on, files that nobody knows yet are packed when they are read for their keys: one read for both.

        For a build that starts at nothing, whose copies wait for what is known of their bases. `uploads` is for copies
        that are of the result; others are not packed ahead.
        """
        self._ahead = uploads

    def details(self, name: str) -> tuple[str, Callable[[], Mapping[str, str]]] | None:
        """What `selected` named, where it is of this machine's files: the name, and, when asked, each file's digest."""
        if name in self._unread:
            return name, lambda: self._arrangement(self._unread[name])[0].fingerprints()
        arranged = self._arrangements.get(name)
        return (name, arranged.fingerprints) if arranged is not None else None

    def selected(self, vertex: CopyFiles, inputs: Mapping[VertexId, str], *, of_result: bool = False) -> str:
        """What a copy takes, by content for files of this machine, by their stages' keys for others.

        The same selection serves all platforms, so it is worked out once. `of_result` says that its layer will be
        wanted as a blob.
        """
        question = msgspec.structs.replace(vertex, base=NOTHING, accounts=NOTHING)
        name = f"{encoding.to_json(question)!r}{[key_of(part.source, inputs) for part in vertex.parts]}"
        if name not in self._selections:
            self._selections[name] = self._select(vertex, inputs, of_result)
        return self._selections[name]

    def _select(self, vertex: CopyFiles, inputs: Mapping[VertexId, str], of_result: bool) -> str:
        sources = [self._graph.vertices[part.source] for part in vertex.parts if part.source]
        contexts = [self._sources.context(source) for source in sources if isinstance(source, Context)]
        if len(contexts) != len(vertex.parts):
            return self._read(vertex, inputs, of_result)
        # What was selected of directories that have not changed since is known without reading a name twice.
        cache = self._site.store.cache
        row = f"{VERSION} {_question(vertex, (), None)} {[str(context.root) for context in contexts]}"
        known = cache.get(_SELECTION, row)
        if known is not None:
            *before, name = known.decode().split(" ")
            if before == [context.signature() for context in contexts]:
                self._unread[name] = vertex
                return name
        name = self._read(vertex, inputs, of_result)
        signatures = [context.signature() for context in contexts]
        if all(signatures):
            cache.put(_SELECTION, row, " ".join((*signatures, name)).encode())
        return name

    def _read(self, vertex: CopyFiles, inputs: Mapping[VertexId, str], of_result: bool) -> str:
        local = [self._sources.local(part.source) for part in vertex.parts]
        digest = hashlib.sha256()
        for part, found in zip(vertex.parts, local, strict=True):
            digest.update(encoding.to_json((part.path, part.pattern, part.unpack)))
            if found is None:
                digest.update(key_of(part.source, inputs).encode())
        chosen = [number for number, found in enumerate(local) if found is not None]
        if chosen:
            only = msgspec.structs.replace(vertex, parts=tuple(vertex.parts[number] for number in chosen))
            arranged, exact = self._arrangement(only)
            if exact and of_result and len(chosen) == len(local):
                self._foresee(vertex, arranged)
            digest.update(arranged.fingerprint(times=False).encode())
            self._arrangements[digest.hexdigest()] = arranged
            if exact and len(chosen) == len(local) and not any(part.unpack for part in vertex.parts):
                bare = msgspec.structs.replace(only, owner="")
                self._arranged.setdefault(_question(bare, arranged.sources, None), []).append(arranged)
        return digest.hexdigest()

    def _foresee(self, vertex: CopyFiles, arranged: arrange.Arrangement) -> None:
        """Pack what a copy would hold on nothing, if that is likely to be what it will hold.

        Where the base turns out to have something else at the destination, the layer is made of the same blocks.
        """
        if self._ahead is None or vertex.owner or any(part.unpack for part in vertex.parts):
            return
        same = _question(vertex, (), None)
        if records.remembered(self._site.store, _LAST, self._last(same)) is None:
            with progress.reported(self._emit, f"read {same}", "[internal] reading the build context"):
                self._make(arranged, vertex.epoch, same, self._ahead)

    def _arrangement(self, vertex: CopyFiles) -> tuple[arrange.Arrangement, bool]:
        """What a copy whose sources are all of this machine takes, as it would lie on nothing; and whether it can.

        Sources that collide at the destination may all go into it on a base that has a directory there.
        """
        found = [source for part in vertex.parts if (source := self._sources.local(part.source)) is not None]
        bare = msgspec.structs.replace(vertex, owner="")
        try:
            return arrange.arrange(bare, found, placement.Empty(), None, no_archive), True
        except NotFoundError as error:
            named = re.findall(r'"/(.+)": not found', error.message)
            raise NotFoundError(f"{error.message}{self._hidden(vertex, named)}", error.hint) from error
        except placement.CollisionError:
            inside = msgspec.structs.replace(bare, destination=f"{bare.destination}/")
            return arrange.arrange(inside, found, placement.Empty(), None, no_archive), False

    def mounted(self, source: VertexId, path: str, inputs: Mapping[VertexId, str]) -> str:
        """What a bind mount shows: the content of a context's files, the key of a stage."""
        local = self._sources.local(source)
        if local is None:
            return key_of(source, inputs)
        whole = CopyFiles(base=NOTHING, parts=(CopyPart(source=source, path=path),), destination="/mount")
        return self.selected(whole, inputs)

    def copy(self, vertex: CopyFiles, inputs: Mapping[VertexId, Result], uploads: Uploads) -> Layer:
        sources = [self._source(part.source, inputs) for part in vertex.parts]
        owner = accounts.owner(vertex.owner, self._texts(vertex.accounts, inputs))
        ids = owner.ids if owner is not None else None
        arranged = self._arrange(vertex, sources, self._base(vertex.base, inputs), ids)
        made = self._pack(arranged, vertex.epoch, _question(vertex, (), None), uploads)
        notes = _unknown(owner, f"--chown={vertex.owner}")
        if arranged.nothing:
            notes += (self._nothing(vertex),)
        if arranged.unusable:
            message = (
                f"--chmod={vertex.mode} is the mode of the directory /{arranged.unusable}, too, which only root can "
                "enter then; letters know directories, as in --chmod=u=rwX,go=rX"
            )
            notes += ((rules.UNUSABLE_DIRECTORY.name, message),)
        return msgspec.structs.replace(made, notes=notes)

    def _nothing(self, vertex: CopyFiles) -> tuple[str, str]:
        """What is to be said of a copy that took nothing."""
        patterns = [part.path for part in vertex.parts]
        message = f"no file matches {' '.join(patterns)}, so nothing is copied{self._hidden(vertex, patterns)}"
        return rules.NOTHING_TO_COPY.name, message

    def _hidden(self, vertex: CopyFiles, paths: Iterable[str]) -> str:
        """What is to be said of one of these paths that the context's directory has, and its ignore file leaves out."""
        sources = {part.source for part in vertex.parts if part.source}
        contexts = [value for source in sources if isinstance(value := self._graph.vertices[source], Context)]
        for context in contexts:
            for path in paths:
                hidden = self._sources.context(context).hidden(path)
                if hidden is not None:
                    return f"; {hidden[0]} is there, and .dockerignore excludes it (pattern {hidden[1]})"
        return ""

    def _texts(self, stage: VertexId, inputs: Mapping[VertexId, Result]) -> accounts.ReadText:
        if not stage:
            return lambda _: None
        return StageFiles(self._filesystems, stack_of(stage, inputs)).text

    def _arrange(
        self, vertex: CopyFiles, sources: Sequence[SourceFiles], base: Lookup, owner: tuple[int, int] | None
    ) -> arrange.Arrangement:
        """What a copy holds on `base`: mostly what it holds on another that looks the same where it goes."""
        if any(part.unpack for part in vertex.parts):
            return arrange.arrange(vertex, sources, base, owner, self._archive)
        # The sources are told apart as objects: a context is one for all platforms, a stage is another on each.
        known = self._arranged.setdefault(_question(vertex, sources, owner), [])
        found = next((arranged for arranged in known if arranged.lies_alike_on(base)), None)
        if found is None:
            found = arrange.arrange(vertex, sources, base, owner, self._archive)
            known.append(found)
        return found

    def make_directory(self, vertex: MakeDirectory, inputs: Mapping[VertexId, Result]) -> Layer:
        base = self._base(vertex.base, inputs)
        owner = accounts.owner(vertex.owner, self._texts(vertex.base, inputs))
        arranged = arrange.make_directory(vertex.path, owner.ids if owner is not None else None, base, vertex.epoch)
        made = self._pack(arranged, vertex.epoch)
        # A directory that is there already keeps its owner, so nobody was looked for in vain.
        notes = _unknown(owner, f"USER {vertex.owner}") if arranged.items else ()
        return msgspec.structs.replace(made, notes=notes)

    def _base(self, base: VertexId, inputs: Mapping[VertexId, Result]) -> Lookup:
        return StageFiles(self._filesystems, stack_of(base, inputs)) if base else placement.Empty()

    def _source(self, source: VertexId, inputs: Mapping[VertexId, Result]) -> SourceFiles:
        found = inputs[source] if source else None
        if found is None or isinstance(found, Stack):
            return StageFiles(self._filesystems, found)
        assert not isinstance(found, tuple), source
        return found

    def _archive(self, source: SourceFiles, path: str) -> AddedArchive | None:
        followed = placement.resolve(source, path)
        entry = source.entry(followed)
        if entry is None or entry.kind != "file":
            return None
        key = source.fingerprint(followed)
        spool = self._site.scratch / f"archive-{hashlib.sha256(os.fsencode(key)).hexdigest()}-{threading.get_ident()}"
        return open_archive(source.content(followed), spool, key, self._site.store.largest_layer)

    def _pack(
        self, arranged: arrange.Arrangement, epoch: int | None, same: str = "", uploads: Uploads = no_upload
    ) -> Layer:
        """The layer of an arrangement, made once for all platforms, and in no later build either.

        `same` names what is likely to be much as it was when a layer was last made for it.
        """
        key = self._key(arranged, epoch)
        with self._lock:
            flight = self._flights.setdefault(key, threading.Lock())
        with flight:
            # Without the cache, what another platform packed in this run still serves.
            anew = self._site.no_cache and key not in self._packed
            known = None if anew else self._site.results.find(key, self._site.compression)
            return known if known is not None else self._make(arranged, epoch, same, uploads)

    def _make(self, arranged: arrange.Arrangement, epoch: int | None, same: str, uploads: Uploads) -> Layer:
        site = self._site
        like = records.remembered(site.store, _LAST, self._last(same)) if same else None
        blob = packed.pack(site.store, arranged.contents(), site.compression, site.workers, like, uploads)
        made = msgspec.structs.replace(blob, created=site.created)
        key = self._key(arranged, epoch)
        site.results.keep(key, made)
        if same:
            site.store.cache.put(_LAST, self._last(same), layer_values.encode(made))
        self._packed.add(key)
        return made

    def _key(self, arranged: arrange.Arrangement, epoch: int | None) -> str:
        return f"{arranged.fingerprint(times=False)}-{epoch}-{self._site.compression.tag()}"

    def _last(self, same: str) -> str:
        return f"{same} {self._site.compression.tag()}"


def _unknown(owner: accounts.Owner | None, words: str) -> tuple[tuple[str, str], ...]:
    """What is to be said of names that the image does not know."""
    if owner is None or not owner.unknown:
        return ()
    message = f"{words}: the image's /etc/passwd and /etc/group know no {' and no '.join(owner.unknown)}"
    uid, gid = owner.ids
    return ((rules.UNKNOWN_OWNER.name, f"{message}, so the files belong to {uid}:{gid}"),)


def _question(vertex: CopyFiles, sources: Sequence[SourceFiles], owner: tuple[int, int] | None) -> str:
    """What a copy asks for, whatever its base and whoever is asked."""
    bare = msgspec.structs.replace(vertex, base=NOTHING, accounts=NOTHING, parts=(), owner=str(owner or ""))
    parts = [(part.path, part.pattern, part.unpack) for part in vertex.parts]
    return f"{encoding.to_json((bare, parts))!r} {[id(source) for source in sources]}"
