"""Images that other builds would make, as bases of a build that is only examined.

If every layer of such an image is in the cache, its digest is known, and so are the keys of the steps on it. Otherwise
a digest that no image has stands for it: the steps on it are not in the cache.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from polyarch.builder.bases import BaseResolver
from polyarch.builder.export.assemble import ComposedImage
from polyarch.builder.perform.environment import Result
from polyarch.builder.plan.options import Base
from polyarch.builder.plan.planner import Plan
from polyarch.builder.solve import Outside, Performer
from polyarch.builder.vertices import BuildGraph, ImageLayers, VertexId
from polyarch.contents.layer import Layer
from polyarch.errors import UnsupportedError
from polyarch.oci import digest as digests
from polyarch.oci import platform as platforms
from polyarch.oci.config import ImageConfig
from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform


class LinkedImage(msgspec.Struct, frozen=True, kw_only=True):
    """The image of a build for one platform. `layers` are None if not all are in the cache."""

    manifest: Digest
    config: ImageConfig
    layers: tuple[Layer, ...] | None


class LinkedBuild(msgspec.Struct, frozen=True):
    """The images that a build would make, by platform. `name` is that of the build."""

    name: str
    images: Mapping[Platform, LinkedImage]


def linked_image(name: str, plan: Plan, composed: ComposedImage | None) -> LinkedImage:
    """The image that the build `name` would make of a plan. `composed` is None if that is not known."""
    if composed is not None:
        return LinkedImage(manifest=composed.manifest.digest, config=composed.config, layers=composed.layers)
    unknown = digests.of(f"the image of {name} for {plan.platform} is not made yet".encode())
    config = plan.config.with_layers((unknown,) * len(plan.layers), plan.history)
    return LinkedImage(manifest=unknown, config=config, layers=None)


class LinkedImages:
    """The images of other builds that one build uses, by the words of its contexts."""

    def __init__(self, builds: Mapping[str, LinkedBuild], *, allow_foreign: bool = False) -> None:
        self.builds = builds
        self._allow_foreign = allow_foreign
        self._known = {image.manifest: image.layers for one in builds.values() for image in one.images.values()}
        self._names = {image.manifest: one.name for one in builds.values() for image in one.images.values()}

    def resolver(self, inner: BaseResolver) -> BaseResolver:
        """Finds these images, and others with `inner`."""
        return _LinkedBases(self, inner) if self.builds else inner

    def performer(self, inner: Performer[VertexId, Result], graph: BuildGraph) -> Performer[VertexId, Result]:
        """Loads the layers of these images, and does everything else with `inner`."""
        return _LinkedPerformer(self, inner, graph) if self.builds else inner

    def base(self, word: str, platform: Platform) -> Base:
        """Raises UnsupportedError if no image fits."""
        build = self.builds[word]
        image = build.images.get(platform) or next(
            (one for there, one in build.images.items() if platforms.serves(there, platform)), None
        )
        warning = ""
        if image is None:
            offered = ", ".join(map(str, build.images))
            warning = f"the base image target:{build.name} is not for {platform}: it has {offered}"
            image = next(iter(build.images.values()), None)
            if image is None or not self._allow_foreign:
                raise UnsupportedError(warning, f"add {platform} to the platforms of {build.name}")
        return Base(image.manifest, image.config, f"target:{build.name}@{image.manifest}", warning, image.manifest)

    def has(self, manifest: Digest) -> bool:
        """Whether a manifest is that of one of these images."""
        return manifest in self._known

    def layers(self, manifest: Digest) -> tuple[Layer, ...] | None:
        """The layers of one of these images; None if they are not known."""
        return self._known[manifest]

    def name(self, manifest: Digest) -> str:
        """The build that makes one of these images; empty for another image."""
        return self._names.get(manifest, "")


class _LinkedBases:
    def __init__(self, links: LinkedImages, inner: BaseResolver) -> None:
        self._links = links
        self._inner = inner

    def image(self, name: str, platform: Platform) -> Base:
        """Implements `plan.options.Resolver`."""
        return self._links.base(name, platform) if name in self._links.builds else self._inner.image(name, platform)

    def prefetch(self, like: Platform, others: Sequence[Platform]) -> None:
        """Implements `BaseResolver`."""
        self._inner.prefetch(like, others)


class _LinkedPerformer:
    def __init__(self, links: LinkedImages, inner: Performer[VertexId, Result], graph: BuildGraph) -> None:
        self._links = links
        self._inner = inner
        self._graph = graph

    def inputs(self, vertex: VertexId) -> Iterable[VertexId]:
        """Implements `solve.Performer`."""
        return self._inner.inputs(vertex)

    def joins(self, vertex: VertexId) -> bool:
        """Implements `solve.Performer`."""
        return self._inner.joins(vertex)

    def cache_key(self, vertex: VertexId, inputs: Mapping[VertexId, str]) -> str:
        """Implements `solve.Performer`."""
        return self._inner.cache_key(vertex, inputs)

    def load(self, vertex: VertexId, cache_key: str) -> Result | None:
        """Implements `solve.Performer`: an image that is not made yet is not in the cache."""
        value = self._graph.vertices[vertex]
        if isinstance(value, ImageLayers) and self._links.has(value.manifest):
            return self._links.layers(value.manifest)
        return self._inner.load(vertex, cache_key)

    def prepare(self, pending: Iterable[VertexId]) -> None:
        """Implements `solve.Performer`."""
        self._inner.prepare(pending)

    def perform(self, vertex: VertexId, cache_key: str, inputs: Mapping[VertexId, Result], outside: Outside) -> Result:
        """Implements `solve.Performer`."""
        return self._inner.perform(vertex, cache_key, inputs, outside)

    def cancel(self) -> None:
        """Implements `solve.Performer`."""
        self._inner.cancel()
