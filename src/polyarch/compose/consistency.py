"""Checks that the services of a project fit together: what they name exists, and nothing contradicts."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from polyarch.compose import forms
from polyarch.compose.places import ComposeError, ComposePlaces, TreePath, near

Tree = Mapping[str, Any]
_SERVICE = "service:"


def check(tree: Tree, services: Mapping[str, Tree], disabled: Mapping[str, Tree], places: ComposePlaces) -> None:
    """Raise ComposeError for the first mistake in the active services."""
    checker = _Consistency(tree, services, disabled, places)
    for name in services:
        checker.check(name)
    for name, secret in (tree.get("secrets") or {}).items():
        if not secret.get("external") and not secret.get("file") and not secret.get("environment"):
            raise places.error(("secrets", name), "it needs one of file and environment")
    _check_circles(services, places)


class _Consistency:
    def __init__(
        self, tree: Tree, services: Mapping[str, Tree], disabled: Mapping[str, Tree], places: ComposePlaces
    ) -> None:
        self._tree = tree
        self._services = services
        self._disabled = disabled
        self._places = places

    def check(self, name: str) -> None:
        service = self._services[name]
        path: TreePath = ("services", name)
        if service.get("build") is None and not service.get("image") and not service.get("provider"):
            raise self._error(path, "it has neither an image nor a build", "add image: NAME or build: DIRECTORY")
        if service.get("build") is not None:
            self._check_build(service, path)
        if service.get("network_mode") and service.get("networks"):
            raise self._error((*path, "networks"), "network_mode and networks exclude each other")
        self._check_names(service, path)
        self._check_depends(service, path)
        self._check_mounts(service, path)
        self._check_numbers(service, path)
        test = forms.formed("test", (service.get("healthcheck") or {}).get("test"), (*path, "healthcheck", "test"))
        if test and test[0] not in ("CMD", "CMD-SHELL", "NONE"):
            raise self._error((*path, "healthcheck", "test"), "it must begin with CMD, CMD-SHELL or NONE")
        for index, watch in enumerate((service.get("develop") or {}).get("watch") or ()):
            if not watch.get("target") and watch.get("action") not in ("rebuild", "restart"):
                raise self._error((*path, "develop", "watch", index), "a target is missing")

    def _error(self, path: TreePath, reason: str, hint: str | None = None) -> ComposeError:
        return self._places.error(path, reason, hint)

    def _missing(self, path: TreePath, kind: str, name: str, known: Iterable[str]) -> ComposeError:
        return self._error(path, f"there is no {kind} {name!r}", near(name, list(known), f"{kind}s"))

    def _check_build(self, service: Tree, path: TreePath) -> None:
        build = service["build"]
        path = (*path, "build")
        if build.get("dockerfile") and build.get("dockerfile_inline"):
            raise self._error((*path, "dockerfile_inline"), "dockerfile and dockerfile_inline exclude each other")
        contexts = forms.formed("options", build.get("additional_contexts"), (*path, "additional_contexts"))
        for name, context in contexts.items():
            if context.startswith(_SERVICE):
                here = (*path, "additional_contexts", name)
                other = context.removeprefix(_SERVICE)
                if other in self._disabled and other not in self._services:
                    raise self._error(here, f"the service {other} is not active", "activate its profile with --profile")
                if other not in self._services:
                    raise self._missing(here, "service", other, self._services)
                if self._services[other].get("build") is None:
                    raise self._error(here, f"the service {other} has no build")
        platform, platforms = service.get("platform"), build.get("platforms")
        if platform and platforms and platform not in platforms:
            raise self._error((*path, "platforms"), f"the platform of the service, {platform}, must be one of them")

    def _check_names(self, service: Tree, path: TreePath) -> None:
        """What a service names must be at the top of the file."""
        listed = {
            "networks": [(name, name) for name in service.get("networks") or ()],
            "models": [(name, name) for name in service.get("models") or ()],
            "configs": [(index, one.get("source")) for index, one in enumerate(service.get("configs") or ())],
            "secrets": [(index, one.get("source")) for index, one in enumerate(service.get("secrets") or ())],
        }
        build = (service.get("build") or {}).get("secrets") or ()
        for kind, entries in listed.items():
            for key, name in entries:
                if name not in (self._tree.get(kind) or {}):
                    raise self._missing((*path, kind, key), kind[:-1], str(name), self._tree.get(kind) or {})
        for index, one in enumerate(build):
            if one.get("source") not in (self._tree.get("secrets") or {}):
                here = (*path, "build", "secrets", index)
                raise self._missing(here, "secret", str(one.get("source")), self._tree.get("secrets") or {})

    def _check_depends(self, service: Tree, path: TreePath) -> None:
        for name, how in (service.get("depends_on") or {}).items():
            if name in self._services or (name in self._disabled and not how.get("required", True)):
                continue
            here = (*path, "depends_on", name)
            if name in self._disabled:
                raise self._error(here, f"the service {name} is not active", "activate its profile with --profile")
            raise self._missing(here, "service", name, self._services)
        mode = service.get("network_mode") or ""
        if mode.startswith(_SERVICE) and mode.removeprefix(_SERVICE) not in self._services:
            raise self._missing((*path, "network_mode"), "service", mode.removeprefix(_SERVICE), self._services)

    def _check_mounts(self, service: Tree, path: TreePath) -> None:
        seen: dict[str, str] = {}
        tmpfs = forms.formed("texts", service.get("tmpfs"), (*path, "tmpfs"))
        targets = [(("tmpfs", index), one.partition(":")[0]) for index, one in enumerate(tmpfs)]
        for index, mount in enumerate(service.get("volumes") or ()):
            here = (*path, "volumes", index)
            volume = mount.get("source") if mount.get("type") == "volume" else ""
            if volume and volume not in (self._tree.get("volumes") or {}):
                raise self._missing(here, "volume", volume, self._tree.get("volumes") or {})
            if mount.get("type") == "bind" and "source" not in mount:
                raise self._error(here, "a bind mount needs a source")
            targets.append((("volumes", index), str(mount.get("target", ""))))
        for (kind, index), target in targets:
            if target in seen:
                raise self._error((*path, kind, index), f"{target} is mounted already, by {seen[target]}")
            seen[target] = f"{kind}[{index}]"

    def _check_numbers(self, service: Tree, path: TreePath) -> None:
        deploy = service.get("deploy") or {}
        scale, replicas = service.get("scale"), deploy.get("replicas")
        for where, number in (((*path, "scale"), scale), ((*path, "deploy", "replicas"), replicas)):
            if number is not None and forms.formed("int", number, where) < 0:
                raise self._error(where, "it must be 0 or more")
        if scale is not None and replicas is not None and int(scale) != int(replicas):
            raise self._error((*path, "scale"), "scale and deploy.replicas are different")
        count = scale if scale is not None else replicas
        if service.get("container_name") and count is not None and int(count) > 1:
            raise self._error((*path, "container_name"), "several containers cannot have the same name")
        resources = deploy.get("resources") or {}
        for key, part, name, form in _LIMITS:
            given = resources.get(part)
            if service.get(key) and given is not None:
                one = forms.formed(form, service[key], (*path, key))
                other = forms.formed(form, given.get(name), (*path, "deploy", "resources", part, name))
                if one != other and one not in (0, "0"):
                    raise self._error((*path, key), f"{key} and deploy.resources.{part}.{name} are different")


_LIMITS = (
    ("cpus", "limits", "cpus", "float"),
    ("mem_limit", "limits", "memory", "bytes"),
    ("mem_reservation", "reservations", "memory", "bytes"),
    ("pids_limit", "limits", "pids", "int"),
)


def _check_circles(services: Mapping[str, Tree], places: ComposePlaces) -> None:
    """Raise ComposeError for services that depend on each other in a circle, also as contexts of their builds."""
    needs: dict[str, list[tuple[str, TreePath]]] = {}
    for name, service in services.items():
        path = ("services", name)
        needs[name] = [(other, (*path, "depends_on", other)) for other in service.get("depends_on") or ()]
        contexts = (service.get("build") or {}).get("additional_contexts") or {}
        for key, context in forms.formed("options", contexts, path).items():
            if context.startswith(_SERVICE):
                needs[name].append((context.removeprefix(_SERVICE), (*path, "build", "additional_contexts", key)))
    walk(needs, places)


def walk(needs: Mapping[str, list[tuple[str, TreePath]]], places: ComposePlaces) -> None:
    """Visit everything once, without recursion."""
    done: set[str] = set()
    for start in needs:
        trail: list[tuple[str, Iterator[tuple[str, TreePath]]]] = []
        names: list[str] = []

        def enter(name: str, trail: list[Any] = trail, names: list[str] = names) -> None:
            trail.append((name, iter(needs.get(name, ()))))
            names.append(name)

        if start not in done:
            enter(start)
        while trail:
            name, rest = trail[-1]
            following = next(rest, None)
            if following is None:
                done.add(name)
                trail.pop()
                names.pop()
            elif following[0] in names:
                circle = " → ".join((*names[names.index(following[0]) :], following[0]))
                raise places.error(following[1], f"the services need each other: {circle}")
            elif following[0] not in done:
                enter(following[0])
