"""What building targets would do: every target is examined, and nothing is built."""

from collections.abc import Mapping

from polyarch.bake.building import BuildPlaces, TargetRequests, failure, kept, located
from polyarch.bake.resolve import Resolved
from polyarch.builder.forecast.together import Forecaster, ForecastTarget
from polyarch.builder.forecast.values import Forecast
from polyarch.errors import PolyarchError


def forecast(
    resolved: Resolved, places: BuildPlaces, *, keep_going: bool = False
) -> tuple[Forecast, PolyarchError | None]:
    """What `building.build` would do now. Raises as it does, with the name of the target in the message.

    With `keep_going`, targets that cannot be examined are left out, and returned as an error. It is raised if no target
    is left.
    """
    here = places.around.directory.absolute()
    failed: dict[str, PolyarchError] = {}
    with Forecaster(places.store, here) as forecaster:
        requests = TargetRequests(resolved, places)
        for name in requests.order:
            with kept(name, failed, keep_going):
                requests.require(name, failed)
                request = requests.request(name)
                with located(name):
                    registry = places.registry(request)
                    linked = resolved.targets[name].linked
                    forecaster.add(name, ForecastTarget(request=request, registry=registry, linked=linked))
        found, unknown = forecaster.forecast()
    _keep(unknown, failed, keep_going)
    error = failure(failed, len(resolved.targets)) if failed else None
    if error is not None and not found.targets:
        raise error
    return found, error


def _keep(unknown: Mapping[str, PolyarchError], failed: dict[str, PolyarchError], keep_going: bool) -> None:
    for name, error in unknown.items():
        with kept(name, failed, keep_going), located(name):
            raise error
