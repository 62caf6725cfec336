"""All tests for all platforms: platforms side by side, the tests of one platform one after another."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

from polyarch import progress
from polyarch.contents.layer import layers_of
from polyarch.contents.unpack import Unpacker
from polyarch.errors import UnsupportedError
from polyarch.imagetest.host import HostCommands
from polyarch.imagetest.trial import Candidate, TrialSurroundings, attempt
from polyarch.imagetest.values import ImageTest, TestOutcome
from polyarch.oci import platform as platforms
from polyarch.oci.place import Source
from polyarch.oci.platform import Platform
from polyarch.sandbox import Sandbox, Support, emulation, enter, support
from polyarch.transfer.choose import ChosenImage

if TYPE_CHECKING:
    from polyarch.store import Store

Finished = Callable[[TestOutcome], object]


class PlannedTest(msgspec.Struct, frozen=True):
    """A test with an image for one platform, and the place to read the image from."""

    test: ImageTest
    name: str
    image: ChosenImage
    source: Source


def require_support(planned: Iterable[PlannedTest], search_path: str) -> Mapping[Platform, Support]:
    """How each platform runs here, by its normal form. Raises UnsupportedError that names all platforms that do not."""
    wanted = dict.fromkeys(item.image.platform for item in planned)
    found = {each.platform: each for each in support(wanted, search_path)}
    missing = [each for each in found.values() if each.how == "missing"]
    if missing:
        names = ", ".join(str(each.platform) for each in missing)
        raise UnsupportedError(f"this machine cannot run {names}, so nothing was tested", missing[0].hint)
    return found


class Suite:
    """Runs tests. Owns the child process that starts commands on this machine, until `close`.

    It is made before any thread is started, and `run` enters the user namespace for good.
    """

    def __init__(
        self,
        *,
        directory: str,
        environment: Mapping[str, str],
        search_path: str,
        clock: Callable[[], float],
        emulators: Iterable[tuple[str, str]] = (),
    ) -> None:
        """`directory` and `environment` are those of commands on this machine.

        `emulators` are pairs of an architecture (GOARCH) and a path, which come before those on `search_path`.
        """
        emulation.name(dict(emulators))
        self._host = HostCommands(directory)
        self._environment = environment
        self._search_path = search_path
        self._clock = clock

    def enter(self, emit: progress.Emit = progress.ignore) -> None:
        """Enter the user namespace. Only a process with a single thread can, so a build does it before it begins."""
        for warning in enter(self._search_path).warnings:
            emit(progress.Warned(warning))

    def run(
        self,
        store: "Store",
        planned: Sequence[PlannedTest],
        finished: Finished,
        emit: progress.Emit = progress.ignore,
    ) -> tuple[TestOutcome, ...]:
        """Do all tests, and call `finished` after each, from several threads. The outcomes are in the given order.

        Raises UnsupportedError if this machine cannot run one of the platforms, before anything runs.
        """
        self.enter(emit)
        store.maintenance.reclaim()
        supports = require_support(planned, self._search_path)
        with (
            store.temporary() as directory,
            Sandbox(directory, self._search_path, store.layout.emulators) as sandbox,
        ):
            around = TrialSurroundings(sandbox, self._host, self._environment, self._clock, str(directory))
            by_platform: dict[tuple[str, Platform], list[int]] = {}
            for number, item in enumerate(planned):
                by_platform.setdefault((item.name, item.image.platform), []).append(number)
            outcomes: dict[int, TestOutcome] = {}

            def perform(numbers: list[int]) -> None:
                candidate = _candidate(store, planned[numbers[0]], supports, emit)
                for number in numbers:
                    outcomes[number] = attempt(planned[number].test, candidate, around)
                    finished(outcomes[number])

            with ThreadPoolExecutor(len(by_platform) or 1, "polyarch-test") as pool:
                futures = [pool.submit(perform, numbers) for numbers in by_platform.values()]
                try:
                    for future in futures:
                        future.result()
                except BaseException:
                    # The threads end as soon as what they wait for has ended.
                    for future in futures:
                        future.cancel()
                    sandbox.cancel()
                    self._host.close()
                    raise
        return tuple(outcomes[number] for number in range(len(planned)))

    def close(self) -> None:
        """Kill commands on this machine that still run. Safe to call twice."""
        self._host.close()

    def __enter__(self) -> "Suite":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _candidate(
    store: "Store", item: PlannedTest, supports: Mapping[Platform, Support], emit: progress.Emit
) -> Candidate:
    lowers = Unpacker(store, item.source, emit).lowers(layers_of(item.image.manifest, item.image.config))
    how = supports[platforms.normalize(item.image.platform)].how
    return Candidate(item.name, item.image, tuple(map(str, lowers)), how)
