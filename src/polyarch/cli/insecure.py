"""Which registries of a build may be insecure: `--insecure`, and the options of outputs and caches."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyarch.builder import BuildRequest


def insecure_names(request: "BuildRequest", *, everything: bool) -> list[str]:
    """The names whose registries may speak plain HTTP or show a bad certificate."""
    names = [str(name) for name in request.export.names] if everything or request.export.insecure else []
    for place in [cache.place for cache in request.cache.sources] + [cache.place for cache in request.cache.targets]:
        if "ref" in place.attributes:
            flag = place.attributes.get("registry.insecure", "").lower() in ("1", "t", "true")
            names += [place.attributes["ref"]] if everything or flag else []
    return names
