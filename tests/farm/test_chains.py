"""Steps that one member gets together: what it is told, what counts of it, and what another member gets after it."""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from polyarch.builder.remote import RemoteStep, StepReport, StepRequest, StepResult, StepSecrets, encode
from polyarch.contents.layer import Layer, LayerBlob
from polyarch.errors import MachineError
from polyarch.farm.exchange import BuildExchange
from polyarch.farm.loop import LoopThread
from polyarch.farm.offer import Offer
from polyarch.farm.sending import MadeLayer, ResultSender
from polyarch.farm.session import StepSession
from polyarch.oci import media_types
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import of as digest_of
from polyarch.secret import SecretBytes
from tests import bases
from tests.farm.conftest import FarmBuilder
from tests.farm.test_exchange import STEP, NoCarrier, eventually

BASE = LayerBlob(digest_of(b"base"), Descriptor(media_type=media_types.OCI_LAYER, digest=digest_of(b"base"), size=4))


def step(key: str, *layers: LayerBlob) -> RemoteStep:
    return msgspec.structs.replace(STEP, key=key, layers=layers)


def layer(content: bytes) -> LayerBlob:
    digest = digest_of(content)
    return LayerBlob(digest, Descriptor(media_type=media_types.OCI_LAYER, digest=digest, size=len(content)))


def result(content: bytes) -> bytes:
    return encode(StepResult(report=StepReport(member="m", how="native"), layer=layer(content)))


class Keeping(NoCarrier):
    """Implements `LayerCarrier`: takes what members send."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.published: list[Descriptor] = []

    def publish(self, blobs: Sequence[Descriptor]) -> None:
        self.published += blobs

    def keep(self, blob: Descriptor, content: bytes) -> None:
        self.kept.append(content)


@pytest.fixture
def carrier() -> Keeping:
    return Keeping()


@pytest.fixture
def offer(carrier: Keeping) -> Iterator[Offer]:
    """Three steps on offer, each on top of the one before."""
    exchange = BuildExchange(carrier)
    exchange.open()
    requests = [StepRequest(step("1", BASE), StepSecrets())]
    requests += [StepRequest(step(key), StepSecrets()) for key in ("2", "3")]
    with exchange.offer(*requests) as opened:
        yield opened
    exchange.close()


@pytest.fixture
def member(offer: Offer) -> Iterator[Callable[[str], StepSession]]:
    """Makes members that take the ticket."""
    thread = LoopThread("tests")
    sessions: list[StepSession] = []

    def come(name: str) -> StepSession:
        sessions.append(StepSession(offer.ticket, name, None, thread))
        return sessions[-1]

    yield come
    for session in sessions:
        session.close()
    thread.close()


def accepted(offer: Offer, number: int) -> StepResult:
    found: list[StepResult] = []

    def there() -> bool:
        one = offer.accept(number)
        if one is not None:
            found.append(one)
        return bool(found)

    eventually(there)
    return found[0]


def test_a_member_gets_all_steps_and_its_results_are_taken_one_after_the_other(
    offer: Offer, carrier: Keeping, member: Callable[[str], StepSession]
) -> None:
    session = member("one")
    order, _ = session.order()
    assert [one.key for one in order.steps] == ["1", "2", "3"]
    assert [one.layers for one in order.steps] == [(BASE,), (), ()]
    for number, content in enumerate((b"first", b"second", b"third")):
        session.begin(number)
        session.output(1, content)
        session.blob(number, content)
        session.result(number, result(content))
    said: list[list[bytes]] = [[], [], []]
    for number, content in enumerate((b"first", b"second", b"third")):
        offer.attach(number, lambda _, data, number=number: said[number].append(data))  # type: ignore[misc]
        assert accepted(offer, number).layer == layer(content)
    # Output that came before its turn is not lost.
    assert said == [[b"first"], [b"second"], [b"third"]]
    assert carrier.kept == [b"first", b"second", b"third"]
    # Another member may need what is below a step that is still to be done.
    assert carrier.published == [layer(b"first").blob, layer(b"second").blob]


def test_another_member_gets_what_the_build_has_no_result_of(
    offer: Offer, member: Callable[[str], StepSession]
) -> None:
    first = member("first")
    first.order()
    for number, content in enumerate((b"first", b"second")):
        first.begin(number)
        first.blob(number, content)
        first.result(number, result(content))
    accepted(offer, 0)
    eventually(lambda: offer.steps[1].raw is not None)
    second = member("second")
    order, _ = second.order()
    assert (order.first, [one.key for one in order.steps]) == (1, ["2", "3"])
    assert order.steps[0].layers == (BASE, layer(b"first"))
    # What the first sent and the build had not taken does not count: the third step would be on another second one.
    assert offer.accept(1) is None
    first.blob(1, b"late")
    first.result(1, result(b"late"))
    second.begin(1)
    second.blob(1, b"other")
    second.result(1, result(b"other"))
    assert accepted(offer, 1).layer == layer(b"other")


def test_a_step_that_was_sent_ahead_is_only_taken_for_the_same_step(
    offer: Offer, member: Callable[[str], StepSession]
) -> None:
    wanted = StepRequest(step("2", BASE, layer(b"first")), StepSecrets())
    assert not offer.agrees(1, wanted)
    session = member("one")
    session.order()
    session.begin(0)
    session.blob(0, b"first")
    session.result(0, result(b"first"))
    accepted(offer, 0)
    assert offer.agrees(1, wanted)
    secrets = StepSecrets(secrets={"token": SecretBytes(b"other")})
    assert not offer.agrees(1, StepRequest(wanted.step, secrets))
    assert not offer.agrees(1, StepRequest(step("2", BASE, layer(b"other")), StepSecrets()))
    assert not offer.agrees(1, StepRequest(msgspec.structs.replace(wanted.step, fresh=True), StepSecrets()))
    assert not offer.agrees(2, StepRequest(step("3", BASE, layer(b"first")), StepSecrets()))


def test_a_frame_of_a_step_that_was_not_given_ends_the_connection(
    offer: Offer, member: Callable[[str], StepSession]
) -> None:
    for misbehave in (
        lambda session: session.begin(3),
        lambda session: session.result(7, b"{}"),
        lambda session: session.output(1, b"before any step"),
        lambda session: [session.blob(0, b"x") for _ in range(3)],
    ):
        session = member("odd")
        session.order()
        misbehave(session)
        assert session.cancelled.wait(10)


def made(number: int) -> MadeLayer:
    return MadeLayer(number, STEP, Layer(snapshot=str(number)), StepReport(member="m", how="native"))


def test_after_a_result_that_cannot_be_sent_no_other_is_and_the_step_that_runs_ends() -> None:
    sent: list[int] = []
    ended = threading.Event()

    def send(one: MadeLayer) -> StepResult:
        if one.number == 1:
            raise MachineError("no room")
        sent.append(one.number)
        return StepResult(report=one.report)

    with ResultSender(send, ended.set) as sender:
        for number in range(2):
            sender.add(made(number))
        assert ended.wait(10)
        with pytest.raises(MachineError, match="no room"):
            sender.add(made(2))
        with pytest.raises(MachineError, match="no room"):
            sender.finish()
    assert sent == [0]


def test_a_chain_is_one_ticket_and_has_the_digest_of_a_local_build(
    farm: FarmBuilder, context: Callable[..., Path], busybox_store: Path
) -> None:
    directory = context(
        "FROM busybox\n"
        "RUN echo one > /one\n"
        # More than is sent to the build itself.
        "RUN seq 400000 > /big\n"
        "RUN --mount=type=cache,target=/c cat /one > /two && rm /one\n"
        "RUN true\n"
        # This needs what the first step of a ticket did not bring.
        "RUN --mount=type=bind,target=/ctx cat /ctx/Dockerfile > /three\n"
        "RUN tail -n1 /two /big && ls /\n",
    )
    outcome = farm.build(directory, "one", "two", epoch=0)
    assert "error" not in outcome, outcome["error"]
    assert outcome["tickets"] == 2
    assert [one["member"] for one in outcome["steps"]] == ["one"] * 4 + ["two"] * 2
    other = farm.root / "other"
    bases.copy_store(busybox_store, other)
    assert farm.images(directory, store=other, epoch=0) == outcome["images"]


def test_a_step_in_the_middle_fails_as_it_does_alone(farm: FarmBuilder, context: Callable[..., Path]) -> None:
    directory = context("FROM busybox\nRUN echo one > /one\nRUN cat /one && exit 7\nRUN echo never > /never\n")
    outcome = farm.build(directory, "one", epoch=0)
    assert (
        'process "/bin/sh -c cat /one && exit 7" did not complete successfully: exit code: 7\none' in outcome["error"]
    )
    assert "one" in outcome["output"]
    assert "never" not in outcome["output"]
    # The step before it is kept.
    done = farm.build(context("FROM busybox\nRUN echo one > /one\nRUN cat /one\n"), "one", epoch=0)
    assert [one["member"] for one in done["steps"]] == ["one"]
