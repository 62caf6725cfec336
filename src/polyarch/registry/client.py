"""The client: one Registry a command, one Repository a name. The operations are in blobs, manifests and tags."""

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Self

from polyarch.oci import retry as retries
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.oci.place import BlobReader, Readable
from polyarch.oci.reference import Reference
from polyarch.oci.retry import Retry
from polyarch.registry import blobs, download, elsewhere, login, manifests, tags
from polyarch.registry.auth import Authorizer
from polyarch.registry.credentials import Credential, Credentials
from polyarch.registry.hosts import Hosts, is_loopback
from polyarch.registry.http import Transport, quiet
from polyarch.registry.proxies import Proxies
from polyarch.registry.uploads import Upload, cancel_unused
from polyarch.registry.wire import ClientSession, Wire

if TYPE_CHECKING:
    from polyarch.registry.connection import Connector
    from polyarch.registry.download import Download
    from polyarch.registry.reach import Reached

# The largest blob, in bytes, that is sent to a registry on this machine without asking for it first.
_SMALL = 1 << 20


class Repository:
    """One repository of a registry: Source, Fetching, Target, Mounting, Originating, Referring, Attachable and Ranged
    of `oci/place.py`.

    A name is a tag or a digest. It owns nothing that must be closed; its Registry does. Every method may be
    called from several threads at once, and raises RegistryError if the registry refuses or cannot be reached.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._is_here = is_loopback(wire.own.host)
        # Callers that resolve a name read its manifest next.
        self._fetched: tuple[Descriptor, bytes] | None = None

    @property
    def reference(self) -> Reference:
        """The repository's name, without tag and digest."""
        return self._wire.reference

    # ── Source
    def resolve(self, name: str) -> Descriptor:
        """What a tag or digest points at, by HEAD. Raises NotFoundError with the registry's own words."""
        return manifests.resolve(self._wire, name)

    def fetch_manifest(self, name: str) -> tuple[Descriptor, bytes]:
        """What a tag or digest points at together with its verified bytes, by one GET. Raises as read_manifest."""
        self._fetched = found = manifests.fetch(self._wire, name)
        return found

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """The verified bytes of a manifest or index of at most 4 MiB. Raises NotFoundError, CorruptError.

        What `fetch_manifest` returned last is not requested again.
        """
        found = self._fetched
        if found is not None and (found[0].digest, found[0].size) == (descriptor.digest, descriptor.size):
            return found[1]
        return manifests.read(self._wire, descriptor)

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """The blob's bytes, verified while they are read; a cut connection is resumed where it was cut.

        If the repository does not have it, it comes from the descriptor's `urls`. Raises NotFoundError; reading raises
        CorruptError, or RegistryError if the registry stays unreachable.
        """
        return blobs.open_(self._wire, descriptor)

    def describe_blob(self, digest: Digest) -> Descriptor:
        """The size of a blob of which only the digest is known. Raises NotFoundError."""
        return blobs.describe(self._wire, digest)

    def read_range(self, descriptor: Descriptor, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on, fewer at the end; not verified. Raises NotFoundError."""
        return blobs.read_range(self._wire, descriptor, offset, size)

    def tags(self) -> tuple[str, ...]:
        """All tags, sorted. Raises NotFoundError."""
        return tags.list_(self._wire)

    def origins(self, digest: Digest) -> tuple[Reference, ...]:
        """Itself: another repository of the same registry can mount its blobs."""
        return (self.reference,)

    # ── Target
    def has_blob(self, descriptor: Descriptor) -> bool:
        """Whether the repository has the blob, by HEAD. What is known to be there is not requested again."""
        return blobs.has(self._wire, descriptor)

    def is_worth_asking(self, descriptor: Descriptor) -> bool:
        """Whether to ask for a new blob before it is sent. To send a small one to this machine is as fast as asking."""
        return descriptor.size > _SMALL or not self._is_here or self._wire.is_known(descriptor.digest)

    def take_blob(self, descriptor: Descriptor) -> bool:
        """Take the blob from any repository of the registry; False if it must be written. For one that is not worth
        asking for: a registry that serves the store of this machine has it.
        """
        return blobs.take(self._wire, descriptor)

    def write_blob(self, descriptor: Descriptor, content: Readable) -> None:
        """Send a blob of known digest and size in one PUT; the registry checks the digest.

        A failed upload starts again if `content` can `seek`; otherwise the RegistryError is `retryable`, and the
        caller opens the content anew. Raises CorruptError if the content is not what the descriptor says.
        """
        blobs.write(self._wire, descriptor, content)

    def upload(self) -> Upload:
        """A context manager for content that is sent while it is made: `.write(bytes)`, `.commit(digest)`.

        Left without commit, the upload is cancelled.
        """
        return Upload(self._wire)

    def mount_blob(self, descriptor: Descriptor, origin: Reference) -> bool:
        """Take the blob from repository `origin`; False if that is another registry or this one will not."""
        return blobs.mount(self._wire, descriptor, origin)

    def points_at(self, name: str) -> Digest | None:
        """What a tag points at, by HEAD to the registry itself, not a mirror; None if it does not say."""
        return manifests.points_at(self._wire, name)

    def has_manifest(self, descriptor: Descriptor) -> bool:
        """Whether the repository has the manifest or index, by HEAD."""
        return manifests.has(self._wire, descriptor)

    def write_manifest(self, descriptor: Descriptor, raw: bytes, name: str | None = None) -> None:
        """Write a manifest or index, and let the tag `name` point at it if one is given.

        Raises CorruptError if `raw` is not what the descriptor says; RegistryError with the codes
        MANIFEST_BLOB_UNKNOWN or MANIFEST_UNKNOWN if the registry lacks something that it names.
        """
        manifests.write(self._wire, descriptor, raw, name)

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """The manifests whose subject is `subject`, as the registry, or else the tag for its referrers, lists them."""
        from polyarch.registry import referrers

        return referrers.list_(self._wire, subject)

    def write_referrers(self, subject: Digest, documents: Sequence[Manifest | Index]) -> None:
        """Write manifests that have the subject `subject`. If the registry cannot list them, its tag does.

        Raises RegistryError, also if another client keeps changing that tag, or if it is not an index.
        """
        from polyarch.registry import referrers

        referrers.write(self._wire, subject, documents)

    def delete_manifest(self, digest: Digest) -> None:
        """Delete a manifest, and with it every tag that points at it. Raises NotFoundError."""
        manifests.delete(self._wire, digest)

    def ping(self) -> None:
        """Check that the registry speaks the API and accepts the credentials. Raises RegistryError."""
        self._wire.ping()


class Registry:
    """All registries that a command speaks to. It owns connection pools and tokens: `close` it, or use `with`.

    `debug` gets one line for each request (method, URL, status), without anything secret. `retry` is how requests,
    downloads and uploads are retried, `sleep` how it waits in between, `clock` the seconds by which tokens expire.
    `connectors` are other ways to reach some hosts (host[:port]).
    """

    def __init__(
        self,
        hosts: Hosts,
        credentials: Credentials,
        user_agent: str,
        *,
        proxies: Proxies = Proxies(),  # noqa: B008 (a frozen value)
        debug: Callable[[str], None] = quiet,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        retry: Retry = retries.REQUEST,
        connectors: "Mapping[str, Connector]" = MappingProxyType({}),
    ) -> None:
        self._hosts = hosts
        self._credentials = credentials
        self._transport = Transport(
            hosts, user_agent, proxies=proxies, debug=debug, sleep=sleep, retry=retry, connectors=connectors
        )
        self._session = ClientSession(hosts, self._transport, Authorizer(self._transport, credentials, clock=clock))
        self._repositories: dict[Reference, Repository] = {}
        self._wires: list[Wire] = []
        self._lock = Lock()

    @property
    def transport(self) -> Transport:
        """How requests are sent to other servers, with the same proxies, certificates and connections."""
        return self._transport

    def repository(self, reference: Reference) -> Repository:
        """The repository of a reference; its tag and digest do not matter. No request is made.

        There is one object for each repository, so that all callers share what it knows to be there.
        Raises RegistryError if the configuration blocks it.
        """
        name = reference.repository
        with self._lock:
            if name not in self._repositories:
                wire = Wire(name, self._hosts.endpoints(name), self._session)
                self._wires.append(wire)
                self._repositories[name] = Repository(wire)
            return self._repositories[name]

    def download(self, url: str, etag: str = "", modified: str = "") -> "Download":
        """A file of any HTTP server; with the `etag` or `modified` of an earlier response, only if it changed since.

        Raises NotFoundError, RegistryError.
        """
        return download.open_(self._transport, url, etag, modified)

    def open_elsewhere(self, descriptor: Descriptor) -> BlobReader:
        """A blob from its descriptor's URLs, verified while it is read. Raises NotFoundError."""
        return elsewhere.open_(self._transport, descriptor)

    def login(self, host: str, credential: Credential) -> str:
        """Check a credential at the registry `host` and store it; returns where it is stored.

        Raises RegistryError if it is refused; then nothing is stored.
        """
        return login.login(host, credential, self._hosts, self._transport, self._credentials)

    def reach(self, host: str, now: Callable[[], float]) -> "Reached":
        """Whether the registry `host` answers and accepts the stored credentials. Errors are part of the result.

        `now` gives the time in seconds since 1970.
        """
        from polyarch.registry import reach

        return reach.reach(host, self._session, self._credentials, now)

    def logout(self, host: str) -> bool:
        """Erase the credentials for `host`; False if there were none."""
        return self._credentials.erase(host)

    def close(self) -> None:
        """Cancel uploads that were begun and not used, and close all connections. Safe to call twice."""
        with self._lock:
            wires, self._wires = self._wires, []
        for wire in wires:
            cancel_unused(wire)
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
