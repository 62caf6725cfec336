"""The canonical form: short forms become long ones, and what is not said gets its default.

`canonical` is done to each file, `with_defaults` and `with_absolute_paths` to the files of one project or include, and
`normalized` to the whole project.
"""

import posixpath
from collections.abc import Callable, Mapping
from typing import Any

from polyarch.compose import gotext, shortforms
from polyarch.compose.paths import PathTable
from polyarch.compose.places import ComposeError, TreePath, shown

_Transform = Callable[[Any, TreePath], Any]
_SERVICE = "service:"


def canonical(value: Any, path: TreePath = (), *, lenient: bool = False) -> Any:
    """The tree in its long form. It fits the grammar. Raises ComposeError for short forms that do not parse, as those
    with variables in them. With `lenient`, these stay.
    """
    transform = _LONG.at(path)
    if transform is not None:
        try:
            value = transform(value, path)
        except ComposeError:
            if not lenient:
                raise
    if isinstance(value, dict):
        return {key: canonical(one, (*path, key), lenient=lenient) for key, one in value.items()}
    if isinstance(value, list):
        return [canonical(one, (*path, index), lenient=lenient) for index, one in enumerate(value)]
    return value


def _build(value: Any, path: TreePath) -> Any:
    return {"context": value} if isinstance(value, str) else value


def _text(value: Any, path: TreePath) -> Any:
    return gotext.number(value)


def _list(value: Any, path: TreePath) -> Any:
    return [value] if isinstance(value, str) else value


def _pairs(value: Any, path: TreePath) -> Any:
    if not isinstance(value, list):
        return value
    found = {}
    for one in value:
        key, equals, rest = one.partition("=")
        if not equals:
            raise ComposeError(f"{shown(path)}: {one!r} is not KEY=VALUE")
        found[key] = rest
    return found


def _depends(value: Any, path: TreePath) -> Any:
    given = value if isinstance(value, dict) else {name: {} for name in value}
    return {name: {"condition": "service_started", "required": True, **one} for name, one in given.items()}


def _env_files(value: Any, path: TreePath) -> Any:
    entries = [value] if isinstance(value, str) else value
    return [{"required": True, **({"path": one} if isinstance(one, str) else one)} for one in entries]


def _keys(value: Any, path: TreePath) -> Any:
    return dict.fromkeys(value) if isinstance(value, list) else value


def _reference(value: Any, path: TreePath) -> Any:
    return {"source": value} if isinstance(value, str) else value


def _gpus(value: Any, path: TreePath) -> Any:
    return [{"count": "all"}] if isinstance(value, str) else value


def _volume(value: Any, path: TreePath) -> Any:
    return shortforms.volume(value, path) if isinstance(value, str) else value


def _device(value: Any, path: TreePath) -> Any:
    return shortforms.device(value, path) if isinstance(value, str) else value


def _ports(value: Any, path: TreePath) -> Any:
    found: list[Any] = []
    for index, one in enumerate(value):
        found += [one] if isinstance(one, dict) else shortforms.ports(gotext.number(one), (*path, index))
    return found


def _ssh(value: Any, path: TreePath) -> Any:
    if not isinstance(value, list):
        return value
    found: dict[str, str | None] = {}
    for index, one in enumerate(value):
        name, equals, at = one.partition("=")
        if not equals and name != "default":
            raise ComposeError(f"{shown((*path, index))}: {one!r} is not an ssh agent", "as in default, or ID=PATH")
        found[name] = at if equals else None
    return found


def _external(value: Any, path: TreePath) -> Any:
    """`external: {name: N}` is the old form of `external: true` with a name."""
    if not isinstance(value, dict) or not isinstance(value.get("external"), dict):
        return value
    name = value["external"].get("name")
    if name is not None and value.get("name", name) != name:
        raise ComposeError(f"{shown(path)}: name and external.name are different", "write name only")
    return {**value, "external": True, **({} if name is None else {"name": name})}


_LONG: PathTable[_Transform] = PathTable(
    {
        "services.*.build": _build,
        "services.*.build.secrets.[]": _reference,
        "services.*.build.provenance": _text,
        "services.*.build.sbom": _text,
        "services.*.build.additional_contexts": _pairs,
        "services.*.build.no_cache_filter": _list,
        "services.*.build.ssh": _ssh,
        "services.*.depends_on": _depends,
        "services.*.env_file": _env_files,
        "services.*.label_file": _list,
        "services.*.gpus": _gpus,
        "services.*.networks": _keys,
        "services.*.models": _keys,
        "services.*.volumes.[]": _volume,
        "services.*.dns": _list,
        "services.*.devices.[]": _device,
        "services.*.secrets.[]": _reference,
        "services.*.configs.[]": _reference,
        "services.*.ports": _ports,
        "services.*.develop.watch.[].ignore": _list,
        "services.*.develop.watch.[].include": _list,
        "volumes.*": _external,
        "networks.*": _external,
        "secrets.*": _external,
        "configs.*": _external,
    }
)


def without_empty(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree without empty entries of `dns`."""
    for service in (tree.get("services") or {}).values():
        if isinstance(service, dict) and isinstance(service.get("dns"), list):
            service["dns"] = [one for one in service["dns"] if one]
    return tree


def with_defaults(value: Any, path: TreePath = ()) -> Any:
    """The tree with the defaults of single values."""
    default = _DEFAULTS.at(path)
    if isinstance(value, dict) and default is not None:
        return {**default(value), **value}
    if isinstance(value, dict):
        return {key: with_defaults(one, (*path, key)) for key, one in value.items()}
    if isinstance(value, list):
        return [with_defaults(one, (*path, index)) for index, one in enumerate(value)]
    return value


def _request(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return {} if "count" in value or "device_ids" in value else {"count": "all"}


_DEFAULTS: PathTable[Callable[[Mapping[str, Any]], Mapping[str, Any]]] = PathTable(
    {
        "services.*.build": lambda value: {"context": "."},
        "services.*.secrets.[]": lambda value: {"target": f"/run/secrets/{value.get('source')}"},
        "services.*.ports.[]": lambda value: {"protocol": "tcp", "mode": "ingress"},
        "services.*.deploy.resources.reservations.devices.[]": _request,
        "services.*.gpus.[]": _request,
    }
)


def with_absolute_paths(tree: Any, directory: str, home: str) -> Any:
    """The tree with paths that are relative to a directory made absolute. `home` stands for `~`."""
    return _AbsolutePaths(directory, home).applied(tree, ())


class _AbsolutePaths:
    def __init__(self, directory: str, home: str) -> None:
        self._directory = directory
        self._home = home
        self._rules: PathTable[Callable[[Any], Any]] = PathTable(
            {
                "services.*.build.context": self._context,
                "services.*.build.additional_contexts.*": self._context,
                "services.*.build.ssh.*": self._path,
                "services.*.env_file.[].path": self._path,
                "services.*.label_file.[]": self._path,
                "services.*.extends.file": self._path,
                "services.*.develop.watch.[].path": self._path,
                "services.*.volumes.[]": self._mount,
                "configs.*.file": self._path,
                "secrets.*.file": self._path,
                "volumes.*": self._volume,
            }
        )

    def applied(self, value: Any, path: TreePath) -> Any:
        rule = self._rules.at(path)
        if rule is not None:
            return rule(value)
        if isinstance(value, dict):
            return {key: self.applied(one, (*path, key)) for key, one in value.items()}
        if isinstance(value, list):
            return [self.applied(one, (*path, index)) for index, one in enumerate(value)]
        return value

    def _path(self, value: Any) -> Any:
        if not isinstance(value, str) or not value:
            return value
        if value.startswith("~") and self._home:
            value = posixpath.normpath(f"{self._home}/{value[1:]}")
        if value.startswith(("/", "\\\\")) or (value[:1].isalpha() and value[1:3] in (":\\", ":/")):
            return value
        return posixpath.normpath(posixpath.join(self._directory, value))

    def _context(self, value: Any) -> Any:
        if not isinstance(value, str) or "://" in value or value.startswith((_SERVICE, "github.com/", "git@")):
            return value
        return self._path(value)

    def _mount(self, value: Any) -> Any:
        if isinstance(value, dict) and value.get("type") == "bind" and "source" in value:
            return {**value, "source": self._path(value["source"])}
        return value

    def _volume(self, value: Any) -> Any:
        options = value.get("driver_opts") if isinstance(value, dict) else None
        if options and value.get("driver") == "local" and options.get("o") == "bind" and "device" in options:
            return {**value, "driver_opts": {**options, "device": self._path(options["device"])}}
        return value


def normalized(tree: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """The project with implicit networks, dependencies, names and the Dockerfile's name."""
    services = {name: _normalized(dict(one or {}), environment) for name, one in (tree.get("services") or {}).items()}
    networks = dict(tree.get("networks") or {})
    for service in services.values():
        if not service.keys() & {"provider", "network_mode"}:
            service["networks"] = service.get("networks") or {"default": None}
            if "default" in service["networks"]:
                networks.setdefault("default", None)
    found = {**tree, "services": services} if "services" in tree else dict(tree)
    if networks:
        found["networks"] = networks
    for kind in ("networks", "volumes", "configs", "secrets"):
        if kind in found:
            found[kind] = {key: _named(key, one, str(tree.get("name"))) for key, one in found[kind].items()}
    return found


def _named(key: str, resource: Mapping[str, Any] | None, project: str) -> dict[str, Any]:
    found = dict(resource or {})
    if found.get("name") is None:
        found["name"] = key if found.get("external") else f"{project}_{key}"
    return found


def _normalized(service: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    if service.get("pull_policy") == "if_not_present":
        service["pull_policy"] = "missing"
    if service.get("build") is not None:
        service["build"] = _normalized_build(dict(service["build"]), environment)
    if "environment" in service:
        service["environment"] = resolved(service["environment"], environment, keep=True)
    depends = dict(service.get("depends_on") or {})
    for name, restart in _implied(service):
        depends.setdefault(name, {"condition": "service_started", "restart": restart, "required": True})
    if depends:
        service["depends_on"] = depends
    for mount in service.get("volumes") or ():
        target = str(mount.get("target", ""))
        mount["target"] = posixpath.normpath(target).replace("//", "/", 1) if target else "."
    return service


def _normalized_build(build: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    if build.get("context") is None:
        build["context"] = "."
    if build.get("dockerfile") is None and build.get("dockerfile_inline") is None:
        build["dockerfile"] = "Dockerfile"
    if "args" in build:
        build["args"] = resolved(build["args"], environment, keep=False)
    return build


def _implied(service: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """The services that a service needs without saying so: (name, whether it restarts with it)."""
    found = []
    for link in service.get("links") or ():
        parts = link.split(":")
        found.append((parts[0] if len(parts) == 2 else link, True))
    for key in ("network_mode", "ipc", "pid", "uts", "cgroup"):
        value = service.get(key) or ""
        if value.startswith(_SERVICE):
            found.append((value.removeprefix(_SERVICE), True))
    volumes = service.get("volumes_from") or ()
    return [*found, *((one.split(":")[0], False) for one in volumes if not one.startswith("container:"))]


def resolved(value: Any, environment: Mapping[str, str], *, keep: bool) -> Any:
    """A mapping or a list of `K=V` with the values of keys without one. Unset ones stay with `keep`."""
    if isinstance(value, dict):
        found = {key: environment.get(key) if one is None else one for key, one in value.items()}
        return {key: one for key, one in found.items() if one is not None or keep}
    found_list = []
    for one in value or ():
        if "=" in one or (one not in environment and keep):
            found_list.append(one)
        elif one in environment:
            found_list.append(f"{one}={environment[one]}")
    return found_list
