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
from polyarch.farm.probe import SchedulerProbe, address_of
from polyarch.farm.values import BuildNote
from polyarch.oci import reference as references

if TYPE_CHECKING:
    import ssl

    from polyarch.farm.carrier import LayerCarrier
    from polyarch.farm.exchange import BuildExchange
    from polyarch.registry import Registry
    from polyarch.registry.credentials import Credential
    from polyarch.store import Store


# Hosts that stand for all addresses of a machine, and reach none.
_ANY = ("0.0.0.0", "::")


class ExchangeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How members reach a build. It listens at `listen` (HOST:PORT; by default at the address that faces the scheduler,
    and any free port). Members connect to `contact` (HOST:PORT), if that is another one: a port that is forwarded.
    `carrier` is the repository that carries layers; empty if the build itself does.
    """

    listen: str = ""
    contact: str = ""
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
    listen = _place("--farm-listen", reached.listen) if reached.listen else ("", 0)
    contact = _place("--farm-contact", reached.contact) if reached.contact else None
    if reached.contact and not reached.listen:
        raise UsageError("--farm-contact needs --farm-listen", "it says where members reach the address of that")

    def exchange() -> "BuildExchange":
        from polyarch.farm.exchange import BuildExchange

        return BuildExchange(
            _carrier(reached.carrier, store, registry, credential, emit),
            listen=(listen[0] or _facing(options.scheduler), listen[1]),
            advertise=contact or ((_facing(options.scheduler), 0) if listen[0] in _ANY else None),
            context=_context(options.bundle),
            warn=emit,
        )

    runner = FarmRunner(options, exchange, note, emit)
    probe = SchedulerProbe(options.scheduler)
    try:
        yield runner
        runner.outcome = "done"
        reason = probe.failure()
        if reason and not runner.was_needed:
            emit(progress.Warned(f"the farm {options.scheduler} cannot be reached: {reason}; no step had to run"))
    except PolyarchError as error:
        runner.outcome = f"failed: {error.message.partition(chr(10))[0]}"
        raise
    finally:
        probe.close()
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


def _place(option: str, text: str) -> tuple[str, int]:
    """The host and port of an option. Raises UsageError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not host or int(port) > 65535:
        raise UsageError(f"{option} {text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _facing(scheduler: str) -> str:
    """The address of this machine from which it reaches the scheduler. Nothing is sent. Raises PolyarchError."""
    try:
        family, address = address_of(scheduler, socket.SOCK_DGRAM)
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.connect(address)
            found: str = trial.getsockname()[0]
            return found
    except OSError as error:
        raise PolyarchError(f"the farm {scheduler} cannot be reached: {error.strerror or error}") from error
