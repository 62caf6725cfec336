"""What becomes of a step whose members fail, with members that answer as a test says."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from polyarch.builder.remote import StepFailure, StepReport, StepResult, encode
from polyarch.farm.link import FarmLink
from polyarch.farm.link_messages import Done, FromLink, LinkOrder, Moved, NotDone, Submitted
from polyarch.farm.messages import Ticket
from polyarch.farm.open_step import OpenStep
from polyarch.farm.placement import MemberChoice
from polyarch.farm.results import HeldResult
from polyarch.farm.values import BuildNote, Member, OfferedPlatform, short

PROGRESS = b""
KEY = "sha256:" + "a1" * 32
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


def asked(key: str = "") -> Submitted:
    ticket = Ticket("h", 1, 1, "t")
    return Submitted(id=1, name="RUN x", key=key, ticket=ticket, platform="linux/amd64", layers=())


def sent(answers: Sequence[bytes | str]) -> list[FromLink]:
    async def run() -> list[FromLink]:
        made = ScriptedLink(answers)
        await made._do(OpenStep(asked()))
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


def test_a_step_that_is_taken_away_again_and_again_says_where_and_what_to_do() -> None:
    (ended,) = sent([failed("cancelled")] * 4)
    assert isinstance(ended, NotDone)
    assert "RUN x was ended 4 times before it was done, on m0, m1, m2, m3: " in ended.message
    assert "the connection to the build was lost" in ended.message
    assert "members must reach the build at h:1" in ended.hint
    assert "build again" in ended.hint


def test_a_step_that_moved_and_is_then_taken_away_says_both() -> None:
    moved, ended = sent(["it was cut off", *[failed("cancelled")] * 4])
    assert isinstance(moved, Moved)
    assert isinstance(ended, NotDone)
    assert ended.message.endswith("; m0: it was cut off")


def told(*, tried: bool = False, **fields: object) -> OpenStep:
    """A step on the member `one`, when the scheduler says what the member is now."""

    async def run() -> OpenStep:
        made = ScriptedLink([])
        step = OpenStep(asked())
        offers = (OfferedPlatform("linux/amd64"),)
        now = [
            Member(address=f"tls://{name}:1", name=name, version="1", offers=offers, speed=10.0)
            for name in ("one", "two")
        ]
        made._steps[1] = step
        made._update(tuple(now))
        step.begins(MemberChoice("tls://one:1", "one", "native"))
        if tried:
            step.tried["other"] = "it was cut off"
        made._update((msgspec.structs.replace(now[0], **fields), now[1]))
        return step

    return asyncio.run(run())


def test_a_step_leaves_a_machine_that_has_become_slow_but_only_once() -> None:
    assert not told().outpaced.is_set()
    assert told(pace=0.1).outpaced.is_set()
    assert not told(pace=0.1, tried=True).outpaced.is_set()


def test_a_step_leaves_a_process_that_is_gone() -> None:
    assert told(address="tls://again:1").gone.is_set()
    assert not told().gone.is_set()


class AskingLink(ScriptedLink):
    """A link in which members know results: bytes, or None for one that does not know it any more."""

    def __init__(self, answers: Sequence[bytes | str], known: dict[str, bytes | None]) -> None:
        super().__init__(answers)
        self.known = known
        self.asked: list[str] = []

    async def _recall(self, step: OpenStep, choice: MemberChoice) -> bytes | None:
        self.asked.append(choice.member)
        return self.known[choice.member]


def recalled(
    answers: Sequence[bytes | str], known: dict[str, bytes | None], *, key: str, kind: type[AskingLink] = AskingLink
) -> AskingLink:
    async def run() -> AskingLink:
        made = kind(answers, known)
        offers = (OfferedPlatform("linux/amd64"),)
        made._placer.update(
            [Member(address=f"tls://{name}:1", name=name, version="1", offers=offers, busy=True) for name in known]
        )
        for name in known:
            made._held.add(HeldResult(short(KEY), name))
        await made._do(OpenStep(asked(key)))
        return made

    return asyncio.run(run())


def test_a_busy_member_is_asked_for_a_result_that_it_has() -> None:
    made = recalled([], {"old": DONE, "new": DONE}, key=KEY)
    assert (made.asked, made.sent) == (["new"], [Done(1, DONE)])


def test_members_that_have_lost_a_result_are_asked_once_and_then_it_is_made() -> None:
    made = recalled([DONE], {"old": failed("member"), "new": None}, key=KEY)
    assert (made.asked, made.sent) == (["new", "old"], [Done(1, DONE)])
    assert made._held.holders(KEY) == []


def test_results_on_their_way_are_waited_for_before_another_member_gets_the_rest() -> None:
    class Partly(AskingLink):
        async def _recall(self, step: OpenStep, choice: MemberChoice) -> bytes | None:
            self.asked.append(choice.member)
            asyncio.get_running_loop().call_later(0.05, step.progress, "RUN next", "")
            failure = StepFailure(kind="member", message="not here")
            return encode(StepResult(report=StepReport(member="m", how="native"), failure=failure, begun=2))

        async def _attempt(self, step: object, choice: MemberChoice) -> bytes | str | None:
            assert isinstance(step, OpenStep)
            assert (step.results, step.name) == (1, "RUN next")
            return await super()._attempt(step, choice)

    made = recalled([DONE], {"old": DONE}, key=KEY, kind=Partly)
    assert (made.asked, made.sent) == (["old"], [Done(1, DONE)])
    # The member has what it was asked for.
    assert made._held.holders(KEY) == ["old"]


def test_nobody_is_asked_for_a_step_that_must_be_done() -> None:
    made = recalled([DONE], {"old": DONE}, key="")
    assert (made.asked, made.sent) == ([], [Done(1, DONE)])
