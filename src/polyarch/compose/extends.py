"""`extends`: a service on top of another one, of the same file or of another."""

import posixpath
from collections.abc import Callable, Mapping
from typing import Any

from polyarch.compose import combine
from polyarch.compose.places import ComposeError, TreePath, near

# Returns the services of another file, and what its !reset and !override remove.
ReadServices = Callable[[str], tuple[dict[str, Any], tuple[TreePath, ...]]]
_DEEPEST = 100


class Extends:
    """Applies `extends` to the services of a file in this directory."""

    def __init__(self, read: ReadServices, directory: str) -> None:
        self._read = read
        self._directory = directory

    def applied(self, tree: dict[str, Any], path: str, resets: tuple[TreePath, ...]) -> dict[str, Any]:
        """The tree without `extends`. Raises ComposeError for circles and for services that do not exist."""
        services = tree.get("services")
        if not services:
            return tree
        found = {name: self._service(name, services, path, resets, ()) for name in services}
        return {**tree, "services": found}

    def _service(
        self,
        name: str,
        services: Mapping[str, Any],
        path: str,
        resets: tuple[TreePath, ...],
        trail: tuple[tuple[str, str], ...],
    ) -> Any:
        service = services[name]
        if not isinstance(service, dict) or "extends" not in service:
            return service
        extends = service["extends"]
        given = {"service": extends} if isinstance(extends, str) else extends
        base_name, file = given.get("service"), given.get("file")
        if not base_name:
            raise ComposeError(f"services.{name}.extends: the key 'service' is missing")
        trail = (*trail, (path, name))
        others, base_path, base_resets = services, path, resets
        if file is not None:
            base_path = posixpath.normpath(posixpath.join(self._directory, file))
            others, base_resets = self._read(base_path)
        if base_name not in others:
            where = f" in {base_path}" if file is not None else ""
            raise ComposeError(
                f"services.{name}.extends: there is no service {base_name!r}{where}", near(base_name, list(others))
            )
        if (base_path, base_name) in trail or len(trail) > _DEEPEST:
            shown = " → ".join(f"{one} in {at}" for at, one in (*trail, (base_path, base_name)))
            raise ComposeError(f"services.{name}.extends: the services extend each other: {shown}")
        base = self._service(base_name, others, base_path, base_resets, trail)
        if not isinstance(base, dict):
            return {key: value for key, value in service.items() if key != "extends"}
        lower = {"services": {name: combine.extended(base, {})}}
        combine.reset(lower, resets)
        found = combine.extended(lower["services"].get(name, {}), service)
        found.pop("extends", None)
        return found
