"""Names of a package that are imported on first use (PEP 562), so that importing the package costs next to nothing."""

import sys

# Type checkers take it for typing.TYPE_CHECKING, which would cost every import of Polyarch an import of typing.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def exports(package: str, homes: "Mapping[str, str]") -> "tuple[Callable[[str], object], list[str]]":
    """Return the `__getattr__` and the `__all__` of `package`.

    `homes` maps each module below the package to the names that it defines, separated by spaces. Type checkers read
    the imports under TYPE_CHECKING instead.
    """
    modules = {name: module for module, names in homes.items() for name in names.split()}

    def load(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        import importlib

        value: object = getattr(importlib.import_module(f"{package}.{modules[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return load, sorted(modules)
