"""A project as docker compose prints it: `compose config`, as YAML and as JSON."""

from collections.abc import Mapping
from typing import Any

from polyarch.bake.hcl import jsonvalues
from polyarch.compose import forms, gotext
from polyarch.compose.forms import ABSENT, Single
from polyarch.compose.places import TreePath
from polyarch.compose.shapes import CAPITAL, SHAPES
from polyarch.compose.yamltext import Ordered, text_of


def as_yaml(project: Mapping[str, Any]) -> str:
    """The project as YAML. A $ is doubled, so that the text is a compose file again."""
    return text_of(_Printer(json=False).shape("project", project, ())).replace("$", "$$")


def as_json(project: Mapping[str, Any]) -> str:
    """The project as JSON, as Go's encoder writes it."""
    return _json(_Printer(json=True).shape("project", project, ()), "").replace("$", "$$")


class _Printer:
    """Puts values into their forms. YAML has extensions (`x-…`) everywhere, JSON at the top only. JSON writes an empty
    mapping and a command that is not there as well.
    """

    def __init__(self, *, json: bool) -> None:
        self._json = json

    def shape(self, name: str, value: Mapping[str, Any], path: TreePath) -> Ordered:
        found = Ordered()
        for key, form in SHAPES[name].items():
            one = self._value(form, value.get(key), (*path, key))
            if one is not ABSENT:
                found[key.capitalize() if self._json and name in CAPITAL else key] = one
        if not self._json or name == "project":
            for key in sorted(key for key in value if key.startswith("x-")):
                found[key] = value[key]
        # JSON's top level is a map, which Go sorts.
        return Ordered(sorted(found.items())) if self._json and name == "project" else found

    def _value(self, form: str, value: Any, path: TreePath) -> Any:
        always, kept = form.endswith("!"), form.endswith("?")
        form = form.rstrip("!?")
        if form == "ulimit":
            return self._ulimit(value, path)
        if form[0] in "[{@":
            return self._compound(form, value, path, always=always, kept=kept)
        if value is None and not always:
            return None if form == "command" and self._json else ABSENT
        found = forms.formed(form, value, path)
        if found is ABSENT and form == "command" and self._json:
            return None
        return ABSENT if not always and not kept and form in forms.EMPTY and found == forms.EMPTY[form] else found

    def _compound(self, form: str, value: Any, path: TreePath, *, always: bool, kept: bool) -> Any:
        if form[0] == "@":
            if value is None and (kept or not self._json):
                return ABSENT
            found = self.shape(form[1:], value or {}, path)
            return found if found or kept or self._json else ABSENT
        if not value and not always:
            return ABSENT
        inner = form[1:-1]
        if form[0] == "[":
            return [self._entry(inner, one, (*path, index)) for index, one in enumerate(value)]
        return {key: self._entry(inner, one, (*path, key)) for key, one in (value or {}).items()}

    def _entry(self, form: str, value: Any, path: TreePath) -> Any:
        if form.startswith("@"):
            return None if value is None and form.endswith("?") else self.shape(form.strip("@?"), value or {}, path)
        return self._value(form, value, path)

    def _ulimit(self, value: Any, path: TreePath) -> Any:
        if not isinstance(value, Mapping):
            number = forms.formed("int", value, path)
            if number:
                return number
            value = {}
        pair = {key: forms.formed("int", value.get(key), path) for key in ("soft", "hard")}
        return Ordered((key, one) for key, one in pair.items() if one or not self._json)


def _json(value: Any, indent: str) -> str:
    """JSON as Go's MarshalIndent writes it. Maps are sorted, mappings with fixed keys are not."""
    inner = indent + "  "
    if isinstance(value, dict):
        if not value:
            return "{}"
        keys = value if isinstance(value, Ordered) else sorted(value)
        items = [f"{inner}{jsonvalues.text(key)}: {_json(value[key], inner)}" for key in keys]
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    if isinstance(value, list):
        return "[\n" + ",\n".join(inner + _json(one, inner) for one in value) + f"\n{indent}]" if value else "[]"
    if isinstance(value, str):
        return jsonvalues.text(value)
    if isinstance(value, float):
        return gotext.json_number(value, single=isinstance(value, Single))
    return "null" if value is None else gotext.number(value)
