"""The functions of bake files, one file for each family. They are those of buildx (hclparser/stdlib.go)."""

from collections.abc import Mapping, Sequence

from polyarch.bake.hcl.functions import FunctionHost, HclFunction, Parameter
from polyarch.bake.hcl.library import (
    encodings,
    formats,
    lists,
    maps,
    networks,
    numeric,
    patterns,
    sets,
    strings,
    times,
    versions,
)
from polyarch.bake.hcl.values import HclValue

_TABLES = (encodings, formats, lists, maps, networks, numeric, patterns, sets, strings, times, versions)


def functions() -> Mapping[str, HclFunction]:
    """All functions by name."""
    found: dict[str, HclFunction] = {}
    for module in _TABLES:
        found |= module.TABLE.functions
    for name, parameters in (("can", (Parameter("expression"),)), ("convert", (Parameter("value"), Parameter("type")))):
        found[name] = HclFunction(name, _lazy, parameters, lazy=True)
    found["try"] = HclFunction("try", _lazy, (), Parameter("expressions"), lazy=True)
    return found


def _lazy(_: Sequence[HclValue], __: FunctionHost) -> HclValue:
    raise AssertionError("the evaluator calls lazy functions itself")
