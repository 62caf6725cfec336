"""A build's end of the process that speaks with the scheduler (`link.py`)."""

import contextlib
import socket
import subprocess
import threading
from collections.abc import Callable

import msgspec

from polyarch.errors import PolyarchError
from polyarch.farm import children
from polyarch.farm.faults import FarmError
from polyarch.farm.link_messages import (
    Cancelled,
    Done,
    Ended,
    FromLink,
    LinkOrder,
    Moved,
    NotDone,
    Progressed,
    Submitted,
    Surveyed,
    ToLink,
    Unusable,
    decode_from_link,
)

# Seconds in which the link has to have said what the farm can do, and to end.
_SURVEY, _GRACE = 60.0, 5.0


class LinkAnswer:
    """Where the answer about submitted steps will be. `arrived` is called, from any thread, when it is there."""

    def __init__(self, arrived: Callable[[], None]) -> None:
        self._arrived = arrived
        self.answer: Done | NotDone | Unusable | None = None

    def set(self, answer: Done | NotDone | Unusable) -> None:
        """Give the answer."""
        self.answer = answer
        self._arrived()


class LinkProcess:
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
        self._waiting: dict[int, LinkAnswer] = {}
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

    def submit(self, step: Submitted, arrived: Callable[[], None]) -> LinkAnswer:
        """Have steps done. Returns where the answer will be; `arrived` is called when it is there."""
        waiting = self._waiting[step.id] = LinkAnswer(arrived)
        if self._lost is not None:
            waiting.set(self._lost)
        self._send(step)
        return waiting

    def progressed(self, news: Progressed) -> None:
        """Say that a result is there, and what comes next."""
        self._send(news)

    def cancel(self, number: int) -> None:
        """The steps are not wanted any more."""
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
