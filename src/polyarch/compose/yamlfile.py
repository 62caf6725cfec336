"""YAML documents as dicts, lists and scalars, with the place of each. Uses PyYAML up to its nodes; the values of
scalars, merge keys and tags are compose's own (`scalars.py`).

What go-yaml or docker compose refuses is refused: a key that appears twice, keys that are not text, an alias that
contains itself. Aliases are copied, and the number of values is bounded.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from polyarch.bake.hcl.source import Span
from polyarch.compose import scalars
from polyarch.compose.places import ComposeError, PlacedFile, TreePath, shown
from polyarch.errors import UnsupportedError

_MOST_VALUES = 100_000
_RESET, _OVERRIDE = "!reset", "!override"
_SURROGATE = re.compile("[\ud800-\udfff]")
_STRUCTURES = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq", _OVERRIDE)


class YamlDocument(msgspec.Struct, frozen=True):
    """One document. `resets` are the paths that `!reset` and `!override` remove from earlier files."""

    value: Any
    resets: tuple[TreePath, ...] = ()


def documents(file: PlacedFile) -> Iterator[YamlDocument]:
    """The documents of a file. Raises ComposeError, and UnsupportedError without PyYAML."""
    try:
        import yaml
    except ImportError:
        raise UnsupportedError(
            "compose files need PyYAML, which is not installed", "install it with: pip install 'polyarch[compose]'"
        ) from None

    try:
        # Every plain scalar is text for a BaseLoader.
        loader = yaml.BaseLoader(file.source.text.removeprefix("\ufeff"))
        while loader.check_node():
            yield _YamlReader(file).read(loader.get_node())
    except yaml.reader.ReaderError as error:
        raise ComposeError(f"{file.source.name}: a character that YAML does not allow: {error.reason}") from None
    except yaml.MarkedYAMLError as error:
        raise _placed(file, error) from None
    except RecursionError:
        raise ComposeError(f"{file.source.name}: the values are nested too deeply") from None


def _placed(file: PlacedFile, error: Any) -> ComposeError:
    """PyYAML's error, with the place in our form."""
    mark = error.problem_mark or error.context_mark
    problem = error.problem or error.context or "this is not YAML"
    hint = None
    if mark is not None:
        at = min(mark.index, len(file.source.text))
        if file.source.text[at : at + 1] == "\t":
            problem, hint = "a tab cannot begin a token or indent a line", "indent with spaces"
        elif "mapping values are not allowed" in problem:
            hint = "a text that contains ': ' needs quotes, and a nested key its own line"
        return ComposeError(f"invalid YAML: {problem}", hint, at=Span(file.source, at, at + 1))
    return ComposeError(f"{file.source.name}: invalid YAML: {problem}")


class _YamlReader:
    """Reads the nodes of one document."""

    def __init__(self, file: PlacedFile) -> None:
        self._file = file
        self._resets: list[TreePath] = []
        self._left = _MOST_VALUES
        self._open: set[int] = set()

    def read(self, node: Any) -> YamlDocument:
        found = self._value(node, ())
        return YamlDocument(found, tuple(self._resets))

    def _at(self, node: Any) -> Span:
        return Span(self._file.source, node.start_mark.index, max(node.start_mark.index + 1, node.end_mark.index))

    def _value(self, node: Any, path: TreePath) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ComposeError(
                f"{self._file.source.name}: the aliases of the file expand to more than {_MOST_VALUES} values",
                "write less with anchors and aliases",
            )
        if node.tag == _OVERRIDE:
            self._resets.append(path)
        if node.id == "scalar":
            return self._scalar(node, path)
        if node.tag not in _STRUCTURES:
            raise ComposeError(f"{shown(path)}: the tag {node.tag} is unknown", at=self._at(node))
        if id(node) in self._open:
            raise ComposeError(f"{shown(path)}: this alias contains itself", at=self._at(node))
        self._open.add(id(node))
        found = self._mapping(node, path) if node.id == "mapping" else self._sequence(node, path)
        self._open.discard(id(node))
        return found

    def _scalar(self, node: Any, path: TreePath) -> object:
        tag: str = node.tag
        if _SURROGATE.search(node.value):
            raise ComposeError(f"{shown(path)}: half of a character", "write it as \\U0001F600", at=self._at(node))
        try:
            if tag in (_OVERRIDE, "tag:yaml.org,2002:str"):
                return scalars.value(node.value) if node.style is None and not _is_explicit(node) else node.value
            if tag == "tag:yaml.org,2002:binary":
                return base64.b64decode(node.value).decode()
            return scalars.tagged(tag, node.value)
        except ValueError as error:
            raise ComposeError(f"{shown(path)}: {error}", at=self._at(node)) from None

    def _sequence(self, node: Any, path: TreePath) -> list[Any]:
        found = []
        for number, entry in enumerate(node.value):
            here = (*path, number)
            if self._is_reset(entry, here):
                continue
            self._file.mark(here, entry.start_mark.index, _end(entry))
            found.append(self._value(entry, here))
        return found

    def _mapping(self, node: Any, path: TreePath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merges: list[Any] = []
        seen: dict[str, Any] = {}
        for key, entry in node.value:
            name = self._key(key, path)
            if name in seen:
                line = seen[name].start_mark.line + 1
                raise ComposeError(
                    f"the key {name!r} is already on line {line}", "remove one of them", at=self._at(key)
                )
            seen[name] = key
            if name == "<<" and key.style is None:
                merges.append(entry)
                continue
            here = (*path, name)
            if self._is_reset(entry, here):
                continue
            self._file.mark(here, key.start_mark.index, key.end_mark.index)
            found[name] = self._value(entry, here)
        for entry in merges:
            self._merge(found, entry, path)
        return found

    def _key(self, key: Any, path: TreePath) -> str:
        name = self._value(key, path) if key.id == "scalar" else None
        if not isinstance(name, str):
            where = f" in {shown(path)}" if path else ""
            raise ComposeError(f"a key{where} is not text", "put it in quotes", at=self._at(key))
        return name

    def _merge(self, found: dict[str, Any], node: Any, path: TreePath) -> None:
        """Add the keys of `<<`, which replace none. Of several mappings the first wins."""
        entries = node.value if node.id == "sequence" else [node]
        for entry in entries:
            more = self._value(entry, path)
            if not isinstance(more, Mapping):
                raise ComposeError("<< needs a mapping, or a list of mappings", at=self._at(node))
            for name, value in more.items():
                found.setdefault(name, value)

    def _is_reset(self, node: Any, path: TreePath) -> bool:
        if node.tag == _RESET:
            self._resets.append(path)
        return bool(node.tag == _RESET)


def _is_explicit(node: Any) -> bool:
    """Whether a plain scalar has the tag !!str."""
    text = node.start_mark.buffer
    return text is not None and text.startswith("!", node.start_mark.pointer)


def _end(node: Any) -> int:
    """The end of the first line of a node, for a mark below it."""
    start, end = node.start_mark, node.end_mark
    return int(end.index) if start.line == end.line else int(start.index) + 1
