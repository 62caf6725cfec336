"""One process in one root filesystem: namespaces, emulation, overlay, mounts, an OCI runtime.

The order of a command that runs something: `enter()` while no thread is alive, then one `Sandbox`, then for each
process `Sandbox.rootfs` and `Sandbox.run`, from as many threads as one likes.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polyarch.sandbox.account import Account, resolve_user
    from polyarch.sandbox.container import Sandbox
    from polyarch.sandbox.emulation import Support, find_emulator, host_platforms, support
    from polyarch.sandbox.host import host_platform
    from polyarch.sandbox.mounts import Bind, File, Mount, Tmpfs
    from polyarch.sandbox.namespaces import Entered, enter, entered
    from polyarch.sandbox.process import Process
    from polyarch.sandbox.settings import RunSettings
    from polyarch.sandbox.starting import StartError

__all__ = [
    "Account",
    "Bind",
    "Entered",
    "File",
    "Mount",
    "Process",
    "RunSettings",
    "Sandbox",
    "StartError",
    "Support",
    "Tmpfs",
    "enter",
    "entered",
    "find_emulator",
    "host_platform",
    "host_platforms",
    "resolve_user",
    "support",
]

_HOMES = {
    "Account": "account",
    "Bind": "mounts",
    "Entered": "namespaces",
    "File": "mounts",
    "Mount": "mounts",
    "Process": "process",
    "RunSettings": "settings",
    "Sandbox": "container",
    "StartError": "starting",
    "Support": "emulation",
    "Tmpfs": "mounts",
    "enter": "namespaces",
    "entered": "namespaces",
    "find_emulator": "emulation",
    "host_platform": "host",
    "host_platforms": "emulation",
    "resolve_user": "account",
    "support": "emulation",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
