"""The quick part of `check` for new layers of a build: binaries of another architecture.

Bases are not read: they can be checked on their own. Nor are layers that were found in a cache outside of the store
and have not been downloaded: what was found where they were made travels with them. The findings of a stack of layers
are remembered, so a cached build costs one lookup.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from polyarch import progress
from polyarch.builder import encoding
from polyarch.builder.plan.planner import Plan
from polyarch.contents.filesystem import Filesystems
from polyarch.contents.layer import Layer
from polyarch.errors import BuildError, ConflictError, CorruptError
from polyarch.oci import digest as digests
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
# The rules that work on a part of an image. Whether its command exists can be seen in the whole image only.
_RULES = ("foreign-binary", "command-foreign", "command-crlf")


def _encode(found: "tuple[Finding, ...]") -> bytes:
    return msgspec.msgpack.encode(found) if found else _GOOD


def _decode(raw: bytes) -> "tuple[Finding, ...]":
    if raw == _GOOD:
        return ()  # the usual case, in which `check` need not be imported
    from polyarch.images.check.findings import Finding

    return msgspec.msgpack.decode(raw, type=tuple[Finding, ...])


_VERDICTS: "Table[str, tuple[Finding, ...]]" = Table(tables.VERDICT, _encode, _decode)


class PlatformVerifier:
    """Checks the results of one build. It owns nothing. `verdicts` finds what another machine's check found."""

    def __init__(
        self,
        store: "Store",
        source: "ReadThroughSource",
        filesystems: Filesystems,
        mode: Mode,
        verdicts: Callable[[Platform, str], bytes | None],
    ) -> None:
        self._store = store
        self._verdicts = verdicts
        self._source = source
        self._filesystems = filesystems
        self._mode = mode

    def verify(self, plan: Plan, stack: Sequence[Layer]) -> tuple[progress.Warned, ...]:
        """The findings in the new layers of one platform's stack, as warnings.

        In the mode "error", raises BuildError if the program that the image starts is for another platform.
        """
        warnings: list[progress.Warned] = []
        for group in self._findings(plan, stack):
            message = _message(plan.platform, group)
            if group.first.rule == "command-foreign" and self._mode == "error":
                step = f"\nadded by {group.first.step}" if group.first.step else ""
                raise BuildError(
                    f"{message}{step}",
                    "build it for its platform: a compiler in a $BUILDPLATFORM stage must be told $TARGETARCH; "
                    "--verify-platforms=warn only warns",
                )
            warnings.append(progress.Warned(message, _detail(group)))
        return tuple(warnings)

    def _findings(self, plan: Plan, stack: Sequence[Layer]) -> "tuple[Group, ...]":
        new = _new(plan, stack)
        if not new:
            return ()
        key = _key(plan, new)
        found = _VERDICTS.get(self._store.cache, key)
        if found is None:
            received = self._received(plan.platform, key)
            here = [(layer, step) for layer, step in new if self._is_here(layer)]
            found = self._look(plan, here) if received is None else received
            if received is not None or len(here) == len(new):
                _VERDICTS.put(self._store.cache, key, found)
        if not found:
            return ()
        from polyarch.images.check.findings import grouped

        return grouped(found)

    def _is_here(self, layer: Layer) -> bool:
        """Whether the layer can be read without a download. One that was found in a cache outside of the store was
        checked where it was made, and is not downloaded to be checked again.
        """
        return layer.is_bare or bool(layer.snapshot) or self._store.has_blob(layer.as_blob().blob)

    def _received(self, platform: Platform, key: str) -> "tuple[Finding, ...] | None":
        raw = self._verdicts(platform, key)
        try:
            return None if raw is None else _decode(raw)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return None

    def _look(self, plan: Plan, new: Sequence[tuple[Layer, str]]) -> "tuple[Finding, ...]":
        from polyarch.contents.facts import Learner
        from polyarch.images.check import command, foreign
        from polyarch.images.check.view import Known, View

        # Mostly there are no binaries, and then no listing of perhaps hundreds of thousands of files is made.
        learner = Learner(self._source, self._store)
        directories = {layer.key: _of_directory(self._filesystems, layer) for layer, _ in new if layer.is_bare}
        blobs = [layer.as_blob() for layer, _ in new if layer.blob is not None]
        facts = [*(facts for _, facts in directories.values()), *map(learner.facts, blobs)]
        if not any(layer.binaries for layer in facts):
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
            return ()  # hard links into a base, which is not read
        found = [*command.findings(view), *foreign.findings(view)]
        commands = {finding.path for finding in found if finding.rule == "command-foreign"}
        return tuple(
            finding
            for finding in found
            if finding.rule in _RULES and not (finding.rule == "foreign-binary" and finding.path in commands)
        )


def verdict(store: "Store", plan: Plan, stack: Sequence[Layer], exported: Sequence[Layer]) -> tuple[str, bytes] | None:
    """What the check of `stack` found, under the key that another machine finds it by, which has only the layers as
    they were `exported`; None if nothing was checked.
    """
    new = _new(plan, stack)
    found = _VERDICTS.get(store.cache, _key(plan, new)) if new else None
    if found is None:
        return None
    blobs = [msgspec.structs.replace(layer, snapshot="") for layer in exported]
    return _key(plan, _new(plan, blobs)), _encode(found)


def _new(plan: Plan, stack: Sequence[Layer]) -> list[tuple[Layer, str]]:
    """The new layers, each with the text of its step. The layers of a base have no time in this build."""
    lines = [line.created_by for line in plan.history if not line.empty_layer]
    return [(layer, step) for layer, step in zip(stack, lines, strict=True) if layer.created]


def _of_directory(filesystems: Filesystems, layer: Layer) -> "tuple[Listing, Facts]":
    """Listing and facts of an unpacked layer. Its files are read in place."""
    from polyarch.contents.facts import FactsCollector, interests
    from polyarch.layers.content import open_content
    from polyarch.layers.listing import Listing, listed

    collector = FactsCollector()
    entries = []
    # A directory has no offsets; entries are identified by their number instead.
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
    parts = [str(plan.platform), [[_identity(layer), step] for layer, step in new], run]
    return digests.sha256(encoding.to_json(parts))


def _identity(layer: Layer) -> str:
    """What stays the same when the layer of a RUN is exported: it gets a blob, but keeps its snapshot and its time."""
    return f"{layer.snapshot} {layer.created}" if layer.snapshot else layer.diff_id


def _message(platform: Platform, group: "Group") -> str:
    paths = group.paths
    if len(paths) < 2:
        where = f"{paths[0]}: " if paths and not group.first.rule.startswith("command") else ""
        return f"[{platform}] {where}{group.first.message}"
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return f"[{platform}] {len(paths)} files, each {group.first.message}: {', '.join(paths[:_SHOWN])}{more}"


def _detail(group: "Group") -> str:
    return f"added by {group.first.step}" if group.first.step else ""
