"""A farm as a build sees it: it has the RUN steps done by members, and implements `RemoteRunner`."""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from polyarch import progress
from polyarch.builder.remote import Following, Output, StepPlacement, StepRequest, StepResult, nothing_follows
from polyarch.errors import PolyarchError
from polyarch.farm.certificates import Bundle
from polyarch.farm.chain import StepChains
from polyarch.farm.faults import FarmError
from polyarch.farm.link_messages import LinkOrder, Surveyed
from polyarch.farm.link_process import LinkProcess
from polyarch.farm.values import BuildNote, normal
from polyarch.sandbox.emulation import runs_natively
from polyarch.version import VERSION

if TYPE_CHECKING:
    from polyarch.farm.exchange import BuildExchange
    from polyarch.oci.descriptor import Descriptor
    from polyarch.oci.platform import Platform
    from polyarch.sandbox.settings import RunSettings


class FarmOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a build uses a farm. With `fallback`, platforms that no member runs are run here, emulated if need be.

    `patience` is how many seconds a step may take on one member until another one gets it; 0 for no limit.
    """

    scheduler: str
    bundle: Bundle | None
    fallback: bool = False
    patience: float = 0.0
    silence: float = 20.0


class FarmRunner:
    """Implements `RemoteRunner` with the members of a farm. It owns the process that speaks with the scheduler, and the
    exchange, from `open` to `close`.
    """

    def __init__(
        self,
        options: FarmOptions,
        exchange: "Callable[[], BuildExchange]",
        note: BuildNote,
        emit: progress.Emit = progress.ignore,
    ) -> None:
        """`exchange` makes the command's side of the connections to members, when it is needed first."""
        self._options = options
        self._make = exchange
        self._exchange: BuildExchange | None = None
        self._note = note
        self._emit = emit
        self._link: LinkProcess | None = None
        self._survey: Surveyed | None = None
        self._opening = threading.Lock()
        self._chains: StepChains | None = None
        self.outcome = "interrupted"

    def open(self, platforms: Sequence["Platform"]) -> None:
        """Implements `RemoteRunner`. Raises FarmError with all members, if none runs a platform."""
        with self._opening:
            if self._link is None:
                self._connect(platforms)
            self._check(platforms)

    def place(self, platform: "Platform", settings: "RunSettings") -> StepPlacement | None:
        """Implements `RemoteRunner`."""
        assert self._survey is not None
        found = self._survey.places.get(str(normal(platform)))
        if found is None or (found[1] == "emulated" and runs_natively(platform)):
            return None
        return StepPlacement(*found)

    def publish(self, blobs: Sequence["Descriptor"]) -> None:
        """Implements `RemoteRunner`."""
        assert self._exchange is not None
        self._exchange.carrier.publish(blobs)

    def run(
        self,
        request: StepRequest,
        output: Output,
        cancelled: threading.Event,
        following: Following = nothing_follows,
    ) -> StepResult:
        """Implements `RemoteRunner`. Raises FarmError if the scheduler is lost."""
        assert self._chains is not None
        return self._chains.run(request, output, cancelled, following)

    @property
    def was_needed(self) -> bool:
        """Whether the scheduler was asked for anything."""
        return self._survey is not None

    def close(self) -> None:
        """End what still runs on members, and the processes here. Safe to call twice."""
        link, self._link = self._link, None
        if link is not None:
            link.close(self.outcome)
        self._close_exchange()

    def _close_exchange(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.close()

    def _listening(self) -> "BuildExchange | PolyarchError":
        """The command's side of the connections, or why there is none: that counts if the farm is there at all."""
        try:
            self._exchange = exchange = self._make()
            exchange.open()
        except PolyarchError as error:
            return error
        return exchange

    def _connect(self, platforms: Sequence["Platform"]) -> None:
        options = self._options
        names = tuple(str(normal(platform)) for platform in platforms)
        order = LinkOrder(
            scheduler=options.scheduler,
            bundle=options.bundle,
            version=VERSION,
            note=msgspec.structs.replace(self._note, platforms=names),
            silence=options.silence,
            patience=options.patience,
        )
        link = LinkProcess(order)
        try:
            # The other process takes 0.4 s to load Dask: meanwhile this one loads what serves members.
            exchange = self._listening()
            self._survey = survey = link.surveyed()
            if isinstance(exchange, PolyarchError):
                raise exchange
        except BaseException:
            link.close("failed")
            self._close_exchange()
            raise
        for warning in survey.warnings:
            self._emit(progress.Warned(warning))
        link.listen(lambda text: self._emit(progress.Warned(text)))
        self._chains = StepChains(exchange, link)
        self._link = link

    def _check(self, platforms: Sequence["Platform"]) -> None:
        survey = self._survey
        assert survey is not None
        lacking = (platform for platform in platforms if str(normal(platform)) not in survey.places)
        missing = [str(platform) for platform in lacking if not runs_natively(platform)]
        if not missing:
            return
        if self._options.fallback:
            for name in missing:
                self._emit(progress.Warned(f"no member of the farm runs {name}: its steps run on this machine"))
            return
        listed = "\n".join(f"  {line}" for line in survey.table) or "  none"
        raise FarmError(
            f"no member of the farm {self._options.scheduler} runs {', '.join(missing)}; its members:\n{listed}",
            "start a member that runs it, or let this machine emulate it with --farm-fallback",
        )
