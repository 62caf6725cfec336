"""The quick part of `check`, for what a build has made: binaries of another architecture in its new layers.

Bases are not read: they were checked when they were made, or can be. What was found of a stack of layers is remembered,
so a build of which everything was cached pays for one look into the cache.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from polyarch import progress
from polyarch.builder import encoding
from polyarch.builder.plan.planner import Plan
from polyarch.contents.filesystem import Filesystems
from polyarch.contents.layer import Layer
from polyarch.errors import BuildError, ConflictError, CorruptError
from polyarch.oci.config import ImageConfig
from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform
from polyarch.store import tables
from polyarch.store.tables import Table

if TYPE_CHECKING:
    from polyarch.contents.facts import Facts
    from polyarch.images.check.findings import Finding, Group
    from polyarch.layers.listing import Listing
    from polyarch.store import Store
    from polyarch.transfer.read_through import ReadThroughSource

Mode = Literal["error", "warn"]

_GOOD = b"good"
_SHOWN = 3
# What a part of an image can tell: whether its command is there is a question to the whole.
_RULES = ("foreign-binary", "command-foreign", "command-crlf")


def _encode(found: "tuple[Finding, ...]") -> bytes:
    return msgspec.msgpack.encode(found) if found else _GOOD


def _decode(raw: bytes) -> "tuple[Finding, ...]":
    if raw == _GOOD:
        return ()  # as nearly always: then nothing of `check` is loaded
    from polyarch.images.check.findings import Finding

    return msgspec.msgpack.decode(raw, type=tuple[Finding, ...])


_VERDICTS: "Table[str, tuple[Finding, ...]]" = Table(tables.VERDICT, _encode, _decode)


class PlatformVerifier:
    """Looks at the results of one build. It owns nothing."""

    def __init__(self, store: "Store", source: "ReadThroughSource", filesystems: Filesystems, mode: Mode) -> None:
        self._store = store
        self._source = source
        self._filesystems = filesystems
        self._mode = mode

    def verify(self, plan: Plan, stack: Sequence[Layer]) -> tuple[progress.Warned, ...]:
        """What is wrong in the new layers of one platform's stack, as warnings.

        Raises BuildError, in the mode "error", where what the image starts is for another platform.
        """
        said: list[progress.Warned] = []
        for group in self._findings(plan, stack):
            message = _message(plan.platform, group)
            if group.first.rule == "command-foreign" and self._mode == "error":
                step = f"\nbrought by {group.first.step}" if group.first.step else ""
                raise BuildError(
                    f"{message}{step}",
                    "build it for its platform: a compiler in a $BUILDPLATFORM stage must be told $TARGETARCH; "
                    "--verify-platforms=warn only warns",
                )
            said.append(progress.Warned(message, _detail(group)))
        return tuple(said)

    def _findings(self, plan: Plan, stack: Sequence[Layer]) -> "tuple[Group, ...]":
        lines = [line.created_by for line in plan.history if not line.empty_layer]
        # A base's layers have no time: it is the base's own affair when they were made.
        new = [(layer, step) for layer, step in zip(stack, lines, strict=True) if layer.created]
        if not new:
            return ()
        key = _key(plan, new)
        found = _VERDICTS.get(self._store.cache, key)
        if found is None:
            found = self._look(plan, new)
            _VERDICTS.put(self._store.cache, key, found)
        if not found:
            return ()
        from polyarch.images.check.findings import grouped

        return grouped(found)

    def _look(self, plan: Plan, new: Sequence[tuple[Layer, str]]) -> "tuple[Finding, ...]":
        from polyarch.contents.facts import Learner
        from polyarch.images.check import command, foreign
        from polyarch.images.check.view import Known, View

        # Mostly there are no binaries, and then no listing is made of what may be hundreds of thousands of files.
        learner = Learner(self._source, self._store)
        directories = {layer.key: _of_directory(self._filesystems, layer) for layer, _ in new if layer.is_bare}
        blobs = [layer.as_blob() for layer, _ in new if layer.blob is not None]
        facts = [*(facts for _, facts in directories.values()), *map(learner.facts, blobs)]
        if not any(one.binaries for one in facts):
            return ()
        known = []
        for layer, step in new:
            if layer.blob is None:
                listing, learnt = directories[layer.key]
            else:
                listing, learnt = learner.learn(layer.as_blob())
            blob = layer.blob.digest if layer.blob is not None else Digest("")
            known.append(Known(blob=blob, step=step, listing=listing, facts=learnt))
        try:
            view = View(plan.platform, plan.config, known)
        except (CorruptError, ConflictError):
            return ()  # hard links into a base: the part says nothing without the whole
        found = [*command.findings(view), *foreign.findings(view)]
        commands = {finding.path for finding in found if finding.rule == "command-foreign"}
        return tuple(
            finding
            for finding in found
            if finding.rule in _RULES and not (finding.rule == "foreign-binary" and finding.path in commands)
        )


def _of_directory(filesystems: Filesystems, layer: Layer) -> "tuple[Listing, Facts]":
    """Listing and facts of a layer that is a directory: its files are read where they are."""
    from polyarch.contents.facts import FactsCollector, interests
    from polyarch.layers.content import open_content
    from polyarch.layers.listing import Listing, listed

    collector = FactsCollector()
    entries = []
    # A directory has no offsets; facts are told apart by the numbers of their entries.
    for number, (entry, content) in enumerate(filesystems.items(layer)):
        numbered = listed(entry, number)
        entries.append(numbered)
        if interests(numbered) and content is not None:
            with open_content(entry, content) as reader:
                collector.look(numbered, reader)
    return Listing(entries=tuple(entries), size=0), collector.facts()


def _key(plan: Plan, new: Iterable[tuple[Layer, str]]) -> str:
    config: ImageConfig = plan.config
    run = {name: config.run.get(name) for name in ("Entrypoint", "Cmd", "Env", "WorkingDir", "Labels")}
    parts = [str(plan.platform), [[layer.key, step] for layer, step in new], run]
    return hashlib.sha256(encoding.to_json(parts)).hexdigest()


def _message(platform: Platform, group: "Group") -> str:
    paths = group.paths
    if len(paths) < 2:
        where = f"{paths[0]}: " if paths and not group.first.rule.startswith("command") else ""
        return f"[{platform}] {where}{group.first.message}"
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return f"[{platform}] {len(paths)} files, each {group.first.message}: {', '.join(paths[:_SHOWN])}{more}"


def _detail(group: "Group") -> str:
    return f"brought by {group.first.step}" if group.first.step else ""
