"""The process of a member that does steps: it enters a user namespace, which a thread of a worker cannot.

It is started by `member.py`, with one end of a socket. On it come the settings, then tickets and cancellations; results
go back, and an empty message each second while a step is done. When the other end is closed, it ends what runs and
itself.
"""

import asyncio
import contextlib
import queue
import threading
from multiprocessing.connection import Connection

import msgspec

from polyarch.builder.remote import StepFailure, StepReport, StepResult, encode
from polyarch.errors import PolyarchError
from polyarch.farm.messages import Ticket
from polyarch.farm.settings import MemberSettings


class Perform(msgspec.Struct, frozen=True, tag=True):
    """Do the step of a ticket, unless it is not known and only known results are wanted."""

    ticket: Ticket
    only_known: bool = False


class Cancel(msgspec.Struct, frozen=True, tag=True):
    """End the step with this number."""

    number: int


# Seconds between two signs that a step is being done.
_BEAT = 1.0

decode_request = msgspec.msgpack.Decoder(Perform | Cancel).decode


def main(descriptor: int) -> None:
    """Work until the other end of the socket is closed."""
    with Connection(descriptor) as connection:
        settings = msgspec.msgpack.decode(connection.recv_bytes(), type=MemberSettings)
        from polyarch.sandbox import enter

        try:
            # No thread may run before this.
            enter(settings.search_path)
        except PolyarchError as error:
            _refuse_all(connection, settings, error)
            return
        _serve(connection, settings)


def _serve(connection: Connection, settings: MemberSettings) -> None:
    from polyarch.farm.loop import LoopThread
    from polyarch.farm.work import MemberWork

    context = None
    if settings.tls is not None:
        from polyarch.farm.tls import client_context

        context = client_context(settings.tls)
    thread = LoopThread("polyarch-member")
    work = MemberWork(settings, thread, context)
    wanted: queue.SimpleQueue[Perform | None] = queue.SimpleQueue()

    def read() -> None:
        try:
            while True:
                request = decode_request(connection.recv_bytes())
                if isinstance(request, Perform):
                    wanted.put(request)
                else:
                    work.cancel(request.number)
        except (EOFError, OSError):
            work.stop()
            wanted.put(None)

    working, sending = threading.Event(), threading.Lock()

    async def beat() -> None:
        while True:
            await asyncio.sleep(_BEAT)
            with sending, contextlib.suppress(OSError):
                if working.is_set():
                    connection.send_bytes(b"")

    threading.Thread(target=read, name="polyarch-tickets", daemon=True).start()
    thread.begin(beat())
    try:
        while (request := wanted.get()) is not None:
            working.set()
            result = encode(work.perform(request.ticket, only_known=request.only_known))
            with sending:
                working.clear()
                connection.send_bytes(result)
    except OSError:
        pass  # the other end is gone
    finally:
        work.close()
        thread.close()


def _refuse_all(connection: Connection, settings: MemberSettings, error: PolyarchError) -> None:
    """Answer every ticket with the reason why this machine runs nothing."""
    failure = StepFailure(kind="member", message=f"{settings.name}: {error.message}", hint=error.hint or "")
    result = encode(StepResult(report=StepReport(member=settings.name, how="native"), failure=failure))
    try:
        while True:
            if isinstance(decode_request(connection.recv_bytes()), Perform):
                connection.send_bytes(result)
    except (EOFError, OSError):
        return
