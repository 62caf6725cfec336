"""How Dask is set up for a farm: TLS for all connections, and no second try of its own.

Only the modules of this room import Dask, and only those commands that need it import this one.
"""

import asyncio
import contextlib
import importlib
import logging
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import dask.config

from polyarch.farm.certificates import Bundle
from polyarch.farm.faults import FarmError

if TYPE_CHECKING:
    from distributed.security import Security

# Seconds after which a member that says nothing counts as cut off.
SILENCE = 20.0
_CONNECT = 10.0
# Seconds that a scheduler gets to answer.
_ANSWER = 20.0
# What the messages of OpenSSL have in common if one side does not trust the other.
_CERTIFICATES = ("certificate", "unknown ca", "decrypt error", "bad signature")
T = TypeVar("T")
# Dask refuses a shorter timeout of TCP.
_LEAST_TCP = 12.0
# Dask opens a port for HTTP in any case. Without routes it answers nothing, and here only this machine reaches it.
HTTP = "127.0.0.1:0"


def configure(silence: float = SILENCE, *, say: Callable[[str], None] | None = None) -> None:
    """Set Dask up in this process. `say` gets its warnings; without it they are dropped."""
    dask.config.set(
        {
            # A step moves on once, and the command decides where to: placement.py knows more than Dask.
            "distributed.scheduler.allowed-failures": 0,
            "distributed.scheduler.work-stealing": False,
            "distributed.scheduler.worker-ttl": f"{silence}s",
            "distributed.scheduler.active-memory-manager.start": False,
            "distributed.comm.timeouts.connect": f"{_CONNECT}s",
            "distributed.comm.timeouts.tcp": f"{max(silence, _LEAST_TCP)}s",
            "distributed.worker.profile.enabled": False,
            # A step is a process of its own, which Dask's limits on the memory of a worker do not see.
            "distributed.worker.memory.target": False,
            "distributed.worker.memory.spill": False,
            "distributed.worker.memory.pause": False,
            "distributed.worker.memory.terminate": False,
            "distributed.diagnostics.nvml": False,
            "distributed.admin.system-monitor.gil.enabled": False,
            "distributed.admin.system-monitor.interval": "2s",
            # How often each process wakes up only to see whether it is late.
            "distributed.admin.tick.interval": "1s",
            "distributed.admin.tick.limit": "1h",
            "distributed.scheduler.http.routes": [],
            "distributed.worker.http.routes": [],
        }
    )
    # Importing it sets logging up.
    importlib.import_module("distributed")
    for name in ("distributed", "tornado", "asyncio", *logging.root.manager.loggerDict):
        if name.partition(".")[0] not in ("distributed", "tornado", "asyncio"):
            continue
        logger = logging.getLogger(name)
        logger.handlers[:] = [_Said(say)] if say else [logging.NullHandler()]
        logger.propagate = False
        logger.setLevel(logging.ERROR if say else logging.CRITICAL + 1)


@contextlib.contextmanager
def scratch() -> Iterator[None]:
    """Where Dask's schedulers and workers, which this process or its children are, have their files. It owns that.

    Dask makes a directory in /tmp for them, which stays.
    """
    with (
        tempfile.TemporaryDirectory(prefix="polyarch-farm-", ignore_cleanup_errors=True) as directory,
        dask.config.set({"temporary-directory": directory}),
    ):
        yield


class _Said(logging.Handler):
    """Passes the first line of what Dask logs to a function."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(record.getMessage().partition("\n")[0])


def security(bundle: Bundle | None) -> "Security | None":
    """TLS with the same certificate in every role; None for a farm without TLS."""
    from ssl import TLSVersion

    from distributed.security import Security

    if bundle is None:
        return None
    roles = ("client", "scheduler", "worker")
    return Security(
        require_encryption=True,
        tls_ca_file=bundle.authority,
        tls_min_version=TLSVersion.TLSv1_3,
        **{f"tls_{role}_cert": bundle.certificate for role in roles},
        **{f"tls_{role}_key": bundle.key for role in roles},
    )


def unreachable(address: str, error: BaseException) -> FarmError:
    """The error for a connection that failed, which names certificates and clocks if it is they."""
    text = f"{type(error).__name__} {error}".lower()
    message = f"the farm {address} cannot be reached"
    if isinstance(error, ConnectionRefusedError):
        return FarmError(f"{message}: nothing listens there", "polyarch farm scheduler starts one")
    if "not yet valid" in text:
        return FarmError(
            f"{message}: its certificate is not valid yet by the clock of this machine",
            "one of the two clocks is wrong: compare `date -u` on both machines",
        )
    if "expired" in text:
        return FarmError(
            f"{message}: a certificate has expired, or a clock is wrong",
            "polyarch farm init --renew makes new ones; compare `date -u` on both machines",
        )
    if any(word in text for word in _CERTIFICATES):
        return FarmError(
            f"{message}: the certificates are not of the same authority",
            "both sides need bundles that one polyarch farm init made",
        )
    if "ssl" in text:
        return FarmError(
            f"{message}: it does not speak TLS as a farm does", "is it the port of polyarch farm scheduler?"
        )
    reason = str(error) or "it does not answer"
    return FarmError(f"{message}: {reason}", "polyarch farm status ADDRESS shows whether it answers")


async def ask(address: str, credentials: "Security | None", question: Callable[[Any], Awaitable[T]]) -> T:
    """The answer of a scheduler to a question, which gets a connection. Raises FarmError."""
    try:
        # Dask repeats attempts until a timeout, whatever the reason, and tells the last.
        await asyncio.wait_for(_try(address, credentials), _CONNECT)
        arguments = credentials.get_connection_args("client") if credentials is not None else {}
        from distributed.core import rpc

        async with rpc(address, connection_args=arguments, timeout=_CONNECT) as scheduler:
            return await asyncio.wait_for(question(scheduler), _ANSWER)
    except (TimeoutError, OSError, ValueError, RuntimeError) as error:
        raise unreachable(address, error) from error


async def _try(address: str, credentials: "Security | None") -> None:
    """Connect as Dask will, and close the connection again. Raises OSError."""
    scheme, _, place = address.partition("://")
    host, _, port = place.rpartition(":")
    context = credentials.get_connection_args("client")["ssl_context"] if scheme == "tls" and credentials else None
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port), ssl=context)
    try:
        # With TLS 1.3, a server that refuses our certificate says so after the handshake. Dask's begins to talk.
        await reader.read(1)
    finally:
        writer.close()
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), 1)
