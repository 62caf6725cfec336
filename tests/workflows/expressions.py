"""`${{ … }}` in a workflow: paths (`steps.meta.outputs.tags`, `a['b']`, `a[0]`), text in quotes, and fromJSON."""

import json
import re
from collections.abc import Mapping
from typing import Any

_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_TOKEN = re.compile(r"\s*(?:(?P<name>[A-Za-z_][\w-]*)|'(?P<text>(?:[^']|'')*)'|(?P<number>\d+)|(?P<mark>[.()\[\]]))\s*")


def substitute(value: Any, contexts: Mapping[str, Any]) -> Any:
    """A value of a workflow with each expression in its text replaced. A text that is one expression keeps its type."""
    if isinstance(value, str):
        whole = _EXPRESSION.fullmatch(value.strip())
        if whole is not None:
            return evaluate(whole[1], contexts)
        return _EXPRESSION.sub(lambda found: _text(evaluate(found[1], contexts)), value)
    if isinstance(value, list):
        return [substitute(one, contexts) for one in value]
    if isinstance(value, dict):
        return {name: substitute(one, contexts) for name, one in value.items()}
    return value


def evaluate(expression: str, contexts: Mapping[str, Any]) -> Any:
    """The value of an expression. What a context does not have is the empty text, as GitHub has it."""
    reader = _Reader(expression)
    value = reader.value(contexts)
    assert reader.at_end(), f"cannot read the expression {expression!r}"
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


class _Reader:
    """The tokens of an expression, and how far they are read."""

    def __init__(self, expression: str) -> None:
        self._tokens: list[re.Match[str]] = []
        at = 0
        while at < len(expression):
            found = _TOKEN.match(expression, at)
            assert found is not None, f"cannot read the expression {expression!r}"
            self._tokens.append(found)
            at = found.end()

    def at_end(self) -> bool:
        return not self._tokens

    def value(self, contexts: Mapping[str, Any]) -> Any:
        token = self._tokens.pop(0)
        if token["text"] is not None:
            return token["text"].replace("''", "'")
        if token["number"] is not None:
            return int(token["number"])
        name = token["name"]
        assert name is not None, "an expression begins with a name"
        if name == "fromJSON":
            self._expect("(")
            value = json.loads(self.value(contexts))
            self._expect(")")
        else:
            assert name in contexts, f"there is no context {name}"
            value = contexts[name]
        while self._tokens and self._tokens[0]["mark"] in (".", "["):
            value = _member(value, self._key(contexts))
        return value

    def _key(self, contexts: Mapping[str, Any]) -> Any:
        if self._tokens.pop(0)["mark"] == ".":
            return self._tokens.pop(0)["name"]
        key = self.value(contexts)
        self._expect("]")
        return key

    def _expect(self, mark: str) -> None:
        assert self._tokens, f"an expression ends before {mark}"
        assert self._tokens.pop(0)["mark"] == mark, f"an expression lacks {mark}"


def _member(value: Any, key: Any) -> Any:
    if isinstance(value, list) and isinstance(key, int):
        return value[key]
    return value.get(key, "") if isinstance(value, Mapping) else ""
