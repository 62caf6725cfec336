"""Targets as JSON, byte for byte as `buildx bake --print` writes it."""

import posixpath
from collections.abc import Mapping
from typing import Any

from polyarch.bake.attributes import ATTRIBUTES, Attribute
from polyarch.bake.hcl import jsonvalues
from polyarch.bake.resolve import Resolved, is_local
from polyarch.bake.target import BakeTarget, TargetGroup

# What may contain a template: the printed text is a bake file again.
_ESCAPED = frozenset({"args", "labels", "annotations", "dockerfile-inline", "extra-hosts"})
_STEP = "  "


def printed(resolved: Resolved) -> str:
    """All targets and groups."""
    return rendered(as_object(resolved))


def as_object(resolved: Resolved) -> dict[str, Any]:
    """All targets and groups, as JSON's types."""
    groups = {name: group_object(resolved.groups[name]) for name in sorted(resolved.groups)}
    targets = {name: target_object(resolved.targets[name]) for name in sorted(resolved.targets)}
    return {"group": groups, "target": targets} if groups else {"target": targets}


def with_answers(resolved: Resolved, answers: Mapping[str, Mapping[str, Any]]) -> str:
    """All targets and groups, and what was asked about each target: `--call=…,format=json`."""
    found = as_object(resolved)
    found["target"] = {name: {"build": target, **answers.get(name, {})} for name, target in found["target"].items()}
    return rendered(found)


def group_object(group: TargetGroup) -> dict[str, Any]:
    """One group. Go writes a list that is not there as null."""
    found: dict[str, Any] = {"description": group.description} if group.description else {}
    return {**found, "targets": list(group.targets)}


def target_object(target: BakeTarget) -> dict[str, Any]:
    """One target: what it says, in the order of buildx."""
    found: dict[str, Any] = {}
    for attribute in ATTRIBUTES:
        value = attribute.of(target)
        if attribute.name == "context" and value is not None:
            value = _context(value)
        # A text or flag that is set is printed even if it is empty; a description and lists are not.
        if value is None or (
            value in ("", (), {}) and (attribute.kind not in ("text", "flag") or attribute.name == "description")
        ):
            continue
        found[attribute.name] = _plain(attribute, value)
    return found


def _context(path: str) -> str:
    """The context as buildx prints it: a path in its shortest form."""
    if not is_local(path):
        return path
    cleaned = posixpath.normpath(path.removeprefix("cwd://") or ".")
    return "/" + cleaned.lstrip("/") if cleaned.startswith("/") else cleaned


def _plain(attribute: Attribute, value: Any) -> Any:
    if isinstance(value, Mapping):
        escaped = attribute.name in _ESCAPED
        return {key: _escaped(value[key]) if escaped else value[key] for key in sorted(value)}
    if isinstance(value, tuple):
        return [_item(attribute, one) for one in value]
    return _escaped(value) if attribute.name in _ESCAPED else value


def _item(attribute: Attribute, item: Any) -> Any:
    if isinstance(item, str):
        return _escaped(item) if attribute.name in _ESCAPED else item
    given = item.as_object()
    # Secrets and ssh agents are structures, whose fields have an order; the others are maps.
    return given if attribute.kind in ("secret", "ssh", "policy") else {key: given[key] for key in sorted(given)}


def _escaped(text: Any) -> Any:
    return text.replace("${", "$${").replace("%{", "%%{") if isinstance(text, str) else text


def rendered(value: Any, indent: str = "") -> str:
    """JSON as Go's MarshalIndent writes it."""
    inner = indent + _STEP
    if isinstance(value, dict):
        if not value:
            return "{}"
        items = [f"{inner}{jsonvalues.text(key)}: {rendered(one, inner)}" for key, one in value.items()]
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    if isinstance(value, list):
        if not value:
            return "[]"
        return "[\n" + ",\n".join(inner + rendered(one, inner) for one in value) + f"\n{indent}]"
    if isinstance(value, str):
        return jsonvalues.text(value)
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
