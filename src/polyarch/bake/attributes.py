"""The attributes of a target: their names in files, their places in `BakeTarget`, and how two of them are merged.

Reading, merging and printing go by this table, so an attribute is added here and to `target.py` only.
"""

from typing import Any, Literal

import msgspec

from polyarch.bake.target import BakeTarget

Kind = Literal[
    "text", "texts", "flag", "map", "contexts", "cache", "output", "attest", "secret", "ssh", "policy", "resources"
]
# "replace": the later value. "keys": both, and the later one for each key. "append": both lists. "equal": both lists
# without equal entries. "type", "id": both lists, the last entry of each type or id.
Merge = Literal["replace", "keys", "append", "equal", "type", "id"]


class Attribute(msgspec.Struct, frozen=True):
    """One attribute. `path` is where `BakeTarget` has it: a field, or the name of a part and a field of it."""

    name: str
    path: str
    kind: Kind
    merge: Merge = "replace"

    def of(self, target: BakeTarget) -> Any:
        """Its value."""
        part, dot, field = self.path.partition(".")
        value = getattr(target, part)
        return getattr(value, field) if dot else value


# In the order in which buildx prints them.
ATTRIBUTES = (
    Attribute("description", "description", "text"),
    Attribute("inherits", "inherits", "texts", "append"),
    Attribute("annotations", "result.annotations", "texts", "append"),
    Attribute("attest", "result.attest", "attest", "type"),
    Attribute("context", "input.context", "text"),
    Attribute("contexts", "input.contexts", "contexts", "keys"),
    Attribute("dockerfile", "input.dockerfile", "text"),
    Attribute("dockerfile-inline", "input.dockerfile_inline", "text"),
    Attribute("args", "input.args", "map", "keys"),
    Attribute("labels", "result.labels", "map", "keys"),
    Attribute("tags", "result.tags", "texts"),
    Attribute("cache-from", "cache.cache_from", "cache", "equal"),
    Attribute("cache-to", "cache.cache_to", "cache"),
    Attribute("target", "input.target", "text"),
    Attribute("secret", "input.secrets", "secret", "id"),
    Attribute("ssh", "input.ssh", "ssh", "id"),
    Attribute("platforms", "platforms", "texts"),
    Attribute("output", "result.outputs", "output"),
    Attribute("pull", "cache.pull", "flag"),
    Attribute("no-cache", "cache.no_cache", "flag"),
    Attribute("network", "run.network", "text"),
    Attribute("no-cache-filter", "cache.no_cache_filter", "texts", "append"),
    Attribute("shm-size", "run.shm_size", "text"),
    Attribute("ulimits", "run.ulimits", "texts", "append"),
    Attribute("resources", "run.resources", "resources", "keys"),
    Attribute("call", "call", "text"),
    Attribute("entitlements", "run.entitlements", "texts", "append"),
    Attribute("extra-hosts", "run.extra_hosts", "map", "keys"),
    Attribute("policy", "policy", "policy", "append"),
)
BY_NAME = {attribute.name: attribute for attribute in ATTRIBUTES}


def replaced(given: BakeTarget, /, **values: object) -> BakeTarget:
    """The target with other values, each under the name of its attribute with `_` for `-`."""
    top: dict[str, object] = {}
    parts: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        part, dot, field = BY_NAME[name.replace("_", "-")].path.partition(".")
        if dot:
            parts.setdefault(part, {})[field] = value
        else:
            top[part] = value
    for part, fields in parts.items():
        top[part] = msgspec.structs.replace(getattr(given, part), **fields)
    return msgspec.structs.replace(given, **top)
