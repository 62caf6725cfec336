"""A registry as a place: its repositories are read and written through the Protocols of `oci/place.py`.

Names are imported on demand, so importing the room loads nothing. TLS is loaded by the first request that needs it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polyarch.registry.client import Registry, Repository
    from polyarch.registry.credentials import Credential, Credentials
    from polyarch.registry.hosts import Hosts
    from polyarch.registry.proxies import Proxies
    from polyarch.registry.uploads import Upload

__all__ = ["Credential", "Credentials", "Hosts", "Proxies", "Registry", "Repository", "Upload"]

_HOMES = {
    "Credential": "credentials",
    "Credentials": "credentials",
    "Hosts": "hosts",
    "Proxies": "proxies",
    "Registry": "client",
    "Repository": "client",
    "Upload": "uploads",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
