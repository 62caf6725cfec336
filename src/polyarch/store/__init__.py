"""This machine as a place for images: an OCI image layout, unpacked snapshots, a disposable cache.

`layout.py` specifies what is on disk. Names are loaded when they are first used.
"""

from typing import TYPE_CHECKING

from polyarch import lazy

if TYPE_CHECKING:
    from polyarch.store.blobs import BlobWriter as BlobWriter
    from polyarch.store.cache import Cache as Cache
    from polyarch.store.caches import Caches as Caches
    from polyarch.store.gc import Garbage as Garbage
    from polyarch.store.gc import Keep as Keep
    from polyarch.store.gc import Reclaimed as Reclaimed
    from polyarch.store.gc import Usage as Usage
    from polyarch.store.layout import StoreLayout as StoreLayout
    from polyarch.store.leases import Lease as Lease
    from polyarch.store.maintenance import Maintenance as Maintenance
    from polyarch.store.snapshots import Preparation as Preparation
    from polyarch.store.snapshots import Snapshots as Snapshots
    from polyarch.store.store import Store as Store
    from polyarch.store.temporary import TemporaryDirectory as TemporaryDirectory
    from polyarch.store.trees import remove_tree as remove_tree
    from polyarch.store.trees import tree_size as tree_size
    from polyarch.store.verify import StoreProblem as StoreProblem
    from polyarch.store.verify import StoreVerifier as StoreVerifier
else:
    __getattr__, __all__ = lazy.exports(
        __name__,
        {
            "blobs": "BlobWriter",
            "cache": "Cache",
            "caches": "Caches",
            "gc": "Garbage Keep Reclaimed Usage",
            "layout": "StoreLayout",
            "leases": "Lease",
            "maintenance": "Maintenance",
            "snapshots": "Preparation Snapshots",
            "store": "Store",
            "temporary": "TemporaryDirectory",
            "trees": "remove_tree tree_size",
            "verify": "StoreProblem StoreVerifier",
        },
    )
