"""Which tests are done with which image, for which platforms."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from polyarch import progress
from polyarch.errors import NotFoundError, UsageError
from polyarch.images import names
from polyarch.images import run as running
from polyarch.images.list import list_images
from polyarch.images.pull import pull
from polyarch.imagetest.suite import PlannedTest
from polyarch.imagetest.values import ImageTest
from polyarch.oci import platform as platforms
from polyarch.oci.config import ImageConfig
from polyarch.oci.platform import Platform
from polyarch.oci.reference import Reference

if TYPE_CHECKING:
    from polyarch.images.run import PullPolicy
    from polyarch.registry import Registry
    from polyarch.store import Store


class TestPlanner:
    """Finds the images of tests, each once. `images` and `wanted` replace those in a file, if there are any."""

    __test__ = False

    def __init__(
        self,
        store: "Store",
        registry: "Registry",
        host: Platform,
        *,
        images: Sequence[str] = (),
        wanted: Sequence[Platform] = (),
        policy: "PullPolicy" = "missing",
        emit: progress.Emit = progress.ignore,
    ) -> None:
        self._store = store
        self._registry = registry
        self._host = host
        self._images = images
        self._wanted = wanted
        self._policy = policy
        self._emit = emit
        self._known: dict[str, tuple[Platform, ...]] = {}

    def plan(self, tests: Iterable[ImageTest]) -> tuple[PlannedTest, ...]:
        """The tests for every image and platform. Pulls images that are not in the store.

        Raises UsageError if a test has no image, NotFoundError that lists the platforms of an image that lacks one.
        """
        return tuple(planned for test in tests for planned in self._planned(test))

    def _planned(self, test: ImageTest) -> Iterator[PlannedTest]:
        images = self._images or ((test.image,) if test.image else ())
        if not images:
            where = f"{test.place}: " if test.place else ""
            raise UsageError(
                f"{where}the test {test.name!r} has no image", "name one on the command line, or in the file"
            )
        for name in images:
            for platform in self._wanted or tuple(map(platforms.parse, test.platforms)) or self._platforms(name):
                image, source = running.find(
                    self._store, self._registry, name, platform, self._host, self._policy, self._emit
                )
                yield PlannedTest(with_port(test, image.config, name), name, image, source)

    def _platforms(self, name: str) -> tuple[Platform, ...]:
        """All platforms of an image."""
        if name not in self._known:
            called = names.parse(name)
            try:
                found = names.find(self._store, called)
            except NotFoundError:
                if self._policy == "never" or not isinstance(called, Reference):
                    raise
                pull(self._store, self._registry, called.tagged(), None, self._emit)
                found = names.find(self._store, called)
            (listed,) = list_images(self._store, {name: found.descriptor})
            shown = dict.fromkeys(entry.platform for entry in listed.platforms if not entry.attestation)
            self._known[name] = tuple(platforms.parse(each) for each in shown if each)
        return self._known[name]


def is_for(test: ImageTest, platform: Platform) -> bool:
    """Whether the test is one for this platform. A test that names none is for all."""
    named = {platforms.normalize(platforms.parse(word)) for word in test.platforms}
    return not named or platforms.normalize(platform) in named


def with_port(test: ImageTest, config: ImageConfig, name: str) -> ImageTest:
    """The test with the port that the image exposes, if it needs one and says none.

    A test that only starts the image is over when its health check succeeds, or when it listens. Raises UsageError if
    it has neither.
    """
    if not test.starts or test.port:
        return test
    exposed = [port for port in config.run.get("ExposedPorts") or {} if port.partition("/")[2] in ("", "tcp")]
    if len(exposed) == 1:
        number = exposed[0].partition("/")[0]
        return msgspec.structs.replace(test, port=int(number)) if number.isdecimal() else test
    if test.start is not None and not test.command and not (config.run.get("Healthcheck") or {}).get("Test"):
        raise UsageError(
            f"nothing says when {name} is ready: it has no HEALTHCHECK, and exposes {len(exposed) or 'no'} ports",
            "--port says where it listens, --run runs a command inside",
        )
    return test
