"""A farm without a scheduler: the members of this machine get the tickets in turn."""

import itertools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from polyarch import progress
from polyarch.builder.remote import Following, Output, StepPlacement, StepRequest, StepResult, nothing_follows
from polyarch.farm.carrier import LayerCarrier
from polyarch.farm.chain import StepChains
from polyarch.farm.exchange import BuildExchange
from polyarch.farm.link_messages import Done, Progressed, Submitted
from polyarch.farm.link_process import LinkAnswer
from polyarch.farm.member import MemberProcess
from polyarch.farm.settings import MemberSettings
from polyarch.oci.config import DEFAULT_PATH
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.platform import Platform
from polyarch.sandbox.settings import RunSettings


def member_settings(root: Path, search_path: str) -> MemberSettings:
    return MemberSettings(root=str(root), name=root.name, search_path=search_path)


class DirectRunner:
    """Implements `RemoteRunner` with member processes on this machine, each with a store of its own below `root`.

    It owns them and the exchange, until `close`. `local` are platforms that are run where the build is.
    """

    def __init__(
        self,
        carrier: LayerCarrier,
        roots: Sequence[Path],
        *,
        local: Sequence[str] = (),
        emit: progress.Emit = progress.ignore,
        search_path: str = DEFAULT_PATH,
    ) -> None:
        self.exchange = BuildExchange(carrier, warn=emit)
        self._roots = roots
        self._local = local
        self._search_path = search_path
        self.members: list[MemberProcess] = []
        self.results: list[StepResult] = []
        # How many tickets were given, and what the step after each result is called.
        self.tickets = 0
        self.following: list[str] = []
        self._chains = StepChains(self.exchange, self)
        self._turns = itertools.count()

    def open(self, platforms: Sequence[Platform]) -> None:
        self.exchange.open()
        if not self.members:
            self.members = [MemberProcess(member_settings(root, self._search_path)) for root in self._roots]

    def place(self, platform: Platform, settings: RunSettings) -> StepPlacement | None:
        return None if str(platform) in self._local else StepPlacement("any", "native")

    def publish(self, blobs: Sequence[Descriptor]) -> None:
        self.exchange.carrier.publish(blobs)

    def run(
        self,
        request: StepRequest,
        output: Output,
        cancelled: threading.Event,
        following: Following = nothing_follows,
    ) -> StepResult:
        result = self._chains.run(request, output, cancelled, following)
        self.results.append(result)
        return result

    # ── chain.StepLink

    def submit(self, step: Submitted, arrived: Callable[[], None]) -> LinkAnswer:
        member, answer = self.members[next(self._turns) % len(self.members)], LinkAnswer(arrived)
        self.tickets += 1

        def perform() -> None:
            answer.set(Done(step.id, member.perform(step.ticket)))

        threading.Thread(target=perform, daemon=True).start()
        return answer

    def progressed(self, news: Progressed) -> None:
        self.following.append(news.name)

    def cancel(self, number: int) -> None:
        for member in self.members:
            member.cancel(number)

    def close(self) -> None:
        for member in self.members:
            member.close()
        self.exchange.close()
