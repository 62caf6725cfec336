"""The store on disk. This docstring is its specification.

The tree, all of it on one filesystem and the owner's alone (0700):

    oci/                    an OCI image layout (image-spec, image-layout.md), readable by any tool that knows one
      oci-layout
      index.json            a tag is an entry
      blobs/sha256/HEX      manifests, configs, layers
    snapshots/KEY/fs/       unpacked layers; ":" in a key is written "+", because overlay options end at a colon
    snapshots/KEY/boot      in which boot of this machine it was made
    snapshots/KEY/synced    there once a later command has synced it
    snapshots/KEY/size      the bytes that fs/ takes on disk
    snapshots/KEY/about     what it is, in a few words for people; absent where nobody said so
    caches/NAME/files/      what `RUN --mount=type=cache` keeps; NAME is made of the mount's id
    caches/NAME/lock        flocked by who uses the files, and by who throws them away
    caches/NAME/id          the mount's id, for people
    caches/NAME/size        the bytes that files/ took on disk when the file was written
    emulators/HEX           a copy of the emulator of this digest, without its variables (sandbox/emulators.py)
    emulators/known.json    which emulator of this machine has which digest; emulators/lock: flocked by who adds one
    cache.db, -wal, -shm    what was worked out before (sqlite)
    tmp/NAME/               what is being written: a directory that its owner holds flocked
    locks/store, index, snapshots, cache
    locks/lists-0 … lists-f who edits a multi-platform index (indexes/lists.py)
    locks/leases/NAME       what a living process needs, a line each; its owner holds it flocked

Names. An entry's `org.opencontainers.image.ref.name` is the whole reference, `docker.io/library/x:1`, and so is its
`io.containerd.image.name`. Tried with skopeo 1.9: `skopeo inspect oci:ROOT/oci:docker.io/library/x:1` finds it,
ports included, because only the first colon separates. An entry without a name is an image that has lost, or never
had, a tag: it is kept until somebody forgets it. Fields and entries of other programs live on through an edit.

Writing. A blob is written below tmp/, hashed on the way, its content synced, then renamed. It is whole and right
or absent, after kill -9 and after a power cut. A rename is made durable (fsync of blobs/) before an index.json that may
name it is. index.json is written beside, synced, and renamed over the old one. snapshots/ and cache.db are
not synced: a snapshot counts for nothing in another boot than its own, unless a later command has synced it.
A cache mount is filled below tmp/ and renamed, then written by whatever runs; nothing of it is synced.

Locks, taken in this order and never the other way round:
    store   shared for the moment in which something is found or put in its place, and written to the lease;
            exclusive while garbage is picked. Nobody holds it across work, so a collection runs beside builds. (Only
            who finds the disk too full for a line of a lease holds it, shared, until the end.)
    index   exclusive while index.json is read, changed and replaced. Readers need no lock.
    snapshots, cache    exclusive while a snapshot of another boot, or a broken cache.db, is thrown away.
    caches/NAME/lock        for the length of a RUN, as its `sharing` says; who waits for it holds none of the others
All are flock(2): the kernel lets go of them when their process dies. A program that does not know them (skopeo
writing into oci/) is safe as long as no collection runs between its blobs and its index.json.

What a reader may meet. A tag that moves under it; a blob that it saw and that is gone, if nothing leased it: what it
opened stays readable. Every method of `Store` that finds a blob, manifest or snapshot leases it until the store is
closed, and a lease on a manifest holds all that it names. A manifest may be here while layers that it names are not:
they are fetched when they are needed (`Store.missing` tells which).

The limit of the cache. What no image needs (snapshots, cache mounts, other blobs, cache.db) takes no more than a limit.
A store that has added something checks this when it is closed and its own lease is gone (`growth.py`): cache.db has an
estimate, and only when that passes the limit is everything summed up and the longest unused removed (`gc.py`).

What may be deleted, at the cost of time only, while no process works on the store: everything but oci/. Files in
snapshots/ and caches/ may belong to other ids of a user namespace, which only a process inside it can remove.
What nobody holds in tmp/ and locks/leases/ is garbage; `Store.open` and `gc` remove it. What there belongs to
other ids of a user namespace is renamed NAME.stuck, and removed by the next command that has entered such a one.

Trace points, where a test may step in between (`Store.open(trace=…)`): blob:before-rename, blob:after-rename,
tag:before-replace, tag:after-replace, snapshot:before-rename, snapshot:after-rename, gc:marked, gc:removed.
"""

import os

import msgspec

from polyarch.oci import digest as digests
from polyarch.oci.digest import Digest


class StoreLayout(msgspec.Struct, frozen=True):
    """Where each thing is below `root`, an absolute path."""

    root: str

    @property
    def oci(self) -> str:
        """The OCI image layout."""
        return f"{self.root}/oci"

    @property
    def marker(self) -> str:
        """The file that says that `oci` is a layout."""
        return f"{self.root}/oci/oci-layout"

    @property
    def index(self) -> str:
        """The tags."""
        return f"{self.root}/oci/index.json"

    @property
    def blobs(self) -> str:
        """A directory for each algorithm."""
        return f"{self.root}/oci/blobs"

    @property
    def snapshots(self) -> str:
        """The unpacked layers."""
        return f"{self.root}/snapshots"

    @property
    def temporary(self) -> str:
        """What is being written."""
        return f"{self.root}/tmp"

    @property
    def caches(self) -> str:
        """The cache mounts; absent until there is one."""
        return f"{self.root}/caches"

    @property
    def emulators(self) -> str:
        """The copies of emulators; absent until there is one."""
        return f"{self.root}/emulators"

    @property
    def cache(self) -> str:
        """The sqlite file."""
        return f"{self.root}/cache.db"

    @property
    def leases(self) -> str:
        """A file for each process that needs something."""
        return f"{self.root}/locks/leases"

    def lock(self, name: str) -> str:
        """The lock file of this name."""
        return f"{self.root}/locks/{name}"

    def blob(self, digest: Digest) -> str:
        """The file of a blob. Raises CorruptError for what is no digest, and so no file name either."""
        algorithm, _, encoded = digests.parse(digest).partition(":")
        return f"{self.root}/oci/blobs/{algorithm}/{encoded}"

    def directories(self) -> tuple[str, ...]:
        """All directories, parents first."""
        return (
            self.root,
            self.oci,
            self.blobs,
            f"{self.blobs}/sha256",
            self.snapshots,
            self.temporary,
            os.path.dirname(self.leases),
            self.leases,
        )
