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
    shown = _Printer(json=True).shape("project", project, ())
    # The top level is a map, which Go sorts, and always has a name.
    return _json(Ordered(sorted({"name": "", **shown}.items())), "").replace("$", "$$")


def model_yaml(model: Mapping[str, Any]) -> str:
    """A project whose variables are not replaced, as YAML: values stay as they are written, and keys are sorted."""
    return text_of(model)


def model_json(model: Mapping[str, Any]) -> str:
    """The same as JSON."""
    return _json(model, "")


def service_json(name: str, service: Mapping[str, Any]) -> str:
    """One service as JSON in one line, without the doubled $."""
    return _json(_Printer(json=True).shape("service", service, ("services", name)), None)


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
        return found

    def _value(self, form: str, value: Any, path: TreePath) -> Any:
        always, kept = form.endswith("!"), form.endswith("?")
        form = form.rstrip("!?")
        if form == "ulimit":
            return self._ulimit(value, path)
        if form == "env_file":
            return self._env_file(value, path)
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

    def _env_file(self, value: Mapping[str, Any], path: TreePath) -> Any:
        """The path of a file that must exist, else a mapping, of which YAML has no format."""
        if forms.formed("flag", value.get("required", True), path):
            return value.get("path")
        kept = ("path", "required", *(["format"] if self._json else []))
        return Ordered((key, value[key]) for key in kept if key in value)


def _json(value: Any, indent: str | None) -> str:
    """JSON as Go's MarshalIndent writes it, or with an indent of None, Marshal. Maps are sorted, mappings with fixed
    keys are not.
    """
    inner, colon = (None, ":") if indent is None else (indent + "  ", ": ")
    if isinstance(value, dict):
        keys = value if isinstance(value, Ordered) else sorted(value)
        return _items("{}", [f"{jsonvalues.text(key)}{colon}{_json(value[key], inner)}" for key in keys], indent)
    if isinstance(value, list):
        return _items("[]", [_json(one, inner) for one in value], indent)
    if isinstance(value, str):
        return jsonvalues.text(value)
    if isinstance(value, float):
        return gotext.json_number(value, single=isinstance(value, Single))
    return "null" if value is None else gotext.number(value)


def _items(brackets: str, items: list[str], indent: str | None) -> str:
    if not items or indent is None:
        return brackets[0] + ",".join(items) + brackets[1]
    return f"{brackets[0]}\n{indent}  " + f",\n{indent}  ".join(items) + f"\n{indent}{brackets[1]}"
