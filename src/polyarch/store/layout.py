"""The store on disk. This docstring is its specification.

The tree, all of it on one filesystem and the owner's alone (0700):

    oci/                    an OCI image layout (image-spec, image-layout.md), readable by any tool that knows one
      oci-layout
      index.json            a tag is an entry
      blobs/sha256/HEX      manifests, configs, layers
    snapshots/KEY/fs/       unpacked layers; ":" in a key is written "+", because overlay options end at a colon
    snapshots/KEY/boot      in which boot of this machine it was made
    snapshots/KEY/synced    exists once a later command has synced it
    snapshots/KEY/size      the bytes that fs/ takes on disk
    snapshots/KEY/about     a short description for people; optional
    caches/NAME/files/      what `RUN --mount=type=cache` keeps; NAME is a hash of the mount's id
    caches/NAME/lock        locked with flock by each user of the files, and by the process that removes them
    caches/NAME/id          the mount's id, for people
    caches/NAME/size        the bytes that files/ took on disk when the file was written
    volumes/NAME/files/     a volume of `run`; NAME is its own
    volumes/NAME/lock       locked with flock, shared, by each run that uses the files
    volumes/NAME/volume.json    its labels and the time when it was made
    containers/ID.json      a container that `create` made, or one with a name that runs: its run holds the file locked
    emulators/HEX           a copy of an emulator, faster and without its variables (sandbox/emulators.py)
    emulators/known.json    which emulator of this machine has which copy; emulators/lock is held while one is added
    contexts/DEV-INO        marks a large build context, by its directory's device and inode (builder/contexts/ahead.py)
    cache.db, -wal, -shm    results of earlier commands (sqlite; tables.py lists the kinds of rows)
    tmp/NAME/               unfinished content: a directory that its owner keeps locked with flock
    locks/store, index, snapshots, cache
    locks/lists-0 … lists-f held while a multi-platform index is edited (indexes/lists.py)
    locks/leases/NAME       what a running process needs, one line each; its owner keeps the file locked with flock

Names. An entry's `org.opencontainers.image.ref.name` is the whole reference, `docker.io/library/x:1`, and so is its
`io.containerd.image.name`. Tried with skopeo 1.9: `skopeo inspect oci:ROOT/oci:docker.io/library/x:1` finds it,
ports included, because only the first colon separates. An entry without a name is an image that has lost its tag or
never had one: it is kept until it is explicitly removed. With `org.polyarch.serve.repository`, it is one that
repositories of `polyarch serve` keep (published.py). Fields and entries of other programs survive every edit.

Writing. A blob is written below tmp/, hashed while it is written, synced, then renamed. After kill -9 and after a power
cut it is either complete and correct or absent. The rename is made durable (fsync of blobs/) before an index.json that
may name the blob. index.json is written to a new file, synced, and renamed over the old one. snapshots/ and cache.db
are not synced: a snapshot is ignored after a reboot, unless a later command has synced it. A cache mount is filled
below tmp/ and renamed, then RUN steps write to it; none of it is synced.

Locks, always taken in this order:
    store   shared while something is found or put in its place and added to the lease; exclusive while garbage is
            chosen. No process holds it while it works, so a collection can run during builds. (Exception: a process
            that finds the disk too full for a line of its lease holds the lock, shared, until it ends. A server fails
            the request instead.)
    index   exclusive while index.json is read, changed and replaced. Readers need no lock.
    snapshots, cache    exclusive while a snapshot of another boot, or a broken cache.db, is removed.
    caches/NAME/lock        for the length of a RUN, as its `sharing` says; a process waits for it without other locks
All are flock(2): the kernel releases them when their process dies. A program that does not know them (skopeo
writing into oci/) is safe as long as no collection runs between its blobs and its index.json.

What a reader must expect. A tag can move while it is read. A blob that was seen can be gone, if it was not leased; a
blob that was opened stays readable. Every method of `Store` that finds a blob, manifest or snapshot leases it until the
store is closed, and a lease on a manifest covers all that it names. A manifest may be here without the layers that it
names: they are fetched when they are needed (`Store.missing` lists them).

The limit of the cache. What no image needs (snapshots, cache mounts, other blobs, cache.db) takes no more than a limit.
A store that has added something checks this when it is closed and its own lease is gone (`growth.py`): cache.db has an
estimate, and only when that passes the limit is everything summed up and the least recently used removed (`gc.py`).

While no process uses the store, everything but oci/ and volumes/ can be deleted at no cost but time. Files in
snapshots/, caches/ and volumes/ may belong to other ids of a user namespace, and only a process inside it can remove
them. Unlocked entries of tmp/ and locks/leases/ are garbage; `Store.open` and `gc` remove them. Those that belong to
other ids of a user namespace are renamed NAME.stuck, and removed by the next command that has entered one.

Trace points, where a test may act (`Store.open(trace=…)`): blob:before-rename, blob:after-rename,
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
        """Unfinished content."""
        return f"{self.root}/tmp"

    @property
    def caches(self) -> str:
        """The cache mounts; absent until there is one."""
        return f"{self.root}/caches"

    @property
    def volumes(self) -> str:
        """The volumes; absent until there is one."""
        return f"{self.root}/volumes"

    @property
    def containers(self) -> str:
        """What is known of containers; absent until there is one."""
        return f"{self.root}/containers"

    @property
    def emulators(self) -> str:
        """The copies of emulators; absent until there is one."""
        return f"{self.root}/emulators"

    @property
    def contexts(self) -> str:
        """The marks of large build contexts; absent until there is one."""
        return f"{self.root}/contexts"

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
        """The file of a blob. Raises CorruptError for text that is not a digest, which could name any file."""
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
