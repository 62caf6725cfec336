"""A farm for one build: from the words of options to a `RemoteRunner`."""

import contextlib
import socket
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import msgspec

from polyarch import progress
from polyarch.errors import PolyarchError, UsageError
from polyarch.farm.certificates import Bundle
from polyarch.farm.client import FarmOptions, FarmRunner
from polyarch.farm.values import BuildNote
from polyarch.oci import reference as references

if TYPE_CHECKING:
    import ssl

    from polyarch.farm.carrier import LayerCarrier
    from polyarch.farm.exchange import BuildExchange
    from polyarch.registry import Registry
    from polyarch.registry.credentials import Credential
    from polyarch.store import Store


class ExchangeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How members reach a build. It listens at `listen` (HOST:PORT; by default at the address that faces the scheduler,
    and any free port). `carrier` is the repository that carries layers; empty if the build itself does.
    """

    listen: str = ""
    carrier: str = ""


@contextlib.contextmanager
def opened(
    options: FarmOptions,
    reached: ExchangeOptions,
    note: BuildNote,
    store: "Store",
    registry: "Registry",
    credential: "Callable[[str], Credential | None]",
    emit: progress.Emit,
) -> Iterator[FarmRunner]:
    """A runner for one build, which connects when the first step needs it. Raises UsageError."""
    host, port = _listen(reached.listen, options.scheduler)

    def exchange() -> "BuildExchange":
        from polyarch.farm.exchange import BuildExchange

        return BuildExchange(
            _carrier(reached.carrier, store, registry, credential, emit),
            listen=(host, port),
            context=_context(options.bundle),
            warn=emit,
        )

    runner = FarmRunner(options, exchange, note, emit)
    try:
        yield runner
        runner.outcome = "done"
    except PolyarchError as error:
        runner.outcome = f"failed: {error.message.partition(chr(10))[0]}"
        raise
    finally:
        runner.close()


def _carrier(
    named: str,
    store: "Store",
    registry: "Registry",
    credential: "Callable[[str], Credential | None]",
    emit: progress.Emit,
) -> "LayerCarrier":
    from polyarch.transfer.read_through import ReadThroughSource

    source = ReadThroughSource(store, registry)
    if not named:
        from polyarch.farm.own_carrier import OwnCarrier

        return OwnCarrier(store, source, emit)
    from polyarch.farm.carrier import RepositoryCarrier

    reference = references.parse(named)
    return RepositoryCarrier(registry.repository(reference), store, source, credential(reference.domain))


def _context(bundle: Bundle | None) -> "ssl.SSLContext | None":
    """What members are accepted with. The files are gone as soon as they are read."""
    if bundle is None:
        return None
    from polyarch.farm.task import written
    from polyarch.farm.tls import server_context

    with contextlib.ExitStack() as files:
        return server_context(written(bundle, files, tempfile.gettempdir()))


def _listen(text: str, scheduler: str) -> tuple[str, int]:
    if text:
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdecimal() or not host or int(port) > 65535:
            raise UsageError(f"--farm-listen {text!r} is not HOST:PORT")
        return host.strip("[]"), int(port)
    host, _, port = scheduler.partition("://")[2].rpartition(":")
    try:
        return _facing(host.strip("[]"), int(port)), 0
    except OSError as error:
        raise PolyarchError(f"the farm {scheduler} cannot be reached: {error.strerror or error}") from error


def _facing(host: str, port: int) -> str:
    """The address of this machine from which it reaches another one. Nothing is sent."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as trial:
        trial.connect(address)
        found: str = trial.getsockname()[0]
        return found
