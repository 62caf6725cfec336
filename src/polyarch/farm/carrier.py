"""What carries layers between a command and the members of its farm: a repository that both sides reach."""

import asyncio
import io
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from polyarch.errors import NotFoundError
from polyarch.farm.messages import CarrierAddress, CarrierLogin
from polyarch.oci import layer_table
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.transfer.pool import WorkerPool

if TYPE_CHECKING:
    from polyarch.registry import Repository
    from polyarch.registry.credentials import Credential
    from polyarch.store import Store
    from polyarch.transfer.read_through import ReadThroughSource

_AT_ONCE = 4


# Makes the protocol that speaks HTTP on a connection.
HTTPFactory = Callable[[], asyncio.BaseProtocol]


class LayerCarrier(Protocol):
    """The command's side of what carries the layers: its `BuildExchange` starts and ends it. Safe from many threads."""

    @property
    def address(self) -> CarrierAddress:
        """Where members find it."""

    @property
    def login(self) -> CarrierLogin | None:
        """What members need to be let in."""

    def publish(self, blobs: Sequence[Descriptor]) -> None:
        """Make the blobs available to members. Raises PolyarchError."""

    def fetch(self, blob: Descriptor) -> None:
        """Bring what a member sent into the store. Raises NotFoundError, CorruptError, RegistryError."""

    def keep(self, blob: Descriptor, content: bytes) -> None:
        """Write what a member sent to the build itself into the store. Raises CorruptError."""

    async def start(self) -> HTTPFactory | None:
        """What answers requests that members send to the port of the exchange; None if the carrier is elsewhere."""

    async def stop(self) -> None:
        """End what `start` began, and remove what is held for this build."""


class RepositoryCarrier:
    """Implements `LayerCarrier`: a repository of a registry, which keeps blobs as it decides. It owns nothing."""

    def __init__(
        self, repository: "Repository", store: "Store", source: "ReadThroughSource", credential: "Credential | None"
    ) -> None:
        self._repository = repository
        self._store = store
        self._source = source
        self.address = CarrierAddress(reference=str(repository.reference))
        self.login = None
        if credential is not None:
            self.login = CarrierLogin(
                credential.username, credential.password, credential.identity_token, credential.registry_token
            )
        self._lock = threading.Lock()
        self._sent: set[Digest] = set()
        self._flights: dict[Digest, threading.Lock] = {}

    def publish(self, blobs: Sequence[Descriptor]) -> None:
        """Implements `LayerCarrier`."""
        missing = [blob for blob in {blob.digest: blob for blob in blobs}.values() if blob.digest not in self._sent]
        if missing:
            with WorkerPool(_AT_ONCE) as pool:
                pool.run(self._send, missing)

    def fetch(self, blob: Descriptor) -> None:
        """Implements `LayerCarrier`."""
        if self._store.has_blob(blob):
            return
        with self._repository.open_blob(blob) as reader:
            self._store.write_blob(blob, reader)

    def keep(self, blob: Descriptor, content: bytes) -> None:
        """Implements `LayerCarrier`."""
        keep_blob(self._store, blob, content)

    async def start(self) -> HTTPFactory | None:
        """Implements `LayerCarrier`."""
        return None

    async def stop(self) -> None:
        """Implements `LayerCarrier`: a registry removes by itself what no manifest names."""

    def _send(self, blob: Descriptor) -> None:
        with self._lock:
            flight = self._flights.setdefault(blob.digest, threading.Lock())
        with flight:
            if blob.digest in self._sent:
                return
            if not self._repository.has_blob(blob):
                with self._source.open_blob(blob) as reader:
                    self._repository.write_blob(blob, reader)
            self._sent.add(blob.digest)


def fetch_layer(carrier: LayerCarrier, blob: Descriptor) -> None:
    """Bring a layer into the store, and its table of contents if the carrier has it. Raises as `fetch`."""
    carrier.fetch(blob)
    for table in layer_parts(blob)[1:]:
        try:
            carrier.fetch(table)
        except NotFoundError:
            return  # it is optional for every reader


def keep_layer(carrier: LayerCarrier, blob: Descriptor, contents: Sequence[bytes]) -> None:
    """Write a layer that a member sent to the build itself, and its table of contents, into the store.

    `contents` are those of `layer_parts`. Raises CorruptError.
    """
    for part, content in zip(layer_parts(blob), contents, strict=False):
        carrier.keep(part, content)


def layer_parts(blob: Descriptor) -> tuple[Descriptor, ...]:
    """The blobs of a layer: itself, and its table of contents if that is another blob."""
    place = layer_table.find(blob)
    return (blob,) if place is None or place.offset is not None else (blob, place.within(blob)[0])


def keep_blob(store: "Store", blob: Descriptor, content: bytes) -> None:
    """Write a blob into a store, unless it is there. Raises CorruptError."""
    if not store.has_blob(blob):
        store.write_blob(blob, io.BytesIO(content))
