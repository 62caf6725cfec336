"""The process of a member that performs steps, and how it is known to stand still."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import pytest

from polyarch.builder.remote import StepFailure, StepRequest, StepResult, StepSecrets, decode
from polyarch.farm import member
from polyarch.farm.exchange import BuildExchange
from polyarch.farm.member import MemberProcess
from polyarch.farm.messages import Ticket
from polyarch.oci.config import DEFAULT_PATH
from tests.farm.direct import member_settings
from tests.farm.farms import until
from tests.farm.test_exchange import STEP, NoCarrier


@pytest.fixture
def ticket() -> Iterator[Ticket]:
    """A step of a command that says nothing: whoever does it waits for ever."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield Ticket("127.0.0.1", silent.getsockname()[1], 1, "token")


class Counted:
    """A connection of which the empty messages are counted."""

    def __init__(self, connection: Connection) -> None:
        self.poll, self.send_bytes, self.close = connection.poll, connection.send_bytes, connection.close
        self._connection = connection
        self.empty = 0

    def recv_bytes(self) -> bytes:
        received = self._connection.recv_bytes()
        self.empty += not received
        return received


def failure(result: bytes) -> StepFailure:
    found = decode(result, StepResult).failure
    assert found is not None
    return found


def test_a_result_that_is_not_known_is_said_so_and_not_made(tmp_path: Path) -> None:
    with closing(BuildExchange(NoCarrier())) as exchange, closing(process_of(tmp_path / "one", 20)) as process:
        exchange.open()
        with exchange.offer(StepRequest(STEP, StepSecrets())) as offer:
            said = failure(process.perform(offer.ticket, only_known=True))
    assert (said.kind, said.message) == ("member", "one: the result of the step is not here any more")


def process_of(root: Path, silence: float) -> MemberProcess:
    return MemberProcess(msgspec.structs.replace(member_settings(root, DEFAULT_PATH), silence=silence))


def test_a_process_that_is_stopped_is_ended_and_named(
    ticket: Ticket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member, "_LAST_CHANCE", 0.1)
    with closing(process_of(tmp_path / "one", 0.2)) as process:
        os.kill(process._process.pid, signal.SIGSTOP)
        said = failure(process.perform(ticket))
        assert not process.is_alive
    assert said == StepFailure(
        kind="member", message="one: the process that did the step stood still for 0.2 s", hint=said.hint
    )


def test_a_step_that_takes_long_is_not_ended(ticket: Ticket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member, "_LAST_CHANCE", 60)
    results: list[bytes] = []
    with closing(process_of(tmp_path / "one", 0.01)) as process:
        process._connection = counted = Counted(process._connection)  # type: ignore[assignment]
        performing = threading.Thread(target=lambda: results.append(process.perform(ticket)))
        performing.start()
        try:
            until(lambda: counted.empty >= 2, "two signs of life")
            assert process.is_alive
            assert results == []
        finally:
            process.cancel(ticket.number)
            performing.join(20)
    assert failure(results[0]).kind == "cancelled"
