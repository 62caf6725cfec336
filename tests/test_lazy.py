"""The names of a room: type checkers and Python find the same ones, and an unknown name is an AttributeError."""

import ast
import importlib
from pathlib import Path

import pytest

import polyarch

_ROOMS = sorted(
    path.parent.name
    for path in Path(polyarch.__file__).parent.glob("*/__init__.py")
    if "lazy.exports(" in path.read_text()
)


@pytest.mark.parametrize("room", _ROOMS)
def test_a_room_has_the_names_that_type_checkers_see(room: str) -> None:
    module = importlib.import_module(f"polyarch.{room}")
    tree = ast.parse(Path(str(module.__file__)).read_text())
    imports = [node for block in tree.body if isinstance(block, ast.If) for node in ast.walk(block)]
    seen = [alias.name for node in imports if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert module.__all__ == sorted(seen)
    assert all(getattr(module, name) is not None for name in seen)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'polyarch\.store' has no attribute 'Shop'"):
        importlib.import_module("polyarch.store").Shop  # noqa: B018
    with pytest.raises(ImportError, match="Shop"):
        from polyarch.store import Shop  # type: ignore[attr-defined]  # noqa: F401


def test_the_rooms_with_such_names_are_found() -> None:
    assert {"builder", "dockerfile", "registry", "sandbox", "store"} <= set(_ROOMS)
