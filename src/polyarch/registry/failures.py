"""Errors for people: what a response that was not expected means, and why a request got none.

Nothing secret gets into a message: URLs are redacted, request headers are not used, and what the registry wrote is
cleaned (`distribution/errors.py`).
"""

from polyarch.distribution import errors
from polyarch.errors import NotFoundError, PolyarchError, RegistryError
from polyarch.oci.urls import authority
from polyarch.registry.message import ConnectError, ProxyError, ProxyLoginError, TLSError, UnknownHostError

_ABSENT = frozenset({errors.NAME_UNKNOWN, errors.MANIFEST_UNKNOWN, errors.BLOB_UNKNOWN, errors.NOT_FOUND})
_LACKING = frozenset({errors.MANIFEST_UNKNOWN, errors.MANIFEST_BLOB_UNKNOWN, errors.BLOB_UNKNOWN})
_PROXY_LOGIN = "put them into the proxy's URL: http://USER:PASSWORD@PROXY:PORT"


def refusal(
    status: int,
    body: bytes,
    what: str,
    host: str,
    *,
    known: bool = False,
    writing: bool = False,
    exhausted: bool = False,
) -> PolyarchError:
    """The error for a response with an unexpected status.

    `what` names what was requested, with its verb. `known` says whether credentials were sent, `writing` that
    something was to be written, so that what is absent is not what was asked for; `exhausted` that the request was
    retried.
    """
    entries = errors.parse(body)
    codes = tuple(entry.code for entry in entries if entry.code)
    said = errors.describe(status, entries)
    if status == 407:
        return RegistryError(
            f"{what}: the proxy in front of {host} wants a name and a password ({said})", _PROXY_LOGIN, status=status
        )
    if status == 404 and not writing and (not codes or _ABSENT & set(codes)):
        return NotFoundError(f"{what}: {said}", f"{host} has no such image; check the name and the tag")
    return RegistryError(
        f"{what}: {host} answered {said}",
        _hint_writing(codes) if status == 404 and writing else _hint(status, host, known),
        status=status,
        codes=codes,
        retryable=status in errors.RETRYABLE_STATUSES,
        exhausted=exhausted,
    )


def _hint_writing(codes: tuple[str, ...]) -> str | None:
    if _LACKING & set(codes):
        return "the registry lacks something that this names; it may have been removed meanwhile: send the image again"
    if not codes or errors.NAME_UNKNOWN in codes:
        return "the registry may want the repository to be created before anything is sent to it; check the name"
    return None


def _hint(status: int, host: str, known: bool) -> str | None:
    shown = "docker.io" if host == "registry-1.docker.io" else host
    if status == 401 and known:
        return f"the credentials were refused: log in again with `polyarch login {shown}`"
    if status == 401:
        return f"log in with `polyarch login {shown}`; a private or absent repository may answer like this, too"
    if status == 403:
        return f"this account may not do that; `polyarch login {shown}` with one that may"
    if status == 429:
        return f"the registry limits requests: wait, or log in with `polyarch login {shown}` for a higher limit"
    if status == 413:
        return "the registry, or a proxy in front of it, limits the size of a request"
    if status >= 500:
        return f"{host} has a problem of its own: try again later"
    return None


def unreachable(error: Exception, url: str) -> RegistryError:
    """The error for a request to `url` that got no response; `error` is the reason."""
    host = authority(url)
    if isinstance(error, ProxyLoginError):
        return RegistryError(f"the proxy in front of {host} cannot be used: {error}", _PROXY_LOGIN)
    if isinstance(error, ProxyError):
        return RegistryError(f"the proxy for {host} cannot be used: {reason(error)}", "check HTTPS_PROXY and NO_PROXY")
    if isinstance(error, TLSError):
        return RegistryError(
            f"the TLS connection to {host} failed: {reason(error)}",
            f"put the registry's CA certificate into certs.d/{host}/ca.crt, or mark the host as insecure",
        )
    if isinstance(error, UnknownHostError):
        return RegistryError(f"there is no host {host}: {reason(error)}", "check the name and the network")
    if isinstance(error, ConnectError):
        return RegistryError(
            f"{host} cannot be reached: {reason(error)}",
            "check that the registry runs, its port and the network",
            retryable=True,
        )
    return RegistryError(f"the connection to {host} failed: {reason(error)}", "try again", retryable=True)


def reason(error: BaseException) -> str:
    """The innermost reason, in the operating system's words if there are any."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and not isinstance(seen, TimeoutError):
            text = getattr(seen, "verify_message", "") or seen.strerror or str(seen)
            if text:
                return text
        seen = seen.__cause__ or seen.__context__ or _argument(seen)
    cause = error.__cause__ or error
    if "imeout" in type(cause).__name__:
        return "it did not answer in time"
    return str(error)


def _argument(error: BaseException) -> BaseException | None:
    return next((item for item in error.args if isinstance(item, BaseException)), None)


def is_unreachable(error: RegistryError) -> bool:
    """Whether no connection could be made."""
    return isinstance(error.__cause__, ConnectError)


def speaks_no_tls(error: RegistryError) -> bool:
    """Whether TLS was tried and the server does not speak it: unlike one whose certificate is not trusted."""
    if not isinstance(error.__cause__, TLSError):
        return False
    import ssl

    cause = error.__cause__.__cause__
    return not isinstance(cause, ssl.SSLCertVerificationError) and "ALERT" not in (getattr(cause, "reason", "") or "")
