"""Unfinished uploads: bytes that arrive in one or several requests, hashed while they are written."""

import threading
import time
import uuid
from collections.abc import Callable, Sequence

from polyarch.distribution import errors as codes
from polyarch.oci import digest as digests
from polyarch.oci.digest import Digest
from polyarch.serve.errors import RequestError
from polyarch.serve.tally import is_here
from polyarch.store import Store
from polyarch.store.blobs import BlobWriter

ALGORITHMS = ("sha256", "sha512")
# Uploads at once. One has a descriptor as soon as something has arrived.
MOST_UPLOADS = 4096
# The part of them that one address of another machine may have.
_SHARE = 16
Admit = Callable[[int], None]


class BlobUpload:
    """One unfinished blob of a repository. A request that begins to send takes it over from an earlier one.

    After a connection is cut, the server may not know it for minutes; the client comes back and must not wait for that.
    It has no file before something has arrived.
    """

    def __init__(self, repository: str, store: Store, algorithm: str, clock: Callable[[], float]) -> None:
        self.id = str(uuid.uuid4())
        self.repository = repository
        # The address of the client, and what is asked before bytes are written: it raises RequestError.
        self.address = ""
        self.admit: Admit | None = None
        self.touched = clock()
        self._store = store
        self._algorithm = algorithm
        self._clock = clock
        self._file: BlobWriter | None = None
        self._turn = threading.Lock()
        self._request: object = None

    @property
    def size(self) -> int:
        """The bytes that have arrived."""
        return 0 if self._file is None else self._file.size

    def _writer(self) -> BlobWriter:
        if self._file is None:
            self._file = self._store.new_blob(self._algorithm)
        return self._file

    @property
    def headers(self) -> dict[str, str]:
        """Where the upload is and how much has arrived, for a response. `0-0` is nothing, as other registries do."""
        return {
            "Location": f"/v2/{self.repository}/blobs/uploads/{self.id}",
            "Docker-Upload-UUID": self.id,
            "Range": f"0-{max(self.size - 1, 0)}",
        }

    def begin(self, request: object, start: int | None) -> None:
        """Let `request` send bytes from position `start` on; None for the current end. Raises RequestError (416)."""
        with self._turn:
            if start is not None and start != self.size:
                raise RequestError(
                    codes.BLOB_UPLOAD_INVALID,
                    f"the next byte is that at {self.size}, not at {start}",
                    status=416,
                    headers=self.headers,
                )
            self._request = request
            self.touched = self._clock()

    def settle(self) -> None:
        """End what an earlier request sends: a client asks how much has arrived in order to continue from there."""
        with self._turn:
            self._request = None
            self.touched = self._clock()

    def append(self, request: object, parts: Sequence[bytes | memoryview]) -> None:
        """Write bytes of `request`. Raises RequestError if another request has taken the upload over."""
        with self._turn:
            if self._request is not request:
                raise RequestError(codes.BLOB_UPLOAD_INVALID, "another request continued the upload", status=409)
            if self.admit is not None:
                self.admit(sum(len(part) for part in parts))
            writer = self._writer()
            for part in parts:
                writer.write(part)
            self.touched = self._clock()

    def expect(self, algorithm: str) -> None:
        """Hash with this algorithm."""
        with self._turn:
            self._algorithm = algorithm
            if self._file is not None:
                self._file.use(algorithm)

    def commit(self, digest: Digest) -> int:
        """Keep the blob, and return its size. Raises RequestError if it has another digest; it is removed then."""
        with self._turn, self._writer() as writer:
            self._request = None
            writer.use(digests.algorithm(digest))
            if writer.digest != digest:
                raise RequestError(
                    codes.DIGEST_INVALID,
                    f"the {writer.size} bytes that arrived have the digest {writer.digest}, not {digest}",
                )
            writer.keep(digest)
            return writer.size

    def cancel(self) -> None:
        """Remove what has arrived. Safe to call twice."""
        with self._turn:
            self._request = None
            if self._file is not None:
                self._file.close()


class Uploads:
    """The unfinished uploads of a server. It owns their files until they are finished, or `close`.

    An upload that was left for `seconds` may be cleared. There are at most `most` of them. `admit`
    is asked before bytes are written: it raises RequestError.
    """

    def __init__(
        self,
        store: Store,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        most: int = MOST_UPLOADS,
        admit: Admit | None = None,
    ) -> None:
        self._store = store
        self._admit = admit
        self._seconds = seconds
        self._most = most
        self._clock = clock
        self._mutex = threading.Lock()
        self._all: dict[str, BlobUpload] = {}

    def start(self, repository: str, algorithm: str = "sha256", address: str = "") -> BlobUpload:
        """A new upload. Raises RequestError for an unknown algorithm, and if there are too many (429), in all or from
        the client's `address`, which may have a part of them if it is another machine's.

        Uploads to which nothing was ever sent make room for new ones.
        """
        if algorithm not in ALGORITHMS:
            raise RequestError(
                codes.DIGEST_INVALID, f"{algorithm!r} is not one of the algorithms {' and '.join(ALGORITHMS)}"
            )
        upload = BlobUpload(repository, self._store, algorithm, self._clock)
        upload.admit = self._admit
        upload.address = address
        with self._mutex:
            if len(self._all) >= self._most:
                self._make_room(list(self._all.values()))
            elif address and not is_here(address):
                same = [one for one in self._all.values() if one.address == address]
                if len(same) >= self._most // _SHARE:
                    self._make_room(same)
            self._all[upload.id] = upload
        return upload

    def _make_room(self, among: Sequence[BlobUpload]) -> None:
        empty = next((one.id for one in among if not one.size), None)
        if empty is None:
            raise RequestError(
                codes.TOOMANYREQUESTS,
                f"{len(among)} uploads are not finished; try again later",
                headers={"Retry-After": "60"},
            )
        del self._all[empty]

    def find(self, repository: str, name: str) -> BlobUpload:
        """The upload of this id. Raises RequestError if the repository has none."""
        upload = self._all.get(name)
        if upload is None or upload.repository != repository:
            raise RequestError(codes.BLOB_UPLOAD_UNKNOWN, f"{repository} has no upload {name}")
        return upload

    def finish(self, upload: BlobUpload, digest: Digest) -> int:
        """Make the upload a blob, and return its size. The upload ends, also if its bytes have another digest."""
        with self._mutex:
            self._all.pop(upload.id, None)
        return upload.commit(digest)

    def cancel(self, upload: BlobUpload) -> None:
        """Remove an upload."""
        with self._mutex:
            self._all.pop(upload.id, None)
        upload.cancel()

    @property
    def bytes(self) -> int:
        """The bytes of all unfinished uploads."""
        return sum(upload.size for upload in list(self._all.values()))

    def clear(self) -> int:
        """Remove uploads to which nothing was sent for too long, and return their number."""
        before = self._clock() - self._seconds
        with self._mutex:
            idle = [upload for upload in self._all.values() if upload.touched < before]
        for upload in idle:
            self.cancel(upload)
        return len(idle)

    def close(self) -> None:
        """Remove all uploads."""
        with self._mutex:
            uploads, self._all = list(self._all.values()), {}
        for upload in uploads:
            upload.cancel()
