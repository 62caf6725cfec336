"""RUN on another machine: the values that travel, and what a build asks of whoever sends them.

A build gets a `RemoteRunner` from above and knows nothing else of farms. A step is sent as a value that names layers by
their digests; a place that both sides reach carries the layers. The machine that does the step (a **member**) performs
it with the code of a local build, so its layer has the same digest.

Everything that is not RUN is done where the command runs.
"""

from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from polyarch.builder import encoding
from polyarch.builder.vertices import RunCommand, VertexId
from polyarch.contents.layer import LayerBlob
from polyarch.errors import CorruptError
from polyarch.layers.compression import Compression
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.platform import Platform
from polyarch.sandbox.settings import RunSettings
from polyarch.secret import SecretBytes, Variables

T = TypeVar("T")


class RemoteStep(msgspec.Struct, frozen=True, kw_only=True):
    """A RUN to be done elsewhere: all that its result depends on, except secrets.

    `key` is its cache key. `layers` is the file system below it, lowest first. `sources` are the file systems that its
    mounts show, by the ids in `vertex.mounts`. `created` is the time (RFC 3339) of the new layer; no new file gets a
    time after `epoch` (seconds). The layer is compressed with `compression`. `shared` are the ids of cache mounts that
    steps for other architectures use, too. If `fresh`, no cached result may be used.
    """

    key: str
    vertex: RunCommand
    layers: tuple[LayerBlob, ...]
    sources: tuple[tuple[VertexId, tuple[LayerBlob, ...]], ...] = ()
    created: str
    epoch: int | None = None
    compression: Compression = Compression()
    shared: tuple[str, ...] = ()
    fresh: bool = False

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The blobs of all layers: of its file system, and of what its mounts show."""
        shown = (layer for _, layers in self.sources for layer in layers)
        return tuple(layer.blob for layer in (*self.layers, *shown))


class StepSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """What a step gets beside its value, in memory only: the secrets that its mounts name, the proxies, and the sockets
    of ssh agents on this machine. Its repr shows no values.
    """

    secrets: Mapping[str, SecretBytes] = {}
    proxies: Mapping[str, str] = Variables()
    sockets: Mapping[str, str] = {}

    def __repr__(self) -> str:
        names = ", ".join((*self.secrets, *self.proxies, *self.sockets))
        return f"StepSecrets({names})"


class StepRequest(msgspec.Struct, frozen=True):
    """A step and what it gets beside its value."""

    step: RemoteStep
    secrets: StepSecrets


class StepPlacement(msgspec.Struct, frozen=True):
    """Where a step would run: a name for people, and whether its platform is native or emulated there."""

    member: str
    how: Literal["native", "emulated"]


class StepReport(msgspec.Struct, frozen=True, kw_only=True):
    """Where a step ran, and the seconds that its process took. `cached`: the member had the result of an earlier run,
    and `seconds` is 0.
    """

    member: str
    how: Literal["native", "emulated"]
    seconds: float = 0.0
    cached: bool = False


class StepFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no layer. `kind` says what to do about it.

    - step: the process failed, as it would anywhere.
    - member: this machine cannot do it (its disk is full, it has no emulator, it cannot reach the layers). Another may.
    - cancelled: it was ended by request.
    """

    kind: Literal["step", "member", "cancelled"]
    message: str
    hint: str = ""


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a step: its layer, with the warnings that each use of it repeats (`Layer.notes`), or a failure.

    `begun` is how many steps the member has begun that were given to it together, with this one.
    """

    report: StepReport
    layer: LayerBlob | None = None
    notes: tuple[tuple[str, str], ...] = ()
    failure: StepFailure | None = None
    begun: int = 1


# Receives the output of a process: 1 for standard output or 2 for standard error, and bytes. Called from any thread.
Output = Callable[[int, bytes], None]
# The steps that come right after a step: the file system of each is that of the one before with its result on top, and
# it has no `layers` of its own.
Following = Callable[[], Sequence[StepRequest]]


def nothing_follows() -> Sequence[StepRequest]:
    """No step follows."""
    return ()


class RemoteRunner(Protocol):
    """Has RUN steps done elsewhere. Its maker closes it.

    Every method but `open` may be called from several threads at once.
    """

    def open(self, platforms: Sequence[Platform]) -> None:
        """Called before any step, with the platforms of the steps. From then on there may be other threads.

        Raises PolyarchError, if no machine can do the steps of a platform.
        """

    def place(self, platform: Platform, settings: RunSettings) -> StepPlacement | None:
        """Where a step would run; None to run it on this machine."""

    def publish(self, blobs: Sequence[Descriptor]) -> None:
        """Make blobs, which are in the store or in a registry that it knows, available to the members."""

    def run(
        self,
        request: StepRequest,
        output: Output,
        cancelled: Event,
        following: Following = nothing_follows,
    ) -> StepResult:
        """Have a step done, and wait for it. Afterwards the store has the blob of its layer.

        Ends the process if `cancelled` is set; then, or if no machine did the step, the result has a failure.

        A member may do the steps that `following` returns at once, without waiting. This method is called for each of
        them as well, when its turn has come, and then returns what is there.
        """


def encode(value: object) -> bytes:
    """A value of this file as JSON, also with texts that are not UTF-8."""
    return encoding.to_json(value)


def decode(raw: bytes, kind: type[T]) -> T:
    """The value from the bytes of `encode`. Raises CorruptError for other bytes."""
    try:
        try:
            return msgspec.json.decode(raw, type=kind)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            import json

            # Only Python's own decoder reads a surrogate that stands for a byte.
            document: Any = json.loads(raw)
            return msgspec.convert(document, kind)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise CorruptError(f"a message about a remote step is malformed: {error}") from error
