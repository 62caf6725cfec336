"""What becomes of a step whose members fail, with members that answer as a test says."""

import asyncio
from collections.abc import Sequence

import pytest

from polyarch.builder.remote import StepFailure, StepReport, StepResult, encode
from polyarch.farm.link import FarmLink
from polyarch.farm.link_messages import Done, FromLink, LinkOrder, Moved, NotDone, Submitted
from polyarch.farm.messages import Ticket
from polyarch.farm.open_step import OpenStep
from polyarch.farm.placement import MemberChoice
from polyarch.farm.values import BuildNote

PROGRESS = b""
DONE = encode(StepResult(report=StepReport(member="m", how="native")))


def failed(kind: str, message: str = "") -> bytes:
    failure = StepFailure(kind=kind, message=message)  # type: ignore[arg-type]
    return encode(StepResult(report=StepReport(member="m", how="native"), failure=failure))


class ScriptedLink(FarmLink):
    """A link whose members answer in turn: bytes of a result, or why there is none."""

    def __init__(self, answers: Sequence[bytes | str]) -> None:
        note = BuildNote(id="", name="", who="", platforms=(), began=0)
        order = LinkOrder(scheduler="tls://x:1", bundle=None, version="1", note=note, silence=1)
        super().__init__(order, None)  # type: ignore[arg-type]
        self.answers = list(answers)
        self.given = 0
        self.sent: list[FromLink] = []

    def send(self, message: FromLink) -> None:
        self.sent.append(message)

    async def _chosen(self, step: object, tried: dict[str, str]) -> MemberChoice | None:
        self.given += 1
        return MemberChoice("tls://m:1", f"m{self.given - 1}", "native")

    async def _attempt(self, step: object, choice: MemberChoice) -> bytes | str | None:
        answer = self.answers.pop(0)
        while answer == PROGRESS:
            assert isinstance(step, OpenStep)
            step.progress("RUN next")
            answer = self.answers.pop(0)
        return answer


def sent(answers: Sequence[bytes | str]) -> list[FromLink]:
    async def run() -> list[FromLink]:
        made = ScriptedLink(answers)
        asked = Submitted(id=1, name="RUN x", ticket=Ticket("h", 1, 1, "t"), platform="linux/amd64", layers=())
        await made._do(OpenStep(asked))
        assert made.answers == []
        return made.sent

    return asyncio.run(run())


def test_a_step_that_is_done_is_reported() -> None:
    assert sent([DONE]) == [Done(1, DONE)]


def test_a_step_moves_once() -> None:
    assert sent(["it was cut off", DONE]) == [Moved("RUN x moves from m0 to m1: it was cut off"), Done(1, DONE)]


def test_a_second_failure_ends_it_with_both_reasons() -> None:
    moved, ended = sent(["it was cut off", failed("member", "m1: its disk is full")])
    assert isinstance(moved, Moved)
    assert isinstance(ended, NotDone)
    assert ended.message == "not done by the farm: m0: it was cut off; m1: its disk is full"


def test_what_happened_to_a_step_does_not_count_for_the_next_one_of_its_ticket() -> None:
    answers = ["it was cut off", PROGRESS, "it took more than 5 s", DONE]
    assert sent(answers) == [
        Moved("RUN x moves from m0 to m1: it was cut off"),
        Moved("RUN next moves from m1 to m2: it took more than 5 s"),
        Done(1, DONE),
    ]


@pytest.mark.parametrize("kind", ["step"])
def test_a_failure_of_the_step_itself_is_its_result(kind: str) -> None:
    assert sent([failed(kind)]) == [Done(1, failed(kind))]


def test_a_step_that_a_dead_member_took_back_is_given_again() -> None:
    answers = ["it was cut off", failed("cancelled"), DONE]
    assert sent(answers) == [Moved("RUN x moves from m0 to m1: it was cut off"), Done(1, DONE)]


def test_a_step_is_not_given_again_for_ever() -> None:
    assert sent([failed("cancelled")] * 4) == [Done(1, failed("cancelled"))]
