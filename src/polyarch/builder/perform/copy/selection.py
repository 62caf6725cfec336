"""What a COPY takes of its sources, as a name for its cache key: by content for local files, by key for stages.

The base does not matter here, so one selection serves every platform. A selection of build contexts is also remembered
across builds: while the signatures of the directories are the same, no file is looked at a second time.
"""

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from polyarch.builder import encoding, vertices
from polyarch.builder.perform.copy.arrangements import ArrangementCache
from polyarch.builder.perform.environment import VERSION, key_of
from polyarch.builder.perform.sources import CopySources
from polyarch.builder.vertices import NOTHING, BuildGraph, Context, CopyFiles, VertexId
from polyarch.errors import NotFoundError
from polyarch.oci import digest as digests
from polyarch.store import tables
from polyarch.store.tables import Table

# Imported where it is used: a cached build arranges nothing.
if TYPE_CHECKING:
    from polyarch.builder.contexts.local import LocalContext
    from polyarch.builder.perform.copy.arrange import Arrangement
    from polyarch.store import Store

# Called with a copy and its arrangement before its files are hashed one by one.
BeforeHashing = Callable[[CopyFiles, "Arrangement"], None]

_OUTSIDE = (
    "nothing outside of the build context is copied: build with a directory above as the context and -f for this "
    "Dockerfile, or add one with --build-context NAME=DIRECTORY for COPY --from=NAME"
)


class CopySelection(msgspec.Struct, frozen=True):
    """What a copy takes. Selections of one `name` are equal.

    `local` is the copy of its local sources alone, None if all sources are stages. `arrangement` is that copy arranged
    on an empty base, None if it was not needed: the files have not changed since an earlier build.
    """

    name: str
    local: CopyFiles | None = None
    arrangement: "Arrangement | None" = None


class _Question(msgspec.Struct, frozen=True):
    """What a selection depends on: the copy without its base, and the cache keys of its sources."""

    copy: CopyFiles
    keys: tuple[str, ...]


class RememberedSelection(msgspec.Struct, frozen=True):
    """A row of the cache: the signatures of the contexts when a selection was made, and its name."""

    signatures: tuple[str, ...]
    name: str


_SELECTIONS: Table[str, RememberedSelection] = Table(
    tables.SELECTION, msgspec.msgpack.encode, msgspec.msgpack.Decoder(RememberedSelection).decode
)


class SelectionCache:
    """Finds the selections of one build, each once. It owns nothing.

    Working out a selection adds its arrangement to `arrangements`, so that performing the copy can use it.
    """

    def __init__(self, graph: BuildGraph, sources: CopySources, store: "Store", arrangements: ArrangementCache) -> None:
        self._graph = graph
        self._sources = sources
        self._store = store
        self._arrangements = arrangements
        self._selections: dict[_Question, CopySelection] = {}
        self._by_name: dict[str, CopySelection] = {}
        # Those that were named without a look at the files, with the cache keys of their sources.
        self._unread: dict[str, tuple[CopyFiles, tuple[str, ...]]] = {}

    def select(
        self, vertex: CopyFiles, inputs: Mapping[VertexId, str], before_hashing: BeforeHashing | None = None
    ) -> CopySelection:
        """The selection of a copy; `inputs` are the cache keys of its inputs. Raises NotFoundError."""
        copy = msgspec.structs.replace(vertex, base=NOTHING, accounts=NOTHING)
        question = _Question(copy, tuple(key_of(part.source, inputs) for part in vertex.parts))
        found = self._selections.get(question)
        if found is None:
            found = self._selections[question] = self._unchanged_or_read(vertex, question.keys, before_hashing)
            self._by_name[found.name] = found
        return found

    def files(self, name: str) -> Callable[[], Mapping[str, str]] | None:
        """A function that lists the local files of a selection and their digests; None if it has none."""
        selection = self._by_name.get(name)
        if selection is None or selection.local is None:
            return None
        local, arrangement = selection.local, selection.arrangement
        return lambda: (arrangement or self._arranged(local)[0]).files()

    def is_current(self, name: str) -> bool:
        """Whether what was copied is what the name says: a file may have changed between the walk and the copy."""
        vertex, keys = self._unread.get(name, (None, ()))
        if vertex is None or not any(context.changed for context in self._contexts(vertex)):
            return True
        return self._read(vertex, keys, None).name == name

    def _unchanged_or_read(
        self, vertex: CopyFiles, keys: Sequence[str], before_hashing: BeforeHashing | None
    ) -> CopySelection:
        contexts = self._contexts(vertex)
        if len(contexts) != len(vertex.parts):
            return self._read(vertex, keys, before_hashing)
        cache = self._store.cache
        row = f"{VERSION} {copy_id(vertex)} {[str(context.root) for context in contexts]}"
        remembered = _SELECTIONS.get(cache, row)
        if remembered is not None and remembered.signatures == tuple(context.signature() for context in contexts):
            for context in contexts:
                context.rely()
            self._unread[remembered.name] = vertex, tuple(keys)
            return CopySelection(remembered.name, vertex)
        selection = self._read(vertex, keys, before_hashing)
        signatures = tuple(context.signature() for context in contexts)
        # A context has no signature while one of its files is too young to trust its stat.
        if all(signatures):
            _SELECTIONS.put(cache, row, RememberedSelection(signatures, selection.name))
        return selection

    def _contexts(self, vertex: CopyFiles) -> "list[LocalContext]":
        """The build contexts among the sources of a copy."""
        found = [self._graph.vertices[part.source] for part in vertex.parts if part.source]
        return [self._sources.context(source) for source in found if isinstance(source, Context)]

    def _read(self, vertex: CopyFiles, keys: Sequence[str], before_hashing: BeforeHashing | None) -> CopySelection:
        """Select by looking at the files."""
        digest = digests.new(little=True)
        chosen = []
        for part, key in zip(vertex.parts, keys, strict=True):
            digest.update(encoding.to_json((part.path, part.pattern, part.unpack)))
            if self._sources.local(part.source) is None:
                digest.update(key.encode())
            else:
                chosen.append(part)
        if not chosen:
            return CopySelection(digest.hexdigest())
        local = msgspec.structs.replace(vertex, parts=tuple(chosen))
        arrangement, exact = self._arranged(local)
        if exact and before_hashing is not None and len(chosen) == len(vertex.parts):
            before_hashing(vertex, arrangement)
        digest.update(arrangement.fingerprint(times=False).encode())
        if exact and len(chosen) == len(vertex.parts) and not any(part.unpack for part in vertex.parts):
            self._arrangements.add(local, arrangement.sources, None, arrangement)
        return CopySelection(digest.hexdigest(), local, arrangement)

    def _arranged(self, vertex: CopyFiles) -> "tuple[Arrangement, bool]":
        """A copy of local sources arranged on an empty base, and whether it is possible there.

        Sources that collide at the destination may all go into it on a base that has a directory there; these are
        arranged in a directory.
        """
        from polyarch.builder.perform.copy import arrange, placement

        sources = [source for part in vertex.parts if (source := self._sources.local(part.source)) is not None]
        bare = msgspec.structs.replace(vertex, owner="")
        try:
            return arrange.arrange(bare, sources, placement.Empty(), None, arrange.no_archive), True
        except NotFoundError as error:
            missing = re.findall(r'"/(.+)": not found', error.message)
            outside = any(posixpath.normpath(part.path).startswith("..") for part in vertex.parts)
            hint = _OUTSIDE if outside else error.hint
            raise NotFoundError(f"{error.message}{self._sources.excluded(vertex, missing)}", hint) from error
        except placement.CollisionError:
            inside = msgspec.structs.replace(bare, destination=f"{bare.destination}/")
            return arrange.arrange(inside, sources, placement.Empty(), None, arrange.no_archive), False


def copy_id(vertex: CopyFiles) -> str:
    """Names what a copy asks for, whatever its base, its owner's ids and the vertices of its sources are."""
    parts = tuple(msgspec.structs.replace(part, source=NOTHING) for part in vertex.parts)
    return vertices.identity(msgspec.structs.replace(vertex, base=NOTHING, accounts=NOTHING, parts=parts, owner=""))
