"""The process that speaks with the scheduler for one build: it surveys the farm, and has steps done by members.

A build cannot do this itself: Dask needs threads, and 0.4 seconds to be imported. The process ends when its standard
input, a socket to the build, is closed; then the scheduler has the steps released, and the members end them.
"""

import asyncio
import contextlib
import socket
import time
import uuid
from collections.abc import Awaitable
from typing import Any

import msgspec
from distributed.client import Client, Future, FutureCancelledError
from distributed.scheduler import KilledWorker

from polyarch.builder.remote import StepResult, decode
from polyarch.errors import PolyarchError
from polyarch.farm import engine, status, survey, task
from polyarch.farm.children import HEAD, framed
from polyarch.farm.faults import FarmError
from polyarch.farm.link_messages import (
    Cancelled,
    Done,
    Ended,
    FromLink,
    LinkOrder,
    Moved,
    Progressed,
    Submitted,
    ToLink,
    Unusable,
    decode_to_link,
)
from polyarch.farm.open_step import ATTEMPTS, OpenStep, first
from polyarch.farm.placement import MemberChoice, StepPlacer
from polyarch.farm.results import RESULTS, HeldResults
from polyarch.farm.values import BUILDS, RESOURCE, Member

# Seconds between two questions about the members, while steps wait for one and while none does.
_SOON, _LATER = 0.25, 1.0


def main() -> None:
    """Serve the build at the other end of standard input."""
    asyncio.run(_main(socket.socket(fileno=0)))


async def _main(end: socket.socket) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=end)
    order = await _received(reader)
    if not isinstance(order, LinkOrder):
        return
    link = FarmLink(order, writer)
    try:
        await link.open()
        await link.serve(reader)
    except PolyarchError as error:
        link.send(Unusable(error.message, error.hint or ""))
    except Exception as error:  # whatever Dask raises must reach the build
        link.send(Unusable(f"the process that speaks with the farm failed: {type(error).__name__}: {error}"))
    finally:
        await link.close()
        with contextlib.suppress(OSError):
            await writer.drain()
            writer.close()


async def _received(reader: asyncio.StreamReader) -> ToLink | None:
    """The next message; None at the end."""
    try:
        size = int.from_bytes(await reader.readexactly(HEAD), "big")
        message: ToLink = decode_to_link(await reader.readexactly(size))
        return message
    except (asyncio.IncompleteReadError, OSError):
        return None


class FarmLink:
    """The steps of one build and the farm. It owns the connection to the scheduler, until `close`."""

    def __init__(self, order: LinkOrder, writer: asyncio.StreamWriter) -> None:
        self._order = order
        self._writer = writer
        self._credentials = engine.security(order.bundle)
        self._placer = StepPlacer(order.version)
        self._held = HeldResults()
        self._client: Client | None = None
        self._steps: dict[int, OpenStep] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # Set when a process may have become free, and when nothing can be done any more.
        self._changed = asyncio.Event()
        self._lost: FarmError | None = None
        self._counts = [0, 0]
        self._outcome = "interrupted"
        self._id = uuid.uuid4().hex[:12]

    def send(self, message: FromLink) -> None:
        """Send a message to the build."""
        self._writer.write(framed(msgspec.msgpack.encode(message)))

    async def open(self) -> None:
        """Say what the farm can do, and connect. Raises FarmError."""
        order = self._order
        engine.configure(order.silence)

        async def question(scheduler: Any) -> tuple[Any, Any]:
            return await scheduler.identity(), await scheduler.events(topic=RESULTS)

        identity, told = await engine.ask(order.scheduler, self._credentials, question)
        for event in told:
            self._held.hear(event)
        found = status.members(identity)
        self._placer.update(found)
        self.send(survey.surveyed(self._placer, found, order.version))
        await self._writer.drain()
        try:
            self._client = await Client(
                order.scheduler, security=self._credentials, asynchronous=True, set_as_default=False, timeout="10s"
            )
        except OSError as error:
            raise engine.unreachable(order.scheduler, error) from error
        self._client.subscribe_topic(RESULTS, self._held.hear)
        await self._note()
        self._begin(self._watch())

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Do what the build says, until it ends."""
        while True:
            message = await _received(reader)
            match message:
                case Submitted():
                    step = self._steps[message.id] = OpenStep(message)
                    self._begin(self._do(step))
                case Progressed(id=number, name=name, key=key, held=held):
                    self._counts[0] += 1
                    if held is not None:
                        self._held.learn(held)
                    if number in self._steps:
                        self._steps[number].progress(name, key)
                case Cancelled(id=number):
                    if number in self._steps:
                        self._steps[number].cancelled.set()
                case Ended(outcome=outcome):
                    self._outcome = outcome
                    return
                case _:
                    return

    async def close(self) -> None:
        """Release all steps, and leave the scheduler."""
        for running in self._tasks:
            running.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        client = self._client
        if client is not None:
            if self._lost is None:
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(asyncio.gather(self._tell(), self._note(ended=True)), 1)
            with contextlib.suppress(Exception):
                await asyncio.wait_for(client.close(timeout=1), 2)

    def _begin(self, work: Awaitable[None]) -> None:
        running = asyncio.ensure_future(work)
        self._tasks.add(running)
        running.add_done_callback(self._tasks.discard)

    async def _note(self, *, ended: bool = False) -> None:
        """Tell the scheduler of this build, for `farm status`."""
        assert self._client is not None
        steps, moved = self._counts
        # Only this process knows when the build ended, and no value below can be given the time.
        now = time.time()  # noqa: TID251
        note = msgspec.structs.replace(
            self._order.note,
            id=self._id,
            steps=steps,
            moved=moved,
            ended=now if ended else 0.0,
            outcome=self._outcome if ended else "",
        )
        await self._client.log_event(BUILDS, msgspec.to_builtins(note))

    async def _tell(self) -> None:
        """Tell the scheduler, and so other builds, which results members have."""
        news = self._held.news()
        if news and self._client is not None:
            await self._client.log_event(RESULTS, news)

    async def _watch(self) -> None:
        """Ask the scheduler for its members from time to time."""
        scheduler: Any = None if self._client is None else self._client.scheduler
        while self._lost is None:
            waiting = any(step.choice is None and not step.complete for step in self._steps.values())
            began = time.monotonic()
            try:
                await asyncio.wait_for(self._tell(), self._order.silence)
                identity = await asyncio.wait_for(scheduler.identity(), self._order.silence)
            except (TimeoutError, OSError, ValueError, RuntimeError):
                self._lose()
                return
            took = time.monotonic() - began
            self._update(status.members(identity))
            # A large farm is asked less often: the answer is long.
            await asyncio.sleep(max(_SOON if waiting else _LATER, 10 * took))

    def _update(self, found: tuple[Member, ...]) -> None:
        self._placer.update(found)
        addresses = {member.address for member in found}
        for step in self._steps.values():
            choice = step.choice
            if choice is not None and choice.address not in addresses:
                step.gone.set()
            elif choice is not None and not step.tried and self._placer.outpaced(step.submitted.platform, choice):
                step.outpaced.set()
        self._changed.set()

    def _lose(self) -> None:
        """The scheduler is lost, and with it all steps that run."""
        if self._lost is None:
            running = sum(step.choice is not None for step in self._steps.values())
            self._lost = FarmError(
                f"the scheduler of the farm {self._order.scheduler} was lost while {_counted(running)} ran",
                "what was done before is in the cache: start the scheduler, and build again",
            )
            self.send(Unusable(self._lost.message, self._lost.hint or ""))
            self._changed.set()

    # ── steps

    async def _do(self, step: OpenStep) -> None:
        """Have a step done: by one member, or if that cannot do it, by another one."""
        tried, asked = step.tried, step.submitted
        while len(tried) < ATTEMPTS and self._lost is None and not step.complete:
            result = await self._recalled(step)
            if result is not None:
                self.send(Done(asked.id, result))
            if result is not None or step.complete:
                break
            choice = await self._chosen(step, tried)
            if choice is None:
                break
            if tried and not step.told:
                step.told = True
                former, reason = next(reversed(tried.items()))
                self._counts[1] += 1
                self.send(Moved(f"{step.name} moves from {former} to {choice.member}: {reason}"))
            outcome = await self._attempt(step, choice)
            if outcome is None:
                break
            fate = step.fate(choice, outcome)
            if fate == "done":
                assert isinstance(outcome, bytes)
                self._counts[0] += decode(outcome, StepResult).failure is not None
                self.send(Done(asked.id, outcome))
                break
            if fate == "stray":
                self.send(step.taken_away())
                break
        else:
            if self._lost is None and not step.complete:
                self.send(step.not_done(tried))
        self._steps.pop(asked.id, None)

    async def _recalled(self, step: OpenStep) -> bytes | None:
        """The result of a step from a member that has it and is busy; None if none has, or one is free to answer."""
        asked = step.submitted
        while self._lost is None and not step.cancelled.is_set() and not step.complete:
            key, holders = step.key, self._held.holders(step.key, step.tried)
            if not holders:
                return None
            choice = self._placer.choose(asked.platform, asked.layers, step.tried, holders)
            if choice is not None and choice.member in holders:
                return None
            address, before = self._placer.process_of(holders[0]), step.results
            result = None if address is None else await self._recall(step, MemberChoice(address, holders[0], "native"))
            answer = None if result is None else decode(result, StepResult)
            if answer is not None and answer.failure is None:
                return result
            if answer is not None and answer.begun > 1:
                # It had the results before that of the last step that it began. They are on their way to the build, and
                # would be made again if the ticket was given to another member before they are taken.
                await step.has(before + answer.begun - 1)
            if step.key == key:
                self._held.forget(key, holders[0])
        return None

    async def _recall(self, step: OpenStep, choice: MemberChoice) -> bytes | None:
        """What a member answers that is asked for a result and need not make it; None if it does not answer."""
        assert self._client is not None
        order = self._assignment(step, choice)
        asking = asyncio.ensure_future(
            self._client.run(task.recall, msgspec.msgpack.encode(order), workers=[choice.address], on_error="return")
        )
        step.begins(choice)
        try:
            await first(asking, step.gone.wait(), step.cancelled.wait())
            answer = asking.result().get(choice.address) if asking.done() else None
            return answer if isinstance(answer, bytes) else None
        except Exception:  # of Dask: then the step is done anew
            return None
        finally:
            asking.cancel()
            step.choice = None

    async def _chosen(self, step: OpenStep, tried: dict[str, str]) -> MemberChoice | None:
        """The process for a step, once one is free; None if the step is cancelled, or nothing can do it."""
        asked = step.submitted
        step.choice = None
        while self._lost is None and not step.cancelled.is_set():
            if self._placer.how(asked.platform, tried) is None:
                self.send(step.not_done(tried or {"the farm": f"no member runs {asked.platform} any more"}))
                return None
            holders = self._held.holders(step.key, tried)
            choice = self._placer.choose(asked.platform, asked.layers, tried, holders)
            if choice is not None:
                step.begins(choice)
                self._placer.began(choice, asked.layers)
                return choice
            self._changed.clear()
            await first(self._changed.wait(), step.cancelled.wait())
        return None

    async def _attempt(self, step: OpenStep, choice: MemberChoice) -> bytes | str | None:
        """The encoded result of a step on a member; why it has none; or None if it is unwanted by now."""
        assert self._client is not None
        order = self._assignment(step, choice)
        future = self._client.submit(
            task.run,
            msgspec.msgpack.encode(order),
            key=task.key_of(order.id),
            pure=False,
            workers=[choice.address],
            allow_other_workers=False,
            resources={RESOURCE: 1},
            retries=0,
        )
        patience = self._order.patience or None
        try:
            result = asyncio.ensure_future(_result(future))
            while True:
                step.progressed.clear()
                if step.complete:
                    # What is left of the task is short, and Dask lets the next one wait for it.
                    self._free(step)
                await step.news(result, timeout=patience)
                if result.done() or not step.progressed.is_set():
                    break
            if result.done():
                outcome = result.result()
                if outcome is None:
                    self._lose()
                return outcome
            await self._client.cancel([future], force=True)
            if step.cancelled.is_set():
                return None
            if step.gone.is_set():
                return "it was cut off"
            return "its machine has become slow" if step.outpaced.is_set() else f"it took more than {patience:.0f} s"
        finally:
            self._free(step)

    def _free(self, step: OpenStep) -> None:
        """Take note that the process of a step may get another one."""
        choice, step.choice = step.choice, None
        if choice is not None:
            self._placer.ended(choice)
            self._changed.set()

    def _assignment(self, step: OpenStep, choice: MemberChoice) -> task.Assignment:
        asked = step.submitted
        return task.Assignment(
            id=f"{self._id}-{asked.id}-{choice.address}",
            version=self._order.version,
            ticket=asked.ticket,
            digests=tuple(digest for digest, _ in asked.layers),
        )


def _counted(steps: int) -> str:
    return "1 step" if steps == 1 else f"{steps} steps"


async def _result(future: Future[bytes]) -> bytes | str | None:
    """The result of a task; why there is none; or None if the scheduler is gone."""
    try:
        result: bytes = await future
        return result
    except KilledWorker:
        return "it ended in the middle of the step, or was cut off"
    except (FutureCancelledError, asyncio.CancelledError) as error:
        if getattr(error, "reason", "") == "scheduler-connection-lost":
            return None
        raise
    except Exception as error:  # of the worker process, which is not what a step raises
        return f"its worker process failed: {type(error).__name__}: {error}"
