"""This machine as a place for images: an OCI image layout, unpacked snapshots, a disposable cache.

`layout.py` specifies what is on disk. Names are loaded when they are first used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyarch.store.blobs import BlobWriter
    from polyarch.store.cache import Cache
    from polyarch.store.caches import Caches
    from polyarch.store.gc import Garbage, Keep, Reclaimed, Usage
    from polyarch.store.layout import StoreLayout
    from polyarch.store.leases import Lease
    from polyarch.store.maintenance import Maintenance
    from polyarch.store.snapshots import Preparation, Snapshots
    from polyarch.store.store import Store
    from polyarch.store.temporary import TemporaryDirectory
    from polyarch.store.trees import remove_tree, tree_size
    from polyarch.store.verify import StoreProblem, StoreVerifier

_HOMES = {
    "BlobWriter": "blobs",
    "Cache": "cache",
    "Caches": "caches",
    "Garbage": "gc",
    "Keep": "gc",
    "StoreLayout": "layout",
    "Maintenance": "maintenance",
    "Lease": "leases",
    "Preparation": "snapshots",
    "StoreProblem": "verify",
    "Reclaimed": "gc",
    "Snapshots": "snapshots",
    "Store": "store",
    "TemporaryDirectory": "temporary",
    "Usage": "gc",
    "StoreVerifier": "verify",
    "remove_tree": "trees",
    "tree_size": "trees",
}

__all__ = [
    "BlobWriter",
    "Cache",
    "Caches",
    "Garbage",
    "Keep",
    "Lease",
    "Maintenance",
    "Preparation",
    "Reclaimed",
    "Snapshots",
    "Store",
    "StoreLayout",
    "StoreProblem",
    "StoreVerifier",
    "TemporaryDirectory",
    "Usage",
    "remove_tree",
    "tree_size",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
