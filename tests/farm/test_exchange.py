"""The connections of a step: who is let in, what is carried, and what a lost member means."""

import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from polyarch.builder.remote import RemoteStep, StepRequest, StepSecrets
from polyarch.builder.vertices import NOTHING, RunCommand
from polyarch.errors import CancelledError, PolyarchError, UnsupportedError
from polyarch.farm import tls
from polyarch.farm.carrier import HTTPFactory
from polyarch.farm.certificate_files import FarmTLS
from polyarch.farm.exchange import BuildExchange, Offer
from polyarch.farm.loop import LoopThread
from polyarch.farm.messages import CarrierAddress, CarrierLogin
from polyarch.farm.session import StepSession
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.platform import Platform
from polyarch.secret import SecretBytes
from tests import needs

STEP = RemoteStep(
    key="sha256:1",
    vertex=RunCommand(
        base=NOTHING,
        platform=Platform(os="linux", architecture="arm64"),
        argv=("/bin/sh", "-c", "echo latin\udce9"),
        env=("A=b",),
        cwd="/",
    ),
    layers=(),
    created="2026-01-01T00:00:00Z",
)
SECRETS = StepSecrets(secrets={"token": SecretBytes(b"\0hidden\xff")}, proxies={"HTTP_PROXY": "http://me:pw@proxy"})


class NoCarrier:
    """Implements `LayerCarrier`, and carries nothing."""

    address = CarrierAddress(reference="registry.example.org/farm")
    login = CarrierLogin("user", "password")

    def publish(self, blobs: Sequence[Descriptor]) -> None:
        assert not blobs

    def fetch(self, blob: Descriptor) -> None:
        raise AssertionError(blob)

    def keep(self, blob: Descriptor, content: bytes) -> None:
        raise AssertionError(blob)

    async def start(self) -> HTTPFactory | None:
        return None

    async def stop(self) -> None:
        pass


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    made = LoopThread("tests")
    yield made
    made.close()


@pytest.fixture
def exchange() -> Iterator[BuildExchange]:
    made = BuildExchange(NoCarrier())
    made.open()
    yield made
    made.close()


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_member_gets_the_step_and_its_secrets_and_the_command_the_output(
    exchange: BuildExchange, thread: LoopThread
) -> None:
    output: list[tuple[int, bytes]] = []
    with exchange.offer(StepRequest(STEP, SECRETS)) as offer:
        offer.attach(0, lambda stream, data: output.append((stream, data)))
        session = StepSession(offer.ticket, "one", None, thread)
        order, given = session.order()
        assert order.steps == (STEP,)
        assert given.contents() == SECRETS.secrets
        assert given.variables() == SECRETS.proxies
        assert given.login == NoCarrier.login
        assert order.carrier == NoCarrier.address
        session.begin(0)
        session.output(1, b"out")
        session.output(2, b"err" * 100_000)
        eventually(lambda: len(output) == 2)
        assert output == [(1, b"out"), (2, b"err" * 100_000)]
        assert offer.member == "one"
        session.close()


def test_a_member_that_is_asked_for_a_result_gets_no_secrets(exchange: BuildExchange, thread: LoopThread) -> None:
    secrets = StepSecrets(secrets=SECRETS.secrets, proxies=SECRETS.proxies, sockets={"default": "/run/agent"})
    with exchange.offer(StepRequest(STEP, secrets)) as offer:
        session = StepSession(offer.ticket, "one", None, thread, only_known=True)
        order, given = session.order()
        assert order.steps == (STEP,)
        assert order.agents == ()
        assert (given.contents(), given.variables()) == ({}, {})
        # It still needs to get into the place that carries layers.
        assert given.login == NoCarrier.login
        with closing(session.agent("default")()) as agent:
            assert agent.recv(1) == b""
        session.close()


def test_nothing_that_is_printed_has_a_secret_in_it(exchange: BuildExchange, thread: LoopThread) -> None:
    with exchange.offer(StepRequest(STEP, SECRETS)) as offer:
        session = StepSession(offer.ticket, "one", None, thread)
        order, given = session.order()
        shown = f"{offer.ticket!r} {offer.ticket} {order!r} {given!r} {given.login!r} {SECRETS!r}"
        for hidden in (offer.ticket.token, "hidden", "pw@", "password"):
            assert hidden not in shown
        assert b"hidden" not in msgspec.msgpack.encode(offer.ticket)
        session.close()


def test_a_connection_to_an_ssh_agent_is_carried_both_ways(
    exchange: BuildExchange, thread: LoopThread, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "agent"))
        agent.listen()

        def answer() -> None:
            for _ in range(2):
                connection, _ = agent.accept()
                with connection, connection.makefile("rb") as reader:
                    connection.sendall(reader.read()[::-1])

        threading.Thread(target=answer, daemon=True).start()
        secrets = StepSecrets(sockets={"default": str(tmp_path / "agent")})
        with exchange.offer(StepRequest(STEP, secrets)) as offer:
            session = StepSession(offer.ticket, "one", None, thread)
            assert session.order()[0].agents == ("default",)
            for asked in (b"abc", b"x" * 300_000 + b"y"):
                with session.agent("default")() as connection, connection.makefile("rb") as reader:
                    connection.sendall(asked)
                    connection.shutdown(socket.SHUT_WR)
                    assert reader.read() == asked[::-1]
            # An agent that the step does not name is not connected to.
            with session.agent("/run/other")() as connection:
                assert connection.recv(1) == b""
            session.close()


def test_only_the_token_of_a_ticket_on_offer_is_let_in(exchange: BuildExchange, thread: LoopThread) -> None:
    with exchange.offer(StepRequest(STEP, SECRETS)) as offer:
        ticket = offer.ticket
        for wrong in (
            msgspec.structs.replace(ticket, token="0" * 32),
            msgspec.structs.replace(ticket, token="\u0663" * 32),
            msgspec.structs.replace(ticket, number=ticket.number + 1),
        ):
            session = StepSession(wrong, "stranger", None, thread)
            with pytest.raises(CancelledError):
                session.order()
            session.close()
        assert offer.attempts == 0
    session = StepSession(ticket, "late", None, thread)
    with pytest.raises(CancelledError):
        session.order()
    session.close()


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1\r\n\r\n", b"x" * 10_000, b"polyarch-farm/1 step 1\n", b"\xff\n"])
def test_another_first_line_ends_the_connection(exchange: BuildExchange, line: bytes) -> None:
    with socket.create_connection(("127.0.0.1", exchange.port)) as connection:
        connection.settimeout(10)
        connection.sendall(line)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(100) == b""


def test_a_second_member_with_the_ticket_replaces_the_first(exchange: BuildExchange, thread: LoopThread) -> None:
    with exchange.offer(StepRequest(STEP, SECRETS)) as offer:
        first = StepSession(offer.ticket, "first", None, thread)
        first.order()
        ended: list[str] = []
        first.on_cancel(lambda: ended.append("first"))
        second = StepSession(offer.ticket, "second", None, thread)
        second.order()
        eventually(lambda: ended)
        assert not second.cancelled.is_set()
        assert (offer.member, offer.attempts) == ("second", 2)
        first.close()
        second.close()


def test_a_connection_is_used_again_for_the_next_ticket(exchange: BuildExchange, thread: LoopThread) -> None:
    with exchange.offer(StepRequest(STEP, SECRETS)) as former:
        session = StepSession(former.ticket, "one", None, thread)
        session.order()
        kept = session.release()
        assert kept is not None
        with exchange.offer(StepRequest(STEP, SECRETS)) as offer:
            output: list[bytes] = []
            offer.attach(0, lambda _, data: output.append(data))
            later = StepSession(offer.ticket, "one", None, thread, kept=kept)
            assert later.order()[0].steps == (STEP,)
            assert not former.is_connected
            # What is said about the former step does not end this one.
            former.close()
            later.begin(0)
            later.output(1, b"later")
            eventually(lambda: output == [b"later"])
            assert not later.cancelled.is_set()
            offer.cancel()
            ends(later)


def test_a_connection_is_not_used_again_with_a_wrong_token(exchange: BuildExchange, thread: LoopThread) -> None:
    with exchange.offer(StepRequest(STEP, SECRETS)) as former, exchange.offer(StepRequest(STEP, SECRETS)) as offer:
        session = StepSession(former.ticket, "one", None, thread)
        session.order()
        wrong = msgspec.structs.replace(offer.ticket, token="0" * 32)
        later = StepSession(wrong, "one", None, thread, kept=session.release())
        with pytest.raises(CancelledError):
            later.order()
        assert offer.attempts == 0
        later.close()


def ends(session: StepSession) -> None:
    assert session.cancelled.wait(10)
    session.close()


def test_a_step_that_is_no_longer_wanted_is_ended(exchange: BuildExchange, thread: LoopThread) -> None:
    def taken(offer: Offer) -> StepSession:
        session = StepSession(offer.ticket, "one", None, thread)
        session.order()
        return session

    with exchange.offer(StepRequest(STEP, SECRETS)) as offer:
        session = taken(offer)
        offer.cancel()
        ends(session)
        # So is it on a member that comes later.
        late = StepSession(offer.ticket, "two", None, thread)
        ends(late)
    with exchange.offer(StepRequest(STEP, SECRETS)) as offer:
        left = taken(offer)
    ends(left)
    with exchange.offer(StepRequest(STEP, SECRETS)) as offer:
        lost = taken(offer)
        exchange.close()
        ends(lost)


def test_a_command_that_cannot_be_reached_is_named(thread: LoopThread, exchange: BuildExchange) -> None:
    with exchange.offer(StepRequest(STEP, SECRETS)) as offer:
        ticket = offer.ticket
    exchange.close()
    with pytest.raises(PolyarchError, match=f"one cannot reach the build at 127.0.0.1:{ticket.port}"):
        StepSession(ticket, "one", None, thread)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two authorities, and a certificate of each."""
    needs.need("openssl")
    directory = tmp_path_factory.mktemp("certificates")
    for name in ("farm", "other"):
        new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        sign = ["openssl", "x509", "-req", "-CAcreateserial", "-days", "2"]
        calls = [
            [*new, "-x509", "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.ca.key", "-out", f"{name}.ca"],
            [*new, "-subj", f"/CN={name}.one", "-keyout", f"{name}.key", "-out", f"{name}.csr"],
            [*sign, "-in", f"{name}.csr", "-CA", f"{name}.ca", "-CAkey", f"{name}.ca.key", "-out", f"{name}.crt"],
        ]
        for call in calls:
            subprocess.run(call, cwd=directory, check=True, capture_output=True)
    return directory


def files(directory: Path, name: str, trusted: str = "") -> FarmTLS:
    made = f"{directory}/{trusted or name}.ca", f"{directory}/{name}.crt", f"{directory}/{name}.key"
    return FarmTLS(*made)


def test_only_certificates_of_the_farm_are_let_in(authority: Path, thread: LoopThread) -> None:
    exchange = BuildExchange(NoCarrier(), context=tls.server_context(files(authority, "farm")))
    exchange.open()
    try:
        with exchange.offer(StepRequest(STEP, SECRETS)) as offer:
            session = StepSession(offer.ticket, "one", tls.client_context(files(authority, "farm")), thread)
            assert session.order()[0].steps == (STEP,)
            session.close()
            attempts = offer.attempts
            none = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            none.check_hostname, none.verify_mode = False, ssl.CERT_NONE
            for context in (
                tls.client_context(files(authority, "other")),
                tls.client_context(files(authority, "other", trusted="farm")),
                none,
                None,
            ):
                with pytest.raises(PolyarchError), closing(StepSession(offer.ticket, "x", context, thread)) as refused:
                    refused.order()
            assert offer.attempts == attempts
    finally:
        exchange.close()


def test_a_ticket_names_the_port_that_is_forwarded_to_the_build() -> None:
    with closing(BuildExchange(NoCarrier(), advertise=("gate", 7001))) as made:
        made.open()
        with made.offer(StepRequest(STEP, SECRETS)) as offer:
            assert (offer.ticket.host, offer.ticket.port) == ("gate", 7001)


def test_without_certificates_a_build_listens_on_loopback_only() -> None:
    exchange = BuildExchange(NoCarrier(), listen=("0.0.0.0", 0))
    with pytest.raises(UnsupportedError, match="without certificates"):
        exchange.open()
    exchange.close()
