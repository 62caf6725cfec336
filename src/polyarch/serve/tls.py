"""TLS of the server: given files, or a certificate that is made here, each read again when it changes.

Files of `--tls-self-signed`, below `serve/` in the store, readable only for its owner:
    ca.crt, ca.key          the CA that clients are given
    server.crt, server.key  the server's certificate, which is renewed
"""

import os
import ssl
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from polyarch.errors import PolyarchError, UsageError
from polyarch.registry import pem
from polyarch.serve import certificates
from polyarch.serve.issuing import CertificatePair
from polyarch.serve.settings import TLSFiles

_CA_NAME = "polyarch serve"


class CertificateSource(Protocol):
    """Where the certificate of a server comes from."""

    def context(self) -> ssl.SSLContext:
        """The context of the server. There is one, so that `refresh` also changes it for new connections."""

    def refresh(self) -> bool:
        """Load the certificate again if it is another one now, or must be renewed. Returns whether it was. Raises
        PolyarchError, and then the old one stays.
        """


class FileTLS:
    """A certificate and a key in files: of an authority, renewed by another program."""

    def __init__(self, files: TLSFiles) -> None:
        self._files = files
        self._stamp = self._current()
        self._context = _new_context()
        _load(self._context, files)

    def context(self) -> ssl.SSLContext:
        """Implements `CertificateSource`."""
        return self._context

    def refresh(self) -> bool:
        """Implements `CertificateSource`."""
        stamp = self._current()
        if stamp == self._stamp:
            return False
        # A key and a certificate that do not fit are tried on another context first.
        _load(_new_context(), self._files)
        _load(self._context, self._files)
        self._stamp = stamp
        return True

    def _current(self) -> tuple[tuple[int, int, int], ...]:
        try:
            found = [os.stat(path) for path in (self._files.certificate, self._files.key)]
        except OSError as error:
            raise UsageError(f"--tls: {error.filename} cannot be read: {error.strerror}") from error
        return tuple((one.st_ino, one.st_size, one.st_mtime_ns) for one in found)


class SelfSignedTLS:
    """A certificate of the store's own CA. `now` is the time in seconds since 1970."""

    def __init__(self, root: str, names: Sequence[str], now: Callable[[], float]) -> None:
        self._directory = f"{root}/serve"
        self.names = tuple(dict.fromkeys(names))
        self._now = now
        self._context = _new_context()
        self._renew()
        self._files = TLSFiles(self._path("server.crt"), self._path("server.key"))
        _load(self._context, self._files)

    @property
    def ca(self) -> str:
        """The file of the CA's certificate."""
        return self._path("ca.crt")

    @property
    def fingerprint(self) -> str:
        """The SHA-256 fingerprint of the CA."""
        with open(self.ca, "rb") as file:
            return certificates.fingerprint(file.read())

    def context(self) -> ssl.SSLContext:
        """Implements `CertificateSource`."""
        return self._context

    def refresh(self) -> bool:
        """Implements `CertificateSource`."""
        if not self._renew():
            return False
        _load(self._context, self._files)
        return True

    def _renew(self) -> bool:
        try:
            os.makedirs(self._directory, 0o700, exist_ok=True)
            now = self._now()
            ca = self._read("ca")
            if ca is None or not certificates.is_current_ca(ca, now):
                ca = certificates.make_ca(_CA_NAME, now)
                self._write("ca", ca)
            server = self._read("server")
            signed = server is not None and server.certificate.endswith(ca.certificate)
            if server is not None and signed and certificates.is_current(server, self.names, now):
                return False
            self._write("server", certificates.make_server(ca, self.names, now))
        except OSError as error:
            raise PolyarchError(
                f"the server's certificate cannot be kept in {self._directory}: {error.strerror}"
            ) from error
        return True

    def _read(self, name: str) -> CertificatePair | None:
        """A pair; None if it is absent or damaged, so that another one is made."""
        try:
            parts: list[bytes] = []
            for suffix in ("crt", "key"):
                with open(self._path(f"{name}.{suffix}"), "rb") as file:
                    parts.append(file.read())
            pair = CertificatePair(*parts)
            certificates.end(pair.certificate)
        except (FileNotFoundError, ValueError):
            return None
        return pair

    def _write(self, name: str, pair: CertificatePair) -> None:
        """Write the key first: a certificate that is there has its key."""
        for suffix, content in (("key", pair.key), ("crt", pair.certificate)):
            path = self._path(f"{name}.{suffix}")
            unfinished = f"{path}.{os.getpid()}"
            try:
                descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
                with open(descriptor, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(descriptor)
                os.rename(unfinished, path)
            except BaseException:
                if os.path.exists(unfinished):
                    os.unlink(unfinished)
                raise

    def _path(self, name: str) -> str:
        return f"{self._directory}/{name}"


class TrustAdvice(msgspec.Struct, frozen=True):
    """What clients do with a CA, for the server at `authority` (`HOST:PORT`)."""

    ca: str
    fingerprint: str
    authority: str

    def lines(self) -> tuple[str, ...]:
        """Lines for a person."""
        return (
            f"CA: {self.ca}",
            f"SHA-256 fingerprint: {self.fingerprint}",
            "Clients trust it as:",
            f"  docker            /etc/docker/certs.d/{self.authority}/ca.crt",
            f"  podman, polyarch  ~/.config/containers/certs.d/{self.authority}/ca.crt",
        )


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load(context: ssl.SSLContext, files: TLSFiles) -> None:
    try:
        # Without a callback, OpenSSL would ask the terminal for the password of an encrypted key.
        context.load_cert_chain(files.certificate, files.key, password=lambda: "")
    except OSError as error:  # ssl.SSLError is one, too
        raise pem.refusal(error, "--tls", files.certificate, files.key) from error
