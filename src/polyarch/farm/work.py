"""Doing steps on a member, with the code of a local build, in the member's own store."""

import contextlib
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from polyarch import progress
from polyarch.builder.cache import packed
from polyarch.builder.cache.results import LocalResults, StepResults
from polyarch.builder.history.recorder import how_of
from polyarch.builder.perform.environment import StepSettings
from polyarch.builder.perform.run import Runner
from polyarch.builder.remote import RemoteStep, StepFailure, StepReport, StepResult, encode
from polyarch.builder.request.secrets import Secrets
from polyarch.builder.vertices import VertexId
from polyarch.contents.filesystem import Filesystems
from polyarch.contents.layer import Layer, LayerBlob
from polyarch.contents.layer import decode as decode_layer
from polyarch.contents.layer import encode as encode_layer
from polyarch.contents.stack import Stack, on
from polyarch.contents.unpack import Unpacker
from polyarch.errors import CancelledError, CorruptError, MachineError, PolyarchError, RegistryError
from polyarch.farm.carrier import layer_parts
from polyarch.farm.carrier_access import OneLogin, StoppableBlobs
from polyarch.farm.frames import FrameProtocol
from polyarch.farm.loop import LoopThread
from polyarch.farm.messages import CarrierAddress, CarrierLogin, Order, OrderSecrets, Ticket
from polyarch.farm.sending import MadeLayer, ResultSender
from polyarch.farm.session import StepSession, ThroughCommand
from polyarch.farm.settings import MemberSettings
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.registry import Registry, Repository
from polyarch.registry.connection import Connector
from polyarch.registry.hosts import Hosts
from polyarch.sandbox import Sandbox
from polyarch.store import Store, tables
from polyarch.store.tables import Table
from polyarch.transfer.read_through import ReadThroughSource
from polyarch.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Collection

# The directory of a layer that was made here, which need not be unpacked again. By diff id.
_MADE: Table[Digest, Layer] = Table(tables.MADE, encode_layer, decode_layer, packed.kept)
_PAUSE = 0.01
# A step that fails while the disk has less room than this (in bytes) may well have failed because of that.
_LITTLE = 32 << 20
# A layer of so many bytes at most is sent to the build itself, which saves requests to the carrier.
_SMALL = 256 << 10


class MemberWork:
    """Does the steps of tickets, one after the other. It owns connections to carriers, until `close`.

    The process has entered its namespace. `thread` carries the connections to commands.
    """

    def __init__(self, settings: MemberSettings, thread: LoopThread, context: ssl.SSLContext | None) -> None:
        self._settings = settings
        self._thread = thread
        self._context = context
        self._registry: Registry | None = None
        self._connector: ThroughCommand | None = None
        self._for: tuple[object, ...] = ()
        self._session: StepSession | None = None
        # The connection of the last step, and the command at its other end.
        self._kept: FrameProtocol | None = None
        self._command = ("", 0)

    def perform(self, ticket: Ticket, *, only_known: bool = False) -> StepResult:
        """Do the step of a ticket, or with `only_known` find its result. Every failure is a part of the result."""
        name = self._settings.name
        nothing = StepReport(member=name, how="native")
        try:
            kept = self._kept_for(ticket)
            session = StepSession(ticket, name, self._context, self._thread, only_known=only_known, kept=kept)
        except PolyarchError as error:
            return StepResult(report=nothing, failure=_failure(error, self._settings))
        self._session = session
        try:
            order, given = session.order()
            return self._done(ticket, order, given, session, only_known=only_known)
        except (PolyarchError, OSError) as error:
            return StepResult(report=nothing, failure=_failure(error, self._settings, session))
        finally:
            self._kept = session.release()

    def cancel(self, number: int) -> None:
        """End the step of this ticket, if it is the current one. Called from any thread."""
        session = self._session
        if session is not None and session.number == number:
            session.cancel()

    def stop(self) -> None:
        """End the current step. Called from any thread."""
        if self._session is not None:
            self._session.cancel()

    def close(self) -> None:
        """Close the connections."""
        self._kept_for(None)
        if self._registry is not None:
            self._registry.close()

    def _kept_for(self, ticket: Ticket | None) -> FrameProtocol | None:
        """The connection of the last step, if it leads to the command of this ticket; else it is closed."""
        command = (ticket.host, ticket.port) if ticket is not None else ("", 0)
        kept, self._kept = self._kept, None
        if kept is not None and command != self._command:
            self._thread.soon(kept.close)
            kept = None
        self._command = command
        return kept

    def _done(
        self, ticket: Ticket, order: Order, given: OrderSecrets, session: StepSession, *, only_known: bool
    ) -> StepResult:
        settings = self._settings
        registry = self._carrier(ticket, order.carrier, given.login)
        repository = registry.repository(references.parse(order.carrier.reference))
        with Store.open(settings.root) as store, store.temporary() as scratch:
            steps = _Steps(settings, store, registry, repository, order, given, session, scratch)
            with contextlib.closing(steps):
                try:
                    return steps.result(only_known=only_known)
                except (PolyarchError, OSError) as error:
                    return self._failed(steps, error, session)

    def _failed(self, steps: "_Steps", error: PolyarchError | OSError, session: StepSession) -> StepResult:
        """What the failure of a step means. The build is told at once of one that would happen anywhere."""
        try:
            steps.sent()
        except (PolyarchError, OSError) as first:
            # The later steps were ended because of it.
            error = first
        report = StepReport(member=self._settings.name, how=how_of(steps.current.vertex.platform))
        result = StepResult(report=report, failure=_failure(error, self._settings, session), begun=steps.begun)
        if result.failure is not None and result.failure.kind == "step":
            session.result(steps.number, encode(result))
        return result

    def _carrier(self, ticket: Ticket, address: CarrierAddress, login: CarrierLogin | None) -> Registry:
        """The client for a carrier. That of the step before is used again, with its connections."""
        wanted = (ticket.host, ticket.port, address, login)
        if self._registry is None or self._for != wanted:
            self.close()
            connectors: dict[str, Connector] = {}
            self._connector = ThroughCommand(ticket, self._context) if address.through else None
            if self._connector is not None:
                connectors[references.parse(address.reference).domain] = self._connector
            self._registry = Registry(Hosts(), OneLogin(login), f"polyarch/{VERSION} (farm)", connectors=connectors)
            self._for = wanted
        elif self._connector is not None:
            self._connector.ticket = ticket
        return self._registry


class _Environment(msgspec.Struct, frozen=True):
    """Implements `RunEnvironment`."""

    settings: StepSettings
    store: Store
    results: StepResults


class _Steps:
    """The steps of an order that are being done. It owns a thread until `close`; the store is the caller's."""

    def __init__(
        self,
        settings: MemberSettings,
        store: Store,
        registry: Registry,
        repository: Repository,
        order: Order,
        given: OrderSecrets,
        session: StepSession,
        scratch: Path,
    ) -> None:
        self._settings = settings
        self._store = store
        self._repository = repository
        self._blobs = StoppableBlobs(repository, session)
        self._order = order
        self._given = given
        self._session = session
        self._scratch = scratch
        self._results = LocalResults(store)
        self._source = ReadThroughSource(store, registry)
        unpacker = Unpacker(store, self._source, self._emit)
        self._filesystems = Filesystems(store, self._source, unpacker, scratch)
        self._held = contextlib.ExitStack()
        self._held.callback(self._filesystems.close)
        self._sandbox: Sandbox | None = None
        self._sender = self._held.enter_context(ResultSender(self._send, self._stop))
        # The step that was begun last.
        self.current: RemoteStep = order.steps[0]
        self.number = order.first

    @property
    def begun(self) -> int:
        """How many steps were begun."""
        return self.number - self._order.first + 1

    def close(self) -> None:
        """End the thread, undo the mounts, close the files."""
        self._held.close()

    def result(self, *, only_known: bool) -> StepResult:
        """Do all steps, each on what the one before made, and send their results. Returns the last one's.

        With `only_known`, none is run. Raises PolyarchError, MachineError if one had to be.
        """
        order, session = self._order, self._session
        below = self._stack(order.steps[0].layers)
        made: MadeLayer | None = None
        for number, step in enumerate(order.steps, order.first):
            if made is not None:
                self._sender.add(made)
            self.number, self.current = number, step
            session.begin(number)
            known = None if step.fresh else self._results.find(step.key, step.compression)
            if known is None and only_known:
                raise MachineError("the result of the step is not here any more")
            layer, seconds = (known, 0.0) if known is not None else self._run(step, below)
            report = StepReport(
                member=self._settings.name, how=how_of(step.vertex.platform), seconds=seconds, cached=known is not None
            )
            made = MadeLayer(number, step, layer, report)
            below = on(below, [layer])
        assert made is not None
        self._sender.finish()
        return self._send(made)

    def sent(self) -> None:
        """Wait until the results of the steps before the current one are sent. Raises what sending them raised."""
        self._sender.finish()

    def _run(self, step: RemoteStep, base: Stack | None) -> tuple[Layer, float]:
        vertex = VertexId(step.key)
        sources = {source: self._stack(layers) for source, layers in step.sources}
        runner = Runner(
            _Environment(_step_settings(self._settings, self._order, step, self._given), self._store, self._results),
            self._filesystems,
            self._opened_sandbox(),
            self._emit,
            self._wait,
            step.shared,
            self._session.agent,
        )
        key = f"{step.key}-{os.urandom(6).hex()}" if step.fresh else step.key
        try:
            layer = runner.run(vertex, step.vertex, key, base, sources)
        except PolyarchError as error:
            self._blame_disk(error)
            raise
        self._results.keep(step.key, layer)
        return layer, runner.seconds[vertex]

    def _opened_sandbox(self) -> Sandbox:
        """The sandbox of all steps, which is made for the first that runs."""
        if self._sandbox is None:
            settings = self._settings
            directory = self._scratch / "sandbox"
            directory.mkdir()
            self._sandbox = self._held.enter_context(
                Sandbox(directory, settings.search_path, self._store.layout.emulators, dict(settings.emulators))
            )
            self._session.on_cancel(self._sandbox.cancel)
        return self._sandbox

    def _stop(self) -> None:
        """End the step that runs, because an earlier one's result cannot be sent. Called from the sending thread."""
        if self._sandbox is not None:
            self._sandbox.cancel()

    def _blame_disk(self, error: PolyarchError) -> None:
        """Raise MachineError if a step probably failed because the disk of this machine is full."""
        status = os.statvfs(self._settings.root)
        if not isinstance(error, CancelledError) and status.f_bavail * status.f_frsize < _LITTLE:
            raise MachineError(
                f"the disk of {self._settings.name} is full, and the step failed: {error.message}", error.hint
            ) from error

    def _stack(self, layers: "Collection[LayerBlob]") -> Stack | None:
        for layer in layers:
            self._source.add(layer.blob, self._blobs)
        return on(None, [self._layer(layer) for layer in layers])

    def _layer(self, layer: LayerBlob) -> Layer:
        """A layer of the order, with its directory if it was made here."""
        made = _MADE.get(self._store.cache, layer.diff_id)
        here = made is not None and self._store.snapshots.get(made.snapshot) is not None
        return Layer(diff_id=layer.diff_id, blob=layer.blob, snapshot=made.snapshot if made and here else "")

    def _send(self, made: MadeLayer) -> StepResult:
        """Pack a layer, and send it and the result of its step."""
        blob = self._blob(made.layer, made.step)
        parts = layer_parts(blob.blob)
        if sum(part.size for part in parts) <= _SMALL:
            for part in parts:
                with self._store.open_blob(part) as reader:
                    self._session.blob(made.number, reader.read())
        else:
            self._upload(parts)
        result = StepResult(report=made.report, layer=blob, notes=made.layer.notes, begun=self.begun)
        self._session.result(made.number, encode(result))
        return result

    def _blob(self, layer: Layer, step: RemoteStep) -> LayerBlob:
        if layer.blob is not None:
            return layer.as_blob()
        blob = packed.of_snapshot(
            self._store,
            self._filesystems,
            layer,
            step.compression,
            self._settings.workers,
            epoch=step.epoch,
            stopped=self._session.cancelled.is_set,
        )
        _MADE.put(self._store.cache, blob.diff_id, Layer(diff_id=blob.diff_id, snapshot=layer.snapshot))
        return blob.as_blob()

    def _upload(self, parts: "Collection[Descriptor]") -> None:
        """Send blobs to the carrier, unless it has them."""
        for part in parts:
            if self._repository.is_worth_asking(part) and self._repository.has_blob(part):
                continue
            with self._store.open_blob(part) as reader:
                self._repository.write_blob(part, reader)

    def _emit(self, event: progress.Event) -> None:
        match event:
            case progress.OutputChunk():
                self._session.output(event.stream, event.data)
            case progress.Warned():
                self._session.warn(event.message)

    def _wait(self, attempt: Callable[[], bool]) -> None:
        while not attempt():
            if self._session.cancelled.wait(_PAUSE):
                raise CancelledError


def _step_settings(settings: MemberSettings, order: Order, step: RemoteStep, given: OrderSecrets) -> StepSettings:
    return StepSettings(
        created=step.created,
        search_path=settings.search_path,
        compression=step.compression,
        secrets=Secrets(secrets=given.contents(), sockets={name: name for name in order.agents}),
        proxies=given.variables(),
        workers=settings.workers,
        emulators=settings.emulators,
        epoch=step.epoch,
    )


def _failure(error: Exception, settings: MemberSettings, session: StepSession | None = None) -> StepFailure:
    """What a failure means for the build: whether another machine may do better."""
    if isinstance(error, CancelledError) or (session is not None and session.cancelled.is_set()):
        return StepFailure(kind="cancelled", message="cancelled")
    if not isinstance(error, PolyarchError):
        return StepFailure(kind="member", message=f"{settings.name}: {error}")
    message, hint = error.message, error.hint or ""
    of_machine = isinstance(error, MachineError | RegistryError | CorruptError) or isinstance(error.__cause__, OSError)
    if of_machine:
        return StepFailure(kind="member", message=f"{settings.name}: {message}", hint=hint)
    return StepFailure(kind="step", message=message, hint=hint)
