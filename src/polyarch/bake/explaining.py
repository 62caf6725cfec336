"""What building targets would do: every target is examined, and nothing is built."""

from polyarch.bake.building import BuildPlaces, TargetRequests, located
from polyarch.bake.resolve import Resolved
from polyarch.builder.forecast.together import Forecaster, ForecastTarget
from polyarch.builder.forecast.values import Forecast
from polyarch.builder.request.input import LayoutContext


def forecast(resolved: Resolved, places: BuildPlaces) -> Forecast:
    """What `building.build` would do now. Raises as it does, with the name of the target in the message."""
    here = places.around.directory.absolute()
    with places.store.temporary() as scratch, Forecaster(places.store, here) as forecaster:
        requests = TargetRequests(resolved, places, scratch)
        for name in requests.order:
            target, request = resolved.targets[name], requests.request(name)
            given = request.input.contexts
            made = {given[context]: other for context, other in target.links().items()}
            links = {at.word: other for at, other in made.items() if isinstance(at, LayoutContext)}
            with located(name):
                registry = places.registry(request)
                forecaster.add(
                    name, ForecastTarget(request=request, registry=registry, links=links, linked=target.linked)
                )
        return forecaster.forecast()
