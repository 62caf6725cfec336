"""Values of HCL → values of targets, and back, for expressions that refer to other targets."""

from collections.abc import Mapping, Sequence
from typing import Any

from polyarch.bake import entries
from polyarch.bake.attributes import ATTRIBUTES, Attribute, Kind
from polyarch.bake.entries import AttestEntry, CacheEntry, OutputEntry, PolicyEntry, SecretEntry, SshEntry
from polyarch.bake.hcl import types, values
from polyarch.bake.hcl.convert import ConversionError, convert
from polyarch.bake.hcl.functions import FunctionError, whole
from polyarch.bake.hcl.source import HclError, Span
from polyarch.bake.hcl.types import BOOL, STRING, HclType, ListType, MapType
from polyarch.bake.hcl.values import HclValue
from polyarch.bake.target import BakeTarget

_SECRET = types.object_type({"id": STRING, "src": STRING, "env": STRING}, frozenset({"id", "src", "env"}))
_SSH = types.object_type({"id": STRING, "paths": ListType(STRING)}, frozenset({"id", "paths"}))
_NUMBERS = ("cpu-shares", "cpu-period", "cpu-quota")
_TEXTS = ("memory", "memory-swap", "cpuset-cpus", "cpuset-mems")
_RESOURCES = types.object_type(
    {**dict.fromkeys(_TEXTS, STRING), **dict.fromkeys(_NUMBERS, types.NUMBER)}, frozenset((*_TEXTS, *_NUMBERS))
)
_PLAIN: Mapping[Kind, HclType] = {
    "text": STRING,
    "texts": ListType(STRING),
    "flag": BOOL,
    "map": MapType(STRING),
    "contexts": MapType(STRING),
    "resources": _RESOURCES,
}


def decoded(attribute: Attribute, value: HclValue, at: Span) -> Any:
    """The value of an attribute of a target; None for null. Raises HclError."""
    try:
        return _decoded(attribute, value)
    except (ConversionError, FunctionError) as error:
        raise HclError(f"{attribute.name}: {error}", at=at) from None
    except entries.EntryError as error:
        raise HclError(f"{attribute.name}: {error.message}", error.hint, at=at) from None


def _decoded(attribute: Attribute, value: HclValue) -> Any:
    kind = attribute.kind
    # A literal null leaves something out; a variable without a value is a mistake.
    inner = value.elements() if value.data and (value.is_sequence or value.is_mapping) else []
    for one in (value, *inner):
        if one.unset:
            raise ConversionError(f"the variable {one.unset} has no value, and no default")
    if kind not in _PLAIN:
        return _entries(attribute, value)
    found = convert(value, _PLAIN[kind])
    if found.is_null:
        if attribute.name == "description":
            raise ConversionError("null is not a text")
        return None
    if kind in ("text", "flag"):
        return found.data
    if kind == "resources":
        given = {name: one for name, one in found.data.items() if not one.is_null}
        return {name: whole(one, name) if name in _NUMBERS else one.data for name, one in given.items()}
    if kind == "texts":
        return tuple(_required(one) for one in found.data)
    if kind == "contexts":
        return {name: _required(one) for name, one in found.data.items()}
    return {name: one.data for name, one in found.data.items()}


def _required(value: HclValue) -> str:
    if value.is_null:
        raise ConversionError("null is not a text")
    text: str = value.data
    return text


def _entries(attribute: Attribute, value: HclValue) -> tuple[Any, ...]:
    if value.is_null or not isinstance(value.type, types.TupleType | types.ListType):
        raise ConversionError(f"a list is required, but this is {_shown(value)}")
    found: list[Any] = []
    for one in value.data:
        if one.is_null:
            raise ConversionError("null is not an entry of the list")
        if isinstance(one.data, str):
            if one.data:
                found += _read(attribute.kind, one.data)
        else:
            found.append(_object(attribute.kind, one))
    return tuple(found)


def _shown(value: HclValue) -> str:
    return "null" if value.is_null else types.friendly(value.type)


def _read(kind: Kind, text: str) -> Sequence[Any]:
    match kind:
        case "cache":
            return entries.caches(text)
        case "output":
            return [entries.output(text)]
        case "attest":
            return [entries.attest(text)]
        case "secret":
            return [entries.secret(text)]
        case "ssh":
            return [entries.ssh(text)]
        case _:
            return [entries.policy(text)]


def _object(kind: Kind, value: HclValue) -> Any:
    """An entry that is written as an object."""
    if kind == "secret":
        found = convert(value, _SECRET)
        return SecretEntry(*(found.data[name].data or "" for name in ("id", "src", "env")))
    if kind == "ssh":
        found = convert(value, _SSH)
        paths = found.data["paths"]
        return SshEntry(found.data["id"].data or "", () if paths.is_null else tuple(map(_required, paths.data)))
    if kind == "policy":
        if not value.is_mapping:
            raise ConversionError(f"an object is required, but this is {_shown(value)}")
        given = [(name, one) for name, one in sorted(value.data.items()) if not one.is_null and one.data != ""]
        return entries.policy_of([(name, _required(convert(one, STRING))) for name, one in given])
    found = convert(value, MapType(STRING))
    texts = {name: _required(one) for name, one in found.data.items()}
    if kind == "cache":
        return entries.cache(texts)
    return entries.output_of(texts) if kind == "output" else entries.attest_of(texts)


def target_value(target: BakeTarget) -> HclValue:
    """A target as an object, which `target.NAME` is in an expression."""
    given = {attribute.name: _encoded(attribute.kind, attribute.of(target)) for attribute in ATTRIBUTES}
    return values.object_of({"name": values.text(target.name), **given})


def group_value(name: str, description: str, targets: Sequence[str]) -> HclValue:
    """A group as an object, which `group.NAME` is in an expression."""
    return values.object_of(
        {
            "name": values.text(name),
            "description": values.text(description),
            "targets": values.list_of(STRING, [values.text(one) for one in targets]),
        }
    )


def _encoded(kind: Kind, value: Any) -> HclValue:
    match kind:
        case "cache" | "output" | "attest" | "policy":
            found = [_texts(_attributes(one)) for one in value or ()]
            return values.list_of(MapType(STRING), found)
        case "secret":
            plain = types.without_optional(_SECRET)
            return values.list_of(plain, [_secret(one) for one in value or ()])
        case "ssh":
            plain = types.without_optional(_SSH)
            return values.list_of(plain, [_ssh(one) for one in value or ()])
        case "resources":
            return values.null(types.without_optional(_RESOURCES))
    if value is None:
        return values.null(_PLAIN[kind])
    match kind:
        case "text":
            return values.text(value)
        case "flag":
            return values.boolean(value)
        case "texts":
            return values.list_of(STRING, [values.text(one) for one in value])
        case _:
            return _texts(value)


def _attributes(entry: CacheEntry | OutputEntry | AttestEntry | PolicyEntry) -> Mapping[str, str]:
    if isinstance(entry, OutputEntry):
        return {**entry.attributes, "type": entry.type, "dest": entry.destination}
    if isinstance(entry, CacheEntry):
        return {**entry.attributes, "type": entry.type}
    if isinstance(entry, AttestEntry):
        return {**entry.attributes, "type": entry.type, **({"disabled": "true"} if entry.disabled else {})}
    flags = {"reset": entry.reset or None, "disabled": entry.disabled or None, "strict": entry.strict}
    texts = {name: str(flag).lower() for name, flag in flags.items() if flag is not None}
    files = {"filename": entry.files[0]} if entry.files else {}
    return {**files, **texts, **({"log-level": entry.log_level} if entry.log_level else {})}


def _texts(given: Mapping[str, str | None]) -> HclValue:
    found = {name: values.null(STRING) if one is None else values.text(one) for name, one in given.items()}
    return values.map_of(STRING, found)


def _secret(entry: SecretEntry) -> HclValue:
    return values.object_of(
        {"id": values.text(entry.id), "src": values.text(entry.source), "env": values.text(entry.env)}
    )


def _ssh(entry: SshEntry) -> HclValue:
    paths = values.list_of(STRING, [values.text(one) for one in entry.paths])
    return values.object_of({"id": values.text(entry.id), "paths": paths})
