"""Tests of images that were just built, before they are named or pushed."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from polyarch import progress
from polyarch.errors import BuildError, PolyarchError
from polyarch.imagetest.planning import is_for, with_port
from polyarch.imagetest.suite import Finished, PlannedTest, Suite
from polyarch.imagetest.values import ImageTest
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Manifest
from polyarch.oci.place import Source
from polyarch.oci.platform import Platform
from polyarch.transfer import choose
from polyarch.transfer.choose import ChosenImage

if TYPE_CHECKING:
    from polyarch.store import Store


class Built(Protocol):
    """An image for one platform that is in the store, without a name."""

    @property
    def platform(self) -> Platform: ...

    @property
    def descriptor(self) -> Descriptor: ...


def judge(
    suite: Suite,
    store: "Store",
    tests: Sequence[ImageTest],
    name: str,
    finished: Finished,
    emit: progress.Emit,
) -> Callable[[Sequence[Built], Source], Mapping[Platform, PolyarchError]]:
    """What a build calls with its images. It does all tests with each, and returns an error for each that fails.

    `name` is what the images are called in reports. The suite has entered its namespace.
    """

    def judged(images: Sequence[Built], source: Source) -> Mapping[Platform, PolyarchError]:
        planned = []
        for image in images:
            manifest = choose.read_document(source, image.descriptor)
            assert isinstance(manifest, Manifest)
            config = choose.read_config(source, manifest)
            chosen = ChosenImage(descriptor=image.descriptor, manifest=manifest, config=config, platform=image.platform)
            wanted = (test for test in tests if is_for(test, image.platform))
            planned += [PlannedTest(with_port(test, config, name), name, chosen, source) for test in wanted]
        failed: dict[Platform, list[str]] = {}
        count = f"{len(tests)} test{'s' * (len(tests) != 1)}"
        with progress.reported(emit, "tests", f"running {count}", [image.platform for image in images]):
            outcomes = suite.run(store, planned, finished, emit)
        for item, outcome in zip(planned, outcomes, strict=True):
            if not outcome.passed:
                failed.setdefault(item.image.platform, []).append(f"{outcome.test}: {outcome.problems[0]}")
        return {platform: BuildError(f"tests failed: {'; '.join(said)}") for platform, said in failed.items()}

    return judged
