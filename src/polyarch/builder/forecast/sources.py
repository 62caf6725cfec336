"""Where files of a build come from: contexts, images, downloads and repositories, as they are shown."""

from pathlib import Path
from typing import Literal

import msgspec

from polyarch.builder.forecast.dry_run import DryRun
from polyarch.builder.history.recorder import context_location
from polyarch.builder.request.request import BuildRequest
from polyarch.builder.vertices import Context, Git, Http, ImageLayers, LinkedLayers, VertexId
from polyarch.oci.urls import redact


class ForecastSource(msgspec.Struct, frozen=True):
    """Equal sources have the same `identity`. `name` is shown, and has no password or token in it."""

    kind: Literal["context", "image", "download", "repository", "target"]
    identity: str
    name: str
    note: str = ""


def source(run: DryRun, key: VertexId) -> ForecastSource | None:
    """The source that a vertex is; None for a step."""
    value = run.graph.vertices[key]
    match value:
        case Context():
            place = _location(run.request, value.name)
            return ForecastSource("context", place, place)
        case LinkedLayers():
            return ForecastSource("target", value.build, value.build)
        case ImageLayers():
            # The name and the digest that it stands for are the same for all platforms.
            label = run.graph.labels[key].name.removeprefix("FROM ")
            name, _, digest = label.partition("@sha256:")
            return ForecastSource("image", label, name, digest[:12])
        case Http():
            return ForecastSource("download", value.url, redact(value.url))
        case Git():
            name = redact(value.url) + (f"#{value.ref}" if value.ref else "")
            return ForecastSource("repository", run.keys[key], name, value.subdirectory)
    return None


def _location(request: BuildRequest, name: str) -> str:
    """The directory or URL of a context. URLs have no password or token in them."""
    found = request.input.context if not name else {str(one): at for one, at in request.contexts()}.get(name)
    return context_location(found) or name


def below(place: str, here: Path) -> str:
    """A path from the directory `here` on, if it is below it."""
    path = Path(place)
    return str(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else place
