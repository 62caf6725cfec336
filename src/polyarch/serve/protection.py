"""What protects a server, made from its settings before it listens."""

import asyncio
import resource
import socket
import ssl
from collections.abc import Sequence

from polyarch.errors import PolyarchError, UsageError
from polyarch.serve import exposure
from polyarch.serve.authentication.htpasswd import HtpasswdAccess
from polyarch.serve.authentication.token import TokenAccess
from polyarch.serve.connections import ConnectionLimits, ConnectionWatch
from polyarch.serve.exposure import Address
from polyarch.serve.guard import Guard
from polyarch.serve.settings import Auth, ServeSettings
from polyarch.serve.surroundings import ServeSurroundings
from polyarch.serve.tls import CertificateSource, FileTLS, SelfSignedTLS, TrustAdvice

LIMITS = ConnectionLimits()
# Seconds between two looks at the certificate.
_TLS_PAUSE = 60.0


class Protection:
    """The addresses to listen on, and what checks connections and requests. It owns threads until `close`.

    Raises UsageError if the server may not listen there, PolyarchError if a file cannot be used.
    """

    def __init__(self, root: str, settings: ServeSettings, surroundings: ServeSurroundings) -> None:
        self.addresses = exposure.resolve(settings.listen)
        tls = settings.self_signed or settings.tls is not None
        exposure.require_protection(
            settings.listen, self.addresses, tls=tls, auth=settings.auth is not None, insecure=settings.insecure
        )
        self._surroundings = surroundings
        own = own_names(settings, self.addresses)
        self._names = settings.names
        self.access = _access(settings.auth, surroundings)
        self.tls: CertificateSource | None = None
        if settings.self_signed:
            self.tls = SelfSignedTLS(root, own, surroundings.now)
        elif settings.tls is not None:
            self.tls = FileTLS(settings.tls)
        self.guard = Guard(self.access, own, any_name=tls or self.access is not None)
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.limits = LIMITS.fitting(descriptors)
        self.watch = ConnectionWatch(self.limits)

    @property
    def scheme(self) -> str:
        """The scheme of the server's URL."""
        return "http" if self.tls is None else "https"

    @property
    def context(self) -> ssl.SSLContext | None:
        """The context of TLS."""
        return None if self.tls is None else self.tls.context()

    def advice(self, address: str) -> tuple[str, ...]:
        """What clients need to know of a certificate that was made here, for a server at `address`."""
        if not isinstance(self.tls, SelfSignedTLS):
            return ()
        return TrustAdvice(self.tls.ca, self.tls.fingerprint, self.authority(address)).lines()

    def authority(self, address: str) -> str:
        """What clients call a server that listens on `address`: by a name, if it has one."""
        host, _, port = address.rpartition(":")
        if not self._names and not exposure.is_unspecified(host):
            return address
        return f"{next(iter(self._names), 'localhost')}:{port}"

    async def run(self) -> None:
        """Look after connections and the certificate, until the task is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.watch.run())
            if self.tls is not None:
                tasks.create_task(self._renew(self.tls))

    async def _renew(self, tls: CertificateSource) -> None:
        said = ""
        while True:
            await asyncio.sleep(_TLS_PAUSE)
            try:
                await asyncio.to_thread(tls.refresh)
                said = ""
            except PolyarchError as error:
                # The old certificate stays; the same is not said each minute.
                if error.message != said:
                    self._surroundings.report(error)
                said = error.message

    def close(self) -> None:
        """End the threads. Safe to call twice."""
        if self.access is not None:
            self.access.close()


def own_names(settings: ServeSettings, addresses: Sequence[Address]) -> tuple[str, ...]:
    """The names and addresses under which clients may reach the server: for its certificate, and in Host headers."""
    found = [*settings.names]
    if exposure.host_name(settings.listen) and settings.listen not in ("", "*"):
        found.append(settings.listen)
    for address in addresses:
        if address.is_unspecified:
            found.append(socket.gethostname())
        else:
            found.append(str(address))
    if any(exposure.is_loopback(address) or address.is_unspecified for address in addresses):
        found += ["localhost", "127.0.0.1", "::1"]
    names = dict.fromkeys(name for name in found if name and not exposure.is_unspecified(name))
    for name in settings.names:
        if exposure.host_name(name if ":" not in name else f"[{name}]") is None:
            raise UsageError(f"--name {name}: neither a host name nor an address")
    return tuple(names)


def _access(auth: Auth | None, surroundings: ServeSurroundings) -> HtpasswdAccess | TokenAccess | None:
    if auth is None:
        return None
    if auth.kind == "htpasswd":
        return HtpasswdAccess(auth.path)
    return TokenAccess(auth.path, surroundings.now)
