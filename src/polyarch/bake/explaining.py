"""What building targets would do: every target is examined, and nothing is built."""

from typing import TYPE_CHECKING

import msgspec

from polyarch.bake.building import BuildPlaces, TargetRequests, located
from polyarch.bake.resolve import Resolved
from polyarch.builder.forecast.together import Forecaster, ForecastTarget
from polyarch.builder.forecast.values import Forecast
from polyarch.builder.request.input import LayoutContext

if TYPE_CHECKING:
    from polyarch.bake.target import BakeTarget
    from polyarch.builder import BuildRequest


def forecast(resolved: Resolved, places: BuildPlaces) -> Forecast:
    """What `building.build` would do now. Raises as it does, with the name of the target in the message."""
    here = places.around.directory.absolute()
    with Forecaster(places.store, here) as forecaster:
        requests = TargetRequests(resolved, places)
        for name in requests.order:
            target = resolved.targets[name]
            request = _with_links(requests.request(name), target)
            links = {_word(other): other for other in target.links().values()}
            with located(name):
                registry = places.registry(request)
                forecaster.add(
                    name, ForecastTarget(request=request, registry=registry, links=links, linked=target.linked)
                )
        return forecaster.forecast()


def _with_links(request: "BuildRequest", target: "BakeTarget") -> "BuildRequest":
    """The request with a word of its own for each target that is a context: their images are not made yet."""
    contexts = dict(request.input.contexts)
    for name, other in target.links().items():
        given = contexts[name]
        assert isinstance(given, LayoutContext), name
        contexts[name] = msgspec.structs.replace(given, word=_word(other))
    return msgspec.structs.replace(request, input=msgspec.structs.replace(request.input, contexts=contexts))


def _word(name: str) -> str:
    return f"target:{name}"
