"""Modules that others import at their top and most commands never use: each is loaded when one of its names is used.

Python will have this as `lazy import` (PEP 810). Here it is for modules that libraries import, a tenth of a cached
build, and for a few of our own, and only in the command line: a program that imports Polyarch keeps the imports that it
has. No other module may use a name of them while it is loaded: it could wait for a thread that waits for it.
"""

import _thread
import os
import sys
from types import ModuleType

# Type checkers take it for typing.TYPE_CHECKING, which would cost every command an import of typing.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from typing import Any


def _system() -> str:
    return os.uname().sysname


def _cleandoc(text: str) -> str:
    if "\n" in text:
        module = sys.modules["inspect"]
        assert isinstance(module, _DeferredModule)
        _load(module)
        return str(module.cleandoc(text))
    return text.expandtabs().lstrip()


def _gettext(message: str) -> str:
    return message


def _ngettext(one: str, many: str, number: int) -> str:
    return one if number == 1 else many


# The names that each start uses work without loading the module. `uuid` asks for the system, and click cleans the help
# of each option of a command; click's messages have no translations, for which it would look in four places.
_EARLY: "dict[str, dict[str, Callable[..., str]]]" = {
    "gettext": {"gettext": _gettext, "ngettext": _ngettext},
    "inspect": {"cleandoc": _cleandoc},
    "ipaddress": {},
    "msgspec.inspect": {},
    "msgspec.toml": {},
    "msgspec.yaml": {},
    "platform": {"system": _system},
    "polyarch.contents.inventory.executables": {},
    "polyarch.contents.inventory.rpm_databases": {},
    "polyarch.contents.inventory.scattered": {},
    "polyarch.registry.blobs": {},
    "polyarch.registry.download": {},
    "polyarch.registry.elsewhere": {},
    "polyarch.registry.login": {},
    "polyarch.registry.tags": {},
    "selectors": {},
    "textwrap": {},
}

_lock = _thread.RLock()
# In the child of a fork, the thread that loads a module is gone.
os.register_at_fork(after_in_child=_lock._at_fork_reinit)  # type: ignore[attr-defined]
# The specifications of those that were imported and not loaded.
_waiting: "dict[str, ModuleSpec]" = {}


def import_msgspec() -> None:
    """Import msgspec without two modules.

    It prefers typing_extensions to `typing`, where that is installed, which has the same names of Python 3.11 and took
    5 ms with all that it imports. Of `decimal`, 0.8 ms, it wants to know the class, to encode and decode values of it;
    it is given another one, because there are no such values here.
    """
    unused = ModuleType("decimal")
    unused.Decimal = type("Decimal", (), {})  # type: ignore[attr-defined]
    instead: dict[str, ModuleType | None] = {"typing_extensions": None, "decimal": unused}
    instead = {name: module for name, module in instead.items() if name not in sys.modules}
    sys.modules.update(instead)  # type: ignore[arg-type]
    try:
        import msgspec  # noqa: F401
    finally:
        for name in instead:
            del sys.modules[name]


class _DeferredModule(ModuleType):
    """A module that is loaded when a name is missing. It is an ordinary one afterwards."""

    def __getattr__(self, name: str) -> "Any":
        # Each `from module import name` asks for it. None of these is a package.
        if name != "__path__":
            _load(self)
        return ModuleType.__getattribute__(self, name)


def _load(module: _DeferredModule) -> None:
    name = module.__name__
    # Another thread waits until the module is whole. This one may come by again while it loads it.
    with _lock:
        spec = _waiting.pop(name, None)
        if spec is None:
            return
        assert spec.loader is not None
        try:
            spec.loader.exec_module(module)
        except BaseException:
            _waiting[name] = spec
            raise
        object.__setattr__(module, "__class__", ModuleType)


class _DeferringLoader:
    """Leaves a module empty, besides its early names."""

    def __init__(self, spec: "ModuleSpec") -> None:
        self._spec = spec

    def create_module(self, spec: "ModuleSpec") -> ModuleType:
        """Implements `importlib.abc.Loader`."""
        return _DeferredModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Implements `importlib.abc.Loader`."""
        name = self._spec.name
        _waiting[name] = self._spec
        module.__dict__.update(_EARLY[name])
        # Those who look at the loader want that of the code: precompiled.py, and tracebacks.
        assert module.__spec__ is not None
        module.__loader__ = module.__spec__.loader = self._spec.loader


class Deferred:
    """Finds these modules (a `sys.meta_path` finder), and lets the finders behind it say where they are."""

    def install(self) -> None:
        """Serve the imports of this process from now on. Modules that are imported already stay as they are."""
        sys.meta_path.insert(0, self)

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: ModuleType | None = None
    ) -> "ModuleSpec | None":
        """Implements `importlib.abc.MetaPathFinder`."""
        if name not in _EARLY:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                found = type(spec)(name, _DeferringLoader(spec), origin=spec.origin)  # type: ignore[arg-type]
                found.has_location = spec.has_location
                return found
        return None
