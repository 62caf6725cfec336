"""Steps that one member does one after the other, each on top of the one before, as the build sees them.

A member gets with a step those that come right after it, so that it need not wait for the build between two of them:
each message takes as long as the network needs. The build asks for each result when it is the step's turn.
"""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from polyarch.builder.remote import (
    Following,
    Output,
    RemoteStep,
    StepFailure,
    StepReport,
    StepRequest,
    StepResult,
    decode,
)
from polyarch.farm.faults import FarmError
from polyarch.farm.link_messages import Done, NotDone, Progressed, Submitted
from polyarch.farm.link_process import LinkAnswer
from polyarch.farm.offer import Offer
from polyarch.farm.results import HeldResult
from polyarch.farm.values import normal, short

if TYPE_CHECKING:
    from polyarch.farm.exchange import BuildExchange

_PAUSE = 0.02
# Seconds that the last result may take to arrive when the member says that it has sent it.
_LATE = 15.0


class StepLink(Protocol):
    """Has the steps of tickets done. Safe from many threads."""

    def submit(self, step: Submitted, arrived: Callable[[], None]) -> LinkAnswer:
        """Have steps done. Returns where the answer will be; `arrived` is called when it is there."""

    def progressed(self, news: Progressed) -> None:
        """Say that a result is there, and what comes next."""

    def cancel(self, number: int) -> None:
        """The steps are not wanted any more."""


class StepChains:
    """The steps of builds that are on their way. It owns their offers, until the last result is there or one failed."""

    def __init__(self, exchange: "BuildExchange", link: StepLink) -> None:
        self._exchange = exchange
        self._link = link
        self._lock = threading.Lock()
        # The steps that were sent before their turn, by their cache keys: the chain, and the number there.
        self._ahead: dict[str, tuple[StepChain, int]] = {}

    def run(self, request: StepRequest, output: Output, cancelled: threading.Event, following: Following) -> StepResult:
        """See `RemoteRunner.run`. Raises FarmError if the scheduler is lost."""
        chain, number = self._chain_of(request, following)
        try:
            result = chain.result(number, output, cancelled)
        except BaseException:
            self._end(chain)
            raise
        if result.failure is not None or chain.is_last(number):
            self._end(chain)
        return result

    def _chain_of(self, request: StepRequest, following: Following) -> "tuple[StepChain, int]":
        """The steps that are on their way with this one, and its number among them."""
        with self._lock:
            found = self._ahead.get(request.step.key)
            if found is not None and found[0].offer.agrees(found[1], request):
                del self._ahead[request.step.key]
                return found
        wanted = (request, *following())
        with self._lock:
            # Another build may have sent the same steps already.
            sent = (number for number, one in enumerate(wanted) if number and one.step.key in self._ahead)
            requests = wanted[: next(sent, None)]
            chain = StepChain(self._exchange.offer(*requests), self._link)
            for number, one in enumerate(requests[1:], 1):
                self._ahead[one.step.key] = (chain, number)
        chain.submit()
        return chain, 0

    def _end(self, chain: "StepChain") -> None:
        """What is left of these steps is not wanted, or would be done from the beginning."""
        with self._lock:
            for key in [key for key, (one, _) in self._ahead.items() if one is chain]:
                del self._ahead[key]
        chain.close()


class StepChain:
    """The steps of one ticket, which are asked for one after the other. It owns their offer, until `close`."""

    def __init__(self, offer: Offer, link: StepLink) -> None:
        self.offer = offer
        self._link = link
        self._answer: LinkAnswer | None = None
        self._complete = False

    def submit(self) -> None:
        """Have the steps done."""
        step = self._step(0)
        submitted = Submitted(
            id=self.offer.ticket.number,
            name=name_of(step),
            ticket=self.offer.ticket,
            platform=str(normal(step.vertex.platform)),
            key=_asked(step),
            layers=tuple((str(blob.digest), blob.size) for blob in step.blobs),
        )
        self._answer = self._link.submit(submitted, self.offer.wake)

    def is_last(self, number: int) -> bool:
        """Whether no step follows this one."""
        return number + 1 == len(self.offer)

    def result(self, number: int, output: Output, cancelled: threading.Event) -> StepResult:
        """The result of a step, once it is there. The store has its layer then, if it has one.

        Raises FarmError if the scheduler is lost, and what `Offer.accept` raises.
        """
        offer = self.offer
        offer.attach(number, output)
        deadline: float | None = None
        while True:
            # Which is first: the result comes from the member, the answer from the scheduler.
            ended = self._ended()
            result = offer.accept(number)
            if result is not None:
                if result.failure is None:
                    self._complete = self.is_last(number)
                    self._link.progressed(self._progress(number, result.report.member))
                return result
            if ended is not None and ended.failure is not None:
                return ended
            if cancelled.is_set():
                offer.cancel()
                self._link.cancel(offer.ticket.number)
                return failed(StepFailure(kind="cancelled", message="cancelled"))
            if ended is not None:
                now = time.monotonic()
                deadline = deadline or now + _LATE
                if not offer.is_connected or now > deadline:
                    message = f"the connection to {offer.member} ended before the result of a step had arrived"
                    return failed(StepFailure(kind="member", message=message, hint="build again"))
            offer.wait(number, _PAUSE)

    def close(self) -> None:
        """End what still runs of the steps. Safe to call twice."""
        if not self._complete and self._answer is not None and self._answer.answer is None:
            self._link.cancel(self.offer.ticket.number)
        self.offer.close()

    def _ended(self) -> StepResult | None:
        """How the steps ended: the result of the last one, or the failure; None if they have not ended."""
        answer = None if self._answer is None else self._answer.answer
        if answer is None:
            return None
        if isinstance(answer, Done):
            return decode(answer.result, StepResult)
        if isinstance(answer, NotDone):
            return failed(StepFailure(kind="member", message=answer.message, hint=answer.hint))
        raise FarmError(answer.message, answer.hint or None)

    def _progress(self, number: int, member: str) -> Progressed:
        """That a member has done a step."""
        held = HeldResult(short(self._step(number).key), member)
        if self.is_last(number):
            return Progressed(self.offer.ticket.number, held=held)
        following = self._step(number + 1)
        return Progressed(self.offer.ticket.number, name_of(following), _asked(following), held)

    def _step(self, number: int) -> RemoteStep:
        return self.offer.steps[number].request.step


def _asked(step: RemoteStep) -> str:
    """The cache key by which members may be asked for the result of a step."""
    return "" if step.fresh else step.key


def name_of(step: RemoteStep) -> str:
    """How messages call a step."""
    command = " ".join(" ".join(step.vertex.argv).split())
    return f"[{step.vertex.platform}] RUN {command[:60]}{'…' if len(command) > 60 else ''}"


def failed(failure: StepFailure) -> StepResult:
    """A result that no member made."""
    return StepResult(report=StepReport(member="", how="native"), failure=failure)
