"""Polyarch: one container image for many platforms, as a library.

    from polyarch import Platform, Reference, Store, build

The names are loaded when they are first used: `import polyarch` costs next to nothing, and a program pays for what
it calls.
"""

from polyarch.version import VERSION

__version__ = VERSION

# Written out, because `typing` would cost every start 10 ms; type checkers take any such name for true.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from polyarch.api import build
    from polyarch.errors import PolyarchError
    from polyarch.oci.platform import Platform
    from polyarch.oci.reference import Reference
    from polyarch.registry import Registry
    from polyarch.store import Store

_NAMES = {
    "Platform": "polyarch.oci.platform",
    "PolyarchError": "polyarch.errors",
    "Reference": "polyarch.oci.reference",
    "Registry": "polyarch.registry",
    "Store": "polyarch.store",
    "build": "polyarch.api",
}

__all__ = ["Platform", "PolyarchError", "Reference", "Registry", "Store", "__version__", "build"]


def __getattr__(name: str) -> object:
    if name not in _NAMES:
        raise AttributeError(f"module 'polyarch' has no attribute {name!r}")
    import importlib

    value: object = getattr(importlib.import_module(_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
