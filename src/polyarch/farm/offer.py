"""Steps that members may fetch with one ticket: what was sent to a member, and what came back.

Each step of an offer is on top of the one before. A member does all of them without waiting for the build, and sends
the result of each as soon as it has it. A member that comes later, because the former one was lost, gets those steps
that the build has no result of.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence

import msgspec

from polyarch.builder.remote import Output, StepRequest, StepResult, decode, encode
from polyarch.contents.layer import LayerBlob
from polyarch.farm.carrier import LayerCarrier, fetch_layer, keep_layer
from polyarch.farm.frames import AgentStreams, FrameProtocol
from polyarch.farm.loop import LoopThread
from polyarch.farm.messages import Frame, Order, OrderSecrets, Ticket, encode_secrets

# A layer is a blob, and its table of contents may be another one.
_BLOBS = 2


class _OfferedStep:
    """One step, and what the current member sent for it. Safe from many threads."""

    def __init__(self, request: StepRequest) -> None:
        self.request = request
        self.news = threading.Event()
        self.raw: bytes | None = None
        self.blobs: list[bytes] = []
        self._lock = threading.Lock()
        self._output: Output | None = None
        self._early: list[tuple[int, bytes]] = []

    def attach(self, output: Output) -> None:
        """Pass the output on, beginning with what is there."""
        with self._lock:
            early, self._early = self._early, []
            self._output = output
            for stream, data in early:
                output(stream, data)

    def write(self, stream: int, data: bytes) -> None:
        """Take output of the process."""
        with self._lock:
            if self._output is None:
                self._early.append((stream, data))
            else:
                self._output(stream, data)

    def ends(self, raw: bytes) -> None:
        """Take the encoded result."""
        self.raw = raw
        self.news.set()

    def forget(self) -> None:
        """Another member does the step from its beginning."""
        self.raw, self.blobs = None, []
        with self._lock:
            self._early = []


class Offer:
    """Steps on offer, by their numbers from 0. It is in the exchange until `close`, which tells a member to end.

    Its methods may be called from any thread.
    """

    def __init__(
        self,
        ticket: Ticket,
        requests: Sequence[StepRequest],
        carrier: LayerCarrier,
        warn: Callable[[str], None],
        thread: LoopThread,
        withdraw: Callable[[int], None],
        other: "Callable[[Sequence[str]], Offer | None]",
    ) -> None:
        """`other` finds the offer for the words of a first line."""
        self.ticket = ticket
        self.warn = warn
        self._carrier = carrier
        self._thread = thread
        self._withdraw = withdraw
        self.other = other
        self.steps = tuple(map(_OfferedStep, requests))
        self._lock = threading.Lock()
        # The layers of the results that were accepted, and the number of the step whose result is being accepted.
        self._layers: list[LayerBlob] = []
        self._accepting: int | None = None
        self._connection: _StepConnection | None = None
        # What waits until a result is accepted before it gets the order.
        self._held: _StepConnection | None = None
        self._cancelled = False
        # The member that took the steps last; empty if none has.
        self.member = ""
        # How many members took them.
        self.attempts = 0

    def __enter__(self) -> "Offer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def is_connected(self) -> bool:
        """Whether a member is connected, so that more may come from it."""
        connection = self._connection
        return connection is not None and not connection.ended

    def agrees(self, number: int, request: StepRequest) -> bool:
        """Whether a step of the offer, on top of the results that were accepted, is what is asked for."""
        own = self.steps[number].request
        with self._lock:
            if number and len(self._layers) != number:
                return False
            step = msgspec.structs.replace(own.step, layers=self._below()) if number else own.step
        return (step, own.secrets) == (request.step, request.secrets)

    def attach(self, number: int, output: Output) -> None:
        """Pass the output of a step on, beginning with what is there."""
        self.steps[number].attach(output)

    def wait(self, number: int, seconds: float) -> bool:
        """Whether there was news of a step (or `wake` was called), after so many seconds at most."""
        news = self.steps[number].news
        found = news.wait(seconds)
        news.clear()
        return found

    def wake(self) -> None:
        """Let all calls of `wait` return."""
        for step in self.steps:
            step.news.set()

    def accept(self, number: int) -> StepResult | None:
        """The result of a step, if it is there; the store has its layer then.

        Raises CorruptError, RegistryError, NotFoundError.
        """
        step = self.steps[number]
        with self._lock:
            if step.raw is None:
                return None
            raw, blobs, self._accepting = step.raw, step.blobs, number
        try:
            result = decode(raw, StepResult)
            if result.layer is not None:
                self._keep(result.layer, blobs, last=number + 1 == len(self.steps))
            step.blobs = []
        finally:
            with self._lock:
                self._accepting = None
                held, self._held = self._held, None
            if held is not None:
                self._thread.soon(held.begin)
        return result

    def cancel(self) -> None:
        """Have the process ended, now and on any member that takes the steps later."""
        self._cancelled = True
        self._thread.soon(self._cancel)

    def close(self) -> None:
        """The steps are no longer on offer. Safe to call twice."""
        self._withdraw(self.ticket.number)
        # A member that has done all of them may be about to take the next ticket on the same connection.
        if len(self._layers) < len(self.steps):
            self._thread.soon(self._cancel)

    def taken(self, words: Sequence[str], frames: FrameProtocol | None = None) -> FrameProtocol:
        """A member has come with the words of a first line, on a new connection or on one that it has.

        With `recall` it comes for results that it has, and gets no secrets. Called in the thread of the loop.
        """
        former = self._connection
        if former is not None:
            former.cancel()
        self.member = words[4]
        self.attempts += 1
        connection = _StepConnection(self, frames, only_known=words[1] == "recall")
        with self._lock:
            # What the former member sent is of no use: the new one does those steps again, with other results perhaps.
            left = len(self._layers) + (self._accepting is not None)
            for step in self.steps[left:]:
                step.forget()
            self._connection = connection
        connection.cancel_first = self._cancelled
        if frames is not None:
            connection.begin()
        return connection.frames

    def is_current(self, connection: "_StepConnection") -> bool:
        """Whether this is the connection of the member that came last."""
        return self._connection is connection

    def socket(self, agent: str) -> str | None:
        """The path of an ssh agent's socket, of those that the steps name."""
        found = (step.request.secrets.sockets.get(agent) for step in self.steps)
        return next(filter(None, found), None)

    def order(self, connection: "_StepConnection") -> tuple[bytes, bytes] | None:
        """What a member is told; None if it has to wait until a result is accepted, and then `begin` is called."""
        with self._lock:
            if self._accepting is not None:
                self._held = connection
                return None
            first, below = len(self._layers), self._below()
        requests = [step.request for step in self.steps[first:]]
        steps = [one.step for one in requests]
        if first and steps:
            steps[0] = msgspec.structs.replace(steps[0], layers=below)
        secrets = [one.secrets for one in requests if not connection.only_known]
        carrier = self._carrier
        order = Order(
            steps=tuple(steps),
            first=first,
            carrier=carrier.address,
            agents=tuple(sorted({name for one in secrets for name in one.sockets})),
        )
        given = OrderSecrets(
            secrets={name: bytes(content) for one in secrets for name, content in one.secrets.items()},
            proxies={name: value for one in secrets for name, value in one.proxies.items()},
            login=carrier.login,
        )
        return encode(order), encode_secrets(given)

    def _below(self) -> tuple[LayerBlob, ...]:
        return (*self.steps[0].request.step.layers, *self._layers)

    def _keep(self, layer: LayerBlob, blobs: Sequence[bytes], *, last: bool) -> None:
        if blobs:
            keep_layer(self._carrier, layer.blob, blobs)
        else:
            fetch_layer(self._carrier, layer.blob)
        if not last:
            # Another member may need it, if this one is lost.
            self._carrier.publish((layer.blob,))
        with self._lock:
            self._layers.append(layer)

    def _cancel(self) -> None:
        if self._connection is not None:
            self._connection.cancel()


class _StepConnection:
    """The connection of a member that does the steps of an offer. Used in the thread of the loop."""

    def __init__(self, offer: Offer, frames: FrameProtocol | None, *, only_known: bool) -> None:
        self._offer = offer
        # Whether the member runs nothing, and so needs neither secrets nor ssh agents.
        self.only_known = only_known
        self.cancel_first = False
        self.ended = False
        if frames is None:
            frames = _GreetingProtocol(self.begin, self._received, self._lost)
        else:
            frames.serve(self._received, self._lost)
        self.frames = frames
        self._streams = AgentStreams(self.frames)
        self._opening: set[asyncio.Task[None]] = set()
        self._step: _OfferedStep | None = None

    def cancel(self) -> None:
        """Tell the member to end the process."""
        if not self.ended:
            self.frames.send_now(Frame.CANCEL, self._offer.ticket.number)

    def begin(self) -> None:
        """Send the order."""
        if self.ended:
            return
        if self.cancel_first:
            self.cancel()
        order = self._offer.order(self)
        if order is not None:
            self.frames.send_now(Frame.SECRETS, 0, order[1])
            self.frames.send_now(Frame.ORDER, 0, order[0])

    def _received(self, kind: Frame, number: int, payload: bytes) -> None:
        if kind in (Frame.BEGIN, Frame.BLOB, Frame.RESULT, Frame.OUTPUT):
            # A member that was replaced may still be at work.
            if self._offer.is_current(self):
                self._of_step(kind, number, payload)
            return
        match kind:
            case Frame.TAKE:
                self._move(payload.decode("ascii", "replace").split())
            case Frame.WARNING:
                self._offer.warn(payload.decode("utf-8", "replace"))
            case Frame.OPEN:
                self._streams.expect(number)
                task = asyncio.get_running_loop().create_task(self._open(number, payload.decode("utf-8", "replace")))
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)
            case Frame.DATA | Frame.END:
                self._streams.received(kind, number, payload)
            case _:
                self.frames.close()

    def _move(self, words: Sequence[str]) -> None:
        """The member has done these steps, and comes for others."""
        offered = self._offer.other(words)
        if offered is None:
            self.frames.close()
            return
        self._lost()
        offered.taken(words, self.frames)

    def _of_step(self, kind: Frame, number: int, payload: bytes) -> None:
        if kind is Frame.OUTPUT:
            if self._step is None or number not in (1, 2):
                self.frames.close()
            else:
                self._step.write(number, payload)
            return
        if number >= len(self._offer.steps):
            self.frames.close()
            return
        step = self._offer.steps[number]
        if kind is Frame.BEGIN:
            self._step = step
        elif kind is Frame.RESULT:
            step.ends(payload)
        elif len(step.blobs) < _BLOBS:
            step.blobs.append(payload)
        else:
            self.frames.close()

    async def _open(self, number: int, agent: str) -> None:
        """Connect a process of the step to an ssh agent of this machine, of those that the steps name only."""
        path = None if self.only_known else self._offer.socket(agent)
        try:
            if path is None:
                raise FileNotFoundError(agent)
            reader, writer = await asyncio.open_unix_connection(path)
        except OSError:
            self._streams.refuse(number)
            return
        self._streams.carry(number, reader, writer)

    def _lost(self) -> None:
        self.ended = True
        self._streams.close()
        self._offer.wake()


class _GreetingProtocol(FrameProtocol):
    """Frames, of which the first are sent as soon as the connection is there."""

    def __init__(
        self, begin: Callable[[], None], received: Callable[[Frame, int, bytes], None], lost: Callable[[], None]
    ) -> None:
        super().__init__(received, lost)
        self._begin = begin

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Implements `asyncio.Protocol`."""
        super().connection_made(transport)
        self._begin()
