"""Images that other builds of the same command make, as bases of a build: known as soon as those builds are planned.

What a plan asks of a base is its config (its variables, directory, user and ONBUILD triggers), and that follows from
the plan of the other build. So all builds are planned before anything runs, and a step waits for the layers that it
needs and for nothing else. Only the digest of such an image is known later, when the image has been made.
"""

from collections.abc import Iterable, Mapping, Sequence

from polyarch.builder.bases import BaseResolver
from polyarch.builder.plan.options import Base
from polyarch.builder.plan.planner import Plan
from polyarch.builder.request.input import LinkedContext
from polyarch.builder.vertices import LinkedLayers
from polyarch.errors import UnsupportedError
from polyarch.oci import digest as digests
from polyarch.oci import platform as platforms
from polyarch.oci.config import ImageConfig
from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform

# Stands for each layer in a config. The real ones replace it when the image is assembled.
_UNKNOWN = digests.of(b"a layer that is not made yet")


class LinkedBuild:
    """A build that makes contexts of others. It notes its plans here, and in the end the digest of its image."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.plans: Mapping[Platform, Plan] = {}
        self.root = Digest("")

    def planned(self, plans: Sequence[Plan]) -> None:
        """Note the plans."""
        self.plans = {plan.platform: plan for plan in plans}


class LinkedImages:
    """The images of other `builds` that one build uses, by the words of its contexts. `own` is that build itself."""

    def __init__(
        self, builds: Iterable[LinkedBuild] = (), own: LinkedBuild | None = None, *, allow_foreign: bool = False
    ) -> None:
        self.own = own or LinkedBuild("")
        self._builds = {LinkedContext(build.name).word: build for build in builds}
        self._allow_foreign = allow_foreign

    def resolver(self, inner: BaseResolver) -> BaseResolver:
        """Finds these images, and others with `inner`."""
        return _LinkedBases(self, inner) if self._builds else inner

    def has(self, word: str) -> bool:
        """Whether a word names one of these images."""
        return word in self._builds

    def root(self, word: str) -> Digest:
        """The digest of the image or index that a build made; empty if it has made none."""
        return self._builds[word].root

    def base(self, word: str, platform: Platform) -> Base:
        """The image for `platform`. Raises UnsupportedError if none fits."""
        build = self._builds[word]
        plan = build.plans.get(platform) or next(
            (one for there, one in build.plans.items() if platforms.serves(there, platform)), None
        )
        warning = ""
        if plan is None:
            offered = ", ".join(map(str, build.plans))
            warning = f"the base image target:{build.name} is not for {platform}: it has {offered}"
            plan = next(iter(build.plans.values()), None)
            if plan is None or not self._allow_foreign:
                raise UnsupportedError(warning, f"add {platform} to the platforms of {build.name}")
        linked = LinkedLayers(build.name, plan.stack)
        return Base(Digest(""), _config(plan), f"target:{build.name}", warning, linked=linked)


def _config(plan: Plan) -> ImageConfig:
    """The config that the image of a plan will have, but for its layers and times."""
    layers = sum(not entry.empty_layer for entry in plan.history)
    return plan.config.with_layers((_UNKNOWN,) * layers, plan.history)


class _LinkedBases:
    def __init__(self, links: LinkedImages, inner: BaseResolver) -> None:
        self._links = links
        self._inner = inner

    def image(self, name: str, platform: Platform) -> Base:
        """Implements `plan.options.Resolver`."""
        return self._links.base(name, platform) if self._links.has(name) else self._inner.image(name, platform)

    def prefetch(self, like: Platform, others: Sequence[Platform]) -> None:
        """Implements `BaseResolver`."""
        self._inner.prefetch(like, others)
