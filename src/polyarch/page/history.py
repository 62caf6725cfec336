"""Which line made which layer of an image, and what is known of how it was built."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from polyarch.builder.history import entry as entries
from polyarch.builder.history import summary
from polyarch.builder.history.record import BuildRecord, StepRecord
from polyarch.builder.history.recorder import BuildHistory
from polyarch.oci.config import ImageConfig
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Manifest

if TYPE_CHECKING:
    from polyarch.store import Store

How = Literal["", "cached", "native", "emulated"]

# What builders write around a line of a Dockerfile: BuildKit's mark, the shell of a RUN and its arguments, and what
# docker's first builder wrote for lines without a layer.
_MARK = re.compile(r"\s*# buildkit\s*$")
_NO_LAYER = re.compile(r"^/bin/sh -c #\(nop\)\s+")
_SHELL = re.compile(r"^(?:RUN )?(?:\|\d+ .*? )?/bin/sh -c ", re.DOTALL)
_STEP = re.compile(r"\[[^\]]*\] (?P<line>.*)", re.DOTALL)
# Comments that only name the builder.
_BUILDER = re.compile(r"buildkit\.\w+(?:\.v\d+)?")
_FLAGS = re.compile(r"(?<= )--[a-z][a-z-]*(?:=\S+)? ")


class BuiltStep(msgspec.Struct, frozen=True, kw_only=True):
    """How a line was built. `once` says that one run served all platforms."""

    seconds: float
    how: How
    once: bool


class HistoryLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the history, or a layer without one. `number` counts layers from 1; 0 for a line without a layer.

    `line` is the instruction, or empty if the history does not say it. `size` is that of the blob in bytes, `unpacked`
    that of the tar.
    """

    number: int
    line: str
    comment: str = ""
    created: str = ""
    layer: Descriptor | None = None
    diff_id: Digest = Digest("")
    unpacked: int | None = None
    built: BuiltStep | None = None


class ImageHistory(msgspec.Struct, frozen=True, kw_only=True):
    """The history of an image, oldest first. `matches` says whether it has a line for each layer."""

    lines: tuple[HistoryLine, ...]
    layers: int
    with_layer: int

    @property
    def matches(self) -> bool:
        """Whether the history has as many lines with a layer as the image has layers, or none at all."""
        return self.with_layer in (0, self.layers)


def lines(
    manifest: Manifest,
    config: ImageConfig,
    sizes: Sequence[int | None],
    steps: Iterable[StepRecord] = (),
    builds: int = 1,
) -> ImageHistory:
    """The history of an image, with its layers. `steps` are those of the build that made it, for its platform."""
    pending = [*zip(manifest.layers, sizes, strict=True)]
    ids = [*config.diff_ids, *[Digest("")] * max(len(pending) - len(config.diff_ids), 0)]
    with_layer = sum(not entry.empty_layer for entry in config.history)
    found: list[HistoryLine] = []
    number = 0
    for entry in config.history:
        line, layer, size, diff_id = instruction(entry.created_by), None, None, Digest("")
        if not entry.empty_layer and number < len(pending):
            (layer, size), diff_id = pending[number], ids[number]
            number += 1
        found.append(
            HistoryLine(
                number=number if layer is not None else 0,
                line=line or entry.comment,
                comment=entry.comment if line and not _BUILDER.fullmatch(entry.comment) else "",
                created=entry.created,
                layer=layer,
                diff_id=diff_id,
                unpacked=size,
            )
        )
    for at in range(number, len(pending)):
        layer, size = pending[at]
        found.append(HistoryLine(number=at + 1, line="", layer=layer, diff_id=ids[at], unpacked=size))
    matched = tuple(_built(found, list(steps), builds))
    return ImageHistory(lines=matched, layers=len(pending), with_layer=with_layer)


def instruction(created_by: str) -> str:
    """A line of the history as it was in the Dockerfile, as far as the builder's form of it is known."""
    line = _MARK.sub("", created_by)
    if _NO_LAYER.match(line):
        return _NO_LAYER.sub("", line).strip()
    if _SHELL.match(line):
        return f"RUN {_SHELL.sub('', line, count=1)}"
    return line


def build_of(store: "Store", digest: Digest) -> BuildRecord | None:
    """The record of the build that made this image or index; None if this store did not build it.

    A record is of a name, which may point at another image meanwhile. So it counts only if an entry of the same moment
    says that the result had this digest.
    """
    names = [name for name, root in store.tagged().items() if root.digest == digest]
    records = [record for name in names if (record := BuildHistory(store).of_image(name)) is not None]
    if not records:
        return None
    begun = {one.begun for one in entries.entries(store) if one.root is not None and one.root.digest == digest}
    return next((record for record in records if record.begun in begun), None)


def steps_for(record: BuildRecord, platform: str) -> list[StepRecord]:
    """The steps of a build that a platform's image is made of."""
    return [step for step in summary.shown_steps(record) if platform in step.platforms]


def _built(found: Iterable[HistoryLine], steps: list[StepRecord], builds: int) -> Iterator[HistoryLine]:
    """The lines, each with the first step of the same text that is not taken."""
    for line in found:
        wanted = _plain(line.line)
        step = next((one for one in steps if wanted and _plain(_of_step(one)) == wanted), None)
        if step is None:
            yield line
            continue
        steps.remove(step)
        how: How = "cached" if step.cached else step.how
        once = builds > 1 and len(step.platforms) == builds
        yield msgspec.structs.replace(line, built=BuiltStep(seconds=step.seconds, how=how, once=once))


def _of_step(step: StepRecord) -> str:
    match = _STEP.fullmatch(step.name)
    return match["line"] if match is not None else step.name


def _plain(line: str) -> str:
    """A line without flags and spaces, in which a name of a step and a line of a history differ."""
    return " ".join(_FLAGS.sub("", f"{line} ").split())
