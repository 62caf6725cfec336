"""A step that members are to do, or several of one ticket: what happened to it, and what becomes of it."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Literal

from polyarch.builder.remote import StepResult, decode
from polyarch.farm.link_messages import NotDone, Submitted
from polyarch.farm.placement import MemberChoice

# A step is tried on so many members.
ATTEMPTS = 2
# Seconds that a result may take to arrive when a member says that it has sent it.
_LATE = 15.0
# How often a step that was taken from its member by mistake is given to one again.
_STRAYS = 3

Fate = Literal["done", "again", "moves", "stray"]


class OpenStep:
    """The steps of one ticket. `gone` is set when the scheduler no longer knows the process that has them, `outpaced`
    when its machine has become slow and a faster one is free. Owns nothing.
    """

    def __init__(self, submitted: Submitted) -> None:
        self.submitted = submitted
        # The step that is done now: its name, and its cache key, empty if no result of it may be used.
        self.name = submitted.name
        self.key = submitted.key
        # Whether it was said that it moved; why members could not do it; and those that it was taken from.
        self.told = False
        self.tried: dict[str, str] = {}
        self.strays: list[str] = []
        self.choice: MemberChoice | None = None
        self.gone = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.outpaced = asyncio.Event()
        self.progressed = asyncio.Event()
        # How many results the build has, and whether it has all.
        self.results = 0
        self.complete = False

    def begins(self, choice: MemberChoice) -> None:
        """A member gets the step."""
        self.choice = choice
        self.gone.clear()
        self.outpaced.clear()

    def progress(self, following: str, key: str = "") -> None:
        """The build has the result of a step. What happened to it does not count for the next one."""
        self.tried.clear()
        self.strays.clear()
        self.told = False
        self.results += 1
        self.name, self.key, self.complete = following or self.name, key, not following
        self.progressed.set()

    def fate(self, choice: MemberChoice, outcome: bytes | str) -> Fate:
        """What a result, or the reason why there is none, means for the step: it is done, is given to a member again,
        moves to another one, or was taken from its members too often.
        """
        if isinstance(outcome, str):
            self.tried[choice.member] = outcome
            return "moves"
        failure = decode(outcome, StepResult).failure
        if failure is not None and failure.kind == "cancelled" and not self.cancelled.is_set():
            # What performed steps for a worker process that was killed may come late with the same ticket, and so take
            # the step from the member that has it now. It ends at once.
            self.strays.append(choice.member)
            return "again" if len(self.strays) <= _STRAYS else "stray"
        if failure is None or failure.kind != "member":
            return "done"
        self.tried[choice.member] = failure.message
        return "moves"

    def taken_away(self) -> NotDone:
        """That it was taken from its members too often."""
        ticket = self.submitted.ticket
        failed = "".join(f"; {name}: {reason}" for name, reason in self.tried.items())
        return NotDone(
            self.submitted.id,
            f"not done by the farm: {self.name} was ended {len(self.strays)} times before it was done, on "
            f"{', '.join(self.strays)}: each time the connection to the build was lost, or another process came with "
            f"the same ticket{failed}",
            f"members must reach the build at {ticket.host}:{ticket.port} as long as a step runs: see what ends "
            "connections or processes there, and build again; what was done is in the cache",
        )

    def not_done(self, tried: dict[str, str]) -> NotDone:
        """That no member could do it."""
        asked = self.submitted
        reasons = "; ".join(reason if name in reason else f"{name}: {reason}" for name, reason in tried.items())
        other = "" if len(tried) >= ATTEMPTS else f", and no other member runs {asked.platform}"
        return NotDone(asked.id, f"not done by the farm{other}: {reasons}", "polyarch farm status shows the members")

    async def has(self, results: int) -> None:
        """Wait until the build has so many results, which were sent to it, or does not want more."""
        while self.results < results and not self.cancelled.is_set():
            self.progressed.clear()
            await first(self.progressed.wait(), self.cancelled.wait(), timeout=_LATE)
            if not self.progressed.is_set():
                return

    async def news(self, *works: Awaitable[Any], timeout: float | None = None) -> None:
        """Wait until one of these is done, or something happens to the step. Futures that were given go on."""
        events = (self.gone, self.cancelled, self.outpaced, self.progressed)
        await first(*works, *(event.wait() for event in events), timeout=timeout)


async def first(*works: Awaitable[Any], timeout: float | None = None) -> None:
    """Wait until one of these is done; the others are cancelled, but not futures that were given as such."""
    futures = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for future, work in zip(futures, works, strict=True):
            if future is not work:
                future.cancel()
