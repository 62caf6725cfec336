"""A farm without a scheduler: the members of this machine get the tickets in turn."""

import itertools
import threading
from collections.abc import Sequence
from pathlib import Path

from polyarch import progress
from polyarch.builder.remote import Output, RemoteStep, StepPlacement, StepResult, StepSecrets
from polyarch.farm.carrier import LayerCarrier
from polyarch.farm.exchange import BuildExchange
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
        self._turns = itertools.count()

    def open(self, platforms: Sequence[Platform]) -> None:
        self.exchange.open()
        if not self.members:
            self.members = [MemberProcess(member_settings(root, self._search_path)) for root in self._roots]

    def place(self, platform: Platform, settings: RunSettings) -> StepPlacement | None:
        return None if str(platform) in self._local else StepPlacement("any", "native")

    def publish(self, blobs: Sequence[Descriptor]) -> None:
        self.exchange.carrier.publish(blobs)

    def run(self, step: RemoteStep, secrets: StepSecrets, output: Output, cancelled: threading.Event) -> StepResult:
        member = self.members[next(self._turns) % len(self.members)]
        with self.exchange.offer(step, secrets, output) as offer:
            ended = threading.Event()

            def watch() -> None:
                while not ended.wait(0.02):
                    if cancelled.is_set():
                        offer.cancel()
                        return

            watcher = threading.Thread(target=watch)
            watcher.start()
            try:
                result = offer.accept(member.perform(offer.ticket))
            finally:
                ended.set()
                watcher.join()
        self.results.append(result)
        return result

    def close(self) -> None:
        for member in self.members:
            member.close()
        self.exchange.close()
