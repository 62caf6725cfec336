"""Combines files: maps by key, lists one after the other, other values replaced; with exceptions by path.

After each step, a list of things with names keeps one entry of each name: the later one, in the place of the first.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from polyarch.compose import gotext, shortforms
from polyarch.compose.paths import PathTable
from polyarch.compose.places import ComposeError, TreePath, shown

_Rule = Callable[[Any, Any, TreePath], Any]
_STARTED = {"condition": "service_started", "required": True}


def merged(lower: Any, upper: Any, path: TreePath = ()) -> Any:
    """`upper` on top of `lower`. Raises ComposeError where a mapping or a list would be replaced by something else."""
    rule = _RULES.at(path)
    if rule is not None:
        return rule(lower, upper, path)
    if upper is None:
        return lower
    if isinstance(lower, dict):
        if not isinstance(upper, dict):
            raise ComposeError(f"{shown(path)}: a mapping cannot be replaced by something else")
        return _merged_keys(lower, upper, path)
    if isinstance(lower, list):
        if not isinstance(upper, list):
            raise ComposeError(f"{shown(path)}: a list cannot be replaced by something else")
        return [*lower, *upper]
    return upper


def _merged_keys(lower: Mapping[str, Any], upper: Mapping[str, Any], path: TreePath) -> dict[str, Any]:
    found = dict(lower)
    for key, value in upper.items():
        found[key] = merged(found[key], value, (*path, key)) if key in found else value
    return found


def sequence(value: Any) -> list[Any]:
    """A mapping as a list of `K=V`, sorted; a text as a list of one."""
    if isinstance(value, dict):
        found: list[str] = []
        for key, one in value.items():
            if one is None:
                found.append(key)
            else:
                found += [f"{key}={gotext.number(each)}" for each in (one if isinstance(one, list) else [one])]
        return sorted(found)
    return list(value) if isinstance(value, list) else [] if value is None else [value]


def _mapping(value: Any, default: Mapping[str, Any] | None) -> dict[str, Any]:
    """A list of names as a mapping."""
    if isinstance(value, dict):
        return value
    return {str(name): None if default is None else dict(default) for name in value or ()}


def _joined(lower: Any, upper: Any, path: TreePath) -> Any:
    return [*sequence(lower), *sequence(upper)]


def _hosts(lower: Any, upper: Any, path: TreePath) -> Any:
    known = sequence(lower)
    return [*known, *(one for one in sequence(upper) if one not in known)]


def _upper(lower: Any, upper: Any, path: TreePath) -> Any:
    return upper


def _build(lower: Any, upper: Any, path: TreePath) -> Any:
    below, above = ({"context": one} if isinstance(one, str) else one or {} for one in (lower, upper))
    return _merged_keys(below, above, path)


def _depends(lower: Any, upper: Any, path: TreePath) -> Any:
    return _merged_keys(_mapping(lower, _STARTED), _mapping(upper, _STARTED), path)


def _names(lower: Any, upper: Any, path: TreePath) -> Any:
    return _merged_keys(_mapping(lower, None), _mapping(upper, None), path)


def _logging(lower: Any, upper: Any, path: TreePath) -> Any:
    """The options of another driver are not kept."""
    if "driver" in lower and "driver" in upper and lower["driver"] != upper["driver"]:
        return upper
    return _merged_keys(lower, upper, path)


def _pools(lower: Any, upper: Any, path: TreePath) -> Any:
    """IPAM pools are the same if they have the same subnet."""
    found: list[dict[str, Any]] = []
    for known in lower:
        below = dict(known)
        for other in upper:
            is_new = all(one.get("subnet") != other.get("subnet") for one in (below, *found))
            if is_new:
                found.append(other)
                continue
            below = _merged_keys(below, other, path)
            same = [index for index, one in enumerate(found) if one.get("subnet") == below.get("subnet")]
            if same:
                found[same[0]] = below
            else:
                found.append(below)
    return found


_RULES: PathTable[_Rule] = PathTable(
    {
        "networks.*.ipam.config": _pools,
        "networks.*.labels": _joined,
        "volumes.*.labels": _joined,
        "services.*.annotations": _joined,
        "services.*.build": _build,
        "services.*.build.args": _joined,
        "services.*.build.additional_contexts": _joined,
        "services.*.build.extra_hosts": _hosts,
        "services.*.build.labels": _joined,
        "services.*.command": _upper,
        "services.*.depends_on": _depends,
        "services.*.deploy.labels": _joined,
        "services.*.dns": _joined,
        "services.*.dns_opt": _joined,
        "services.*.dns_search": _joined,
        "services.*.entrypoint": _upper,
        "services.*.env_file": _joined,
        "services.*.label_file": _joined,
        "services.*.environment": _joined,
        "services.*.extra_hosts": _hosts,
        "services.*.healthcheck.test": _upper,
        "services.*.labels": _joined,
        "services.*.volumes.*.volume.labels": _joined,
        "services.*.logging": _logging,
        "services.*.models": _names,
        "services.*.networks": _names,
        "services.*.sysctls": _joined,
        "services.*.tmpfs": _joined,
        "services.*.ulimits.*": _upper,
    }
)


def extended(base: Mapping[str, Any], service: Mapping[str, Any]) -> dict[str, Any]:
    """A service on top of the one that it extends."""
    found = merged(copy.deepcopy(dict(base)), dict(service), ("services", "*"))
    assert isinstance(found, dict)
    return found


def without_duplicates(value: Any, path: TreePath = ()) -> Any:
    """The tree with one entry of each name in its lists. Raises ComposeError."""
    if isinstance(value, dict):
        return {key: without_duplicates(one, (*path, key)) for key, one in value.items()}
    index = _INDEXES.at(path) if isinstance(value, list) else None
    if index is None:
        return value
    found: dict[str, Any] = {}
    for entry in value:
        found[index(entry, path)] = entry
    return list(found.values())


def _key(entry: Any, path: TreePath) -> str:
    if not isinstance(entry, str):
        raise ComposeError(f"{shown(path)}: an entry is not text")
    return entry.partition("=")[0]


def _target(entry: Any, path: TreePath) -> str:
    if isinstance(entry, dict):
        if not isinstance(entry.get("target"), str):
            raise ComposeError(f"{shown(path)}: a mount has no target")
        return str(entry["target"])
    return str(shortforms.volume(entry, path).get("target", "")) if isinstance(entry, str) else ""


def _device(entry: Any, path: TreePath) -> str:
    if isinstance(entry, dict):
        if not isinstance(entry.get("target"), str):
            raise ComposeError(f"{shown(path)}: a device has no target")
        return str(entry["target"])
    parts = str(entry).split(":")
    return parts[0] if len(parts) == 1 else parts[1]


def _reference(default: str) -> Callable[[Any, TreePath], str]:
    def index(entry: Any, path: TreePath) -> str:
        if isinstance(entry, dict):
            return str(entry["target"]) if "target" in entry else f"{default}/{entry.get('source', '')}"
        return f"{default}/{entry}"

    return index


def _port(entry: Any, path: TreePath) -> str:
    if not isinstance(entry, dict):
        return str(entry)
    if "target" not in entry:
        raise ComposeError(f"{shown(path)}: a port has no target")
    host, protocol = entry.get("host_ip", "0.0.0.0"), entry.get("protocol", "tcp")
    return f"{host}:{entry.get('published')}:{entry['target']}/{protocol}"


def _env_file(entry: Any, path: TreePath) -> str:
    if isinstance(entry, dict):
        if "path" not in entry:
            raise ComposeError(f"{shown(path)}: a file has no path")
        return str(entry["path"])
    return str(entry)


_INDEXES: PathTable[Callable[[Any, TreePath], str]] = PathTable(
    {
        **dict.fromkeys(
            (
                "networks.*.labels",
                "networks.*.ipam.options",
                "services.*.annotations",
                "services.*.build.args",
                "services.*.build.additional_contexts",
                "services.*.build.tags",
                "services.*.build.labels",
                "services.*.cap_add",
                "services.*.cap_drop",
                "services.*.deploy.labels",
                "services.*.dns",
                "services.*.dns_opt",
                "services.*.dns_search",
                "services.*.environment",
                "services.*.labels",
                "services.*.links",
                "services.*.networks.*.aliases",
                "services.*.networks.*.link_local_ips",
                "services.*.profiles",
                "services.*.sysctls",
                "services.*.tmpfs",
            ),
            _key,
        ),
        "services.*.devices": _device,
        "services.*.configs": _reference(""),
        "services.*.env_file": _env_file,
        "services.*.expose": lambda entry, path: str(entry),
        "services.*.ports": _port,
        "services.*.secrets": _reference("/run/secrets"),
        "services.*.volumes": _target,
    }
)


def reset(tree: Any, resets: tuple[TreePath, ...], path: TreePath = ()) -> None:
    """Remove the values at these paths from a tree."""
    if isinstance(tree, dict):
        for key in list(tree):
            here = (*path, key)
            if here in resets:
                del tree[key]
            else:
                reset(tree[key], resets, here)
