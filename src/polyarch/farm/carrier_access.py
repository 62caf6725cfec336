"""How a member gets blobs from the carrier that a command named, and with which credential."""

from collections.abc import Collection

from polyarch.builder.perform.interruptible import InterruptibleReader
from polyarch.farm.messages import CarrierLogin
from polyarch.farm.session import StepSession
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.place import BlobReader
from polyarch.registry import Repository
from polyarch.registry.credentials import Credential, Credentials


class OneLogin(Credentials):
    """The credential that a command gave for its carrier, whatever host asks for it. Nothing is read or written."""

    def __init__(self, login: CarrierLogin | None) -> None:
        super().__init__(None)
        self._login = login

    def get(self, host: str, repository: str = "", actions: Collection[str] = ()) -> Credential | None:
        """See `Credentials.get`."""
        login = self._login
        if login is None:
            return None
        return Credential(
            username=login.username,
            password=login.password,
            identity_token=login.identity_token,
            registry_token=login.registry_token,
        )


class StoppableBlobs:
    """Implements `read_through.BlobPlace`: reading ends with the step, which may be cancelled during a download."""

    def __init__(self, repository: Repository, session: StepSession) -> None:
        self._repository = repository
        self._session = session

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """See `place.Source`."""
        return InterruptibleReader(self._repository.open_blob(descriptor), self._session.cancelled.is_set)
