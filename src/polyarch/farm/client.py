"""A farm as a build sees it: it has the RUN steps done by members, and implements `RemoteRunner`."""

import contextlib
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from polyarch import progress
from polyarch.builder.remote import (
    Output,
    RemoteStep,
    StepFailure,
    StepPlacement,
    StepReport,
    StepResult,
    StepSecrets,
)
from polyarch.errors import PolyarchError
from polyarch.farm import children
from polyarch.farm.certificates import Bundle
from polyarch.farm.faults import FarmError
from polyarch.farm.link_messages import (
    Cancelled,
    Done,
    Ended,
    FromLink,
    LinkOrder,
    Moved,
    NotDone,
    Submitted,
    Surveyed,
    ToLink,
    Unusable,
    decode_from_link,
)
from polyarch.farm.values import BuildNote, normal
from polyarch.sandbox.emulation import runs_natively
from polyarch.version import VERSION

if TYPE_CHECKING:
    from polyarch.farm.exchange import BuildExchange
    from polyarch.farm.placement import NeededLayer
    from polyarch.oci.descriptor import Descriptor
    from polyarch.oci.platform import Platform
    from polyarch.sandbox.settings import RunSettings

# Seconds in which the link has to have said what the farm can do, and to end.
_SURVEY, _GRACE = 60.0, 5.0
_PAUSE = 0.02


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
        self._link: _LinkProcess | None = None
        self._survey: Surveyed | None = None
        self._opening = threading.Lock()
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

    def run(self, step: RemoteStep, secrets: StepSecrets, output: Output, cancelled: threading.Event) -> StepResult:
        """Implements `RemoteRunner`. Raises FarmError if the scheduler is lost."""
        link, exchange = self._link, self._exchange
        assert link is not None
        assert exchange is not None
        needed: tuple[NeededLayer, ...] = tuple((str(blob.digest), blob.size) for blob in step.blobs)
        with exchange.offer(step, secrets, output) as offer:
            number = offer.ticket.number
            waiting = link.submit(
                Submitted(
                    id=number,
                    name=_name(step),
                    ticket=offer.ticket,
                    platform=str(normal(step.vertex.platform)),
                    layers=needed,
                )
            )
            while not waiting.wait(_PAUSE):
                if cancelled.is_set():
                    offer.cancel()
                    link.cancel(number)
                    return _failed(StepFailure(kind="cancelled", message="cancelled"))
            answer = waiting.answer
            if isinstance(answer, Done):
                return offer.accept(answer.result)
            if isinstance(answer, NotDone):
                return _failed(StepFailure(kind="member", message=answer.message, hint=answer.hint))
            raise FarmError(answer.message, answer.hint or None)

    @property
    def was_needed(self) -> bool:
        """Whether the scheduler was asked for anything."""
        return self._survey is not None

    def close(self) -> None:
        """End what still runs on members, and the processes here. Safe to call twice."""
        link, self._link = self._link, None
        if link is not None:
            link.close(self.outcome)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.close()

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
        link = _LinkProcess(order)
        try:
            self._survey = survey = link.surveyed()
            self._exchange = exchange = self._make()
            exchange.open()
        except BaseException:
            link.close("failed")
            raise
        for warning in survey.warnings:
            self._emit(progress.Warned(warning))
        link.listen(lambda text: self._emit(progress.Warned(text)))
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


class _Waiting:
    """A step that waits for its answer."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.answer: Done | NotDone | Unusable = Unusable("no answer")

    def wait(self, seconds: float) -> bool:
        """Whether the answer is there, after so many seconds at most."""
        return self._event.wait(seconds)

    def set(self, answer: Done | NotDone | Unusable) -> None:
        """Give the answer."""
        self.answer = answer
        self._event.set()


class _LinkProcess:
    """The process of `link.py`, and the thread that listens to it. Owns both, until `close`."""

    def __init__(self, order: LinkOrder) -> None:
        self._socket, there = socket.socketpair()
        with there:
            try:
                self._process = subprocess.Popen(
                    children.command("polyarch.farm.link", "main"),
                    stdin=there.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    # Ctrl-C is for this process alone.
                    start_new_session=True,
                )
            except OSError as error:
                self._socket.close()
                raise PolyarchError(f"cannot start the process that speaks with the farm: {error.strerror}") from error
        self._reader = self._socket.makefile("rb")
        self._sending = threading.Lock()
        self._waiting: dict[int, _Waiting] = {}
        self._lost: Unusable | None = None
        self._thread: threading.Thread | None = None
        self._send(order)

    def surveyed(self) -> Surveyed:
        """What the farm can do. Raises FarmError."""
        self._socket.settimeout(_SURVEY)
        try:
            answer = self._received()
        except TimeoutError:
            answer = None
        self._socket.settimeout(None)
        if isinstance(answer, Surveyed):
            return answer
        if isinstance(answer, Unusable):
            raise FarmError(answer.message, answer.hint or None)
        raise FarmError("the process that speaks with the farm has ended, or does not answer")

    def listen(self, moved: Callable[[str], None]) -> None:
        """Begin to receive answers. `moved` is called with what happens to steps."""
        self._thread = threading.Thread(target=self._listen, args=(moved,), name="polyarch-link", daemon=True)
        self._thread.start()

    def submit(self, step: Submitted) -> _Waiting:
        """Have a step done. Returns where its answer will be."""
        waiting = self._waiting[step.id] = _Waiting()
        if self._lost is not None:
            waiting.set(self._lost)
        self._send(step)
        return waiting

    def cancel(self, number: int) -> None:
        """A step is not wanted any more."""
        self._waiting.pop(number, None)
        self._send(Cancelled(number))

    def close(self, outcome: str) -> None:
        """End the process, which releases all steps."""
        self._send(Ended(outcome))
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        children.ended(self._process, _GRACE)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._thread is not None:
            self._thread.join(_GRACE)
        self._reader.close()
        self._socket.close()

    def _listen(self, moved: Callable[[str], None]) -> None:
        lost = Unusable("the process that speaks with the farm has ended", "run the build again")
        while (message := self._received()) is not None:
            match message:
                case Done() | NotDone():
                    waiting = self._waiting.pop(message.id, None)
                    if waiting is not None:
                        waiting.set(message)
                case Moved(text=text):
                    moved(text)
                case Unusable():
                    lost = message
                    break
                case _:
                    pass
        self._lost = lost
        for waiting in list(self._waiting.values()):
            waiting.set(lost)

    def _received(self) -> FromLink | None:
        try:
            head = self._reader.read(children.HEAD)
            if len(head) < children.HEAD:
                return None
            message: FromLink = decode_from_link(self._reader.read(int.from_bytes(head, "big")))
            return message
        except TimeoutError:
            raise
        except (OSError, ValueError, msgspec.DecodeError):
            return None

    def _send(self, message: ToLink) -> None:
        """Send a message. If the process is gone, the thread that listens says so."""
        with self._sending, contextlib.suppress(OSError):
            self._socket.sendall(children.framed(msgspec.msgpack.encode(message)))


def _name(step: RemoteStep) -> str:
    """How messages call a step."""
    command = " ".join(" ".join(step.vertex.argv).split())
    return f"[{step.vertex.platform}] RUN {command[:60]}{'…' if len(command) > 60 else ''}"


def _failed(failure: StepFailure) -> StepResult:
    return StepResult(report=StepReport(member="", how="native"), failure=failure)
