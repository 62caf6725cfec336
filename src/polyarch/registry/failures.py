"""Why a request had no answer: errors of connections as errors for people."""

from polyarch.errors import RegistryError
from polyarch.oci.urls import authority
from polyarch.registry.message import ConnectError, ProxyError, ProxyLoginError, TLSError, UnknownHostError


def unreachable(error: Exception, url: str) -> RegistryError:
    """The error for a request to `url` that had no answer; `error` is the reason."""
    host = authority(url)
    if isinstance(error, ProxyLoginError):
        return RegistryError(
            f"the proxy in front of {host} cannot be used: {error}",
            "put them into the proxy's URL: http://USER:PASSWORD@PROXY:PORT",
        )
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
    """The innermost reason, in the system's words, where it has any."""
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


def nobody_listens(error: RegistryError) -> bool:
    """Whether there was not even a connection."""
    return isinstance(error.__cause__, ConnectError)


def speaks_no_tls(error: RegistryError) -> bool:
    """Whether TLS was tried, and what answered does not speak it: unlike one whose certificate is not trusted."""
    if not isinstance(error.__cause__, TLSError):
        return False
    import ssl

    cause = error.__cause__.__cause__
    return not isinstance(cause, ssl.SSLCertVerificationError) and "ALERT" not in (getattr(cause, "reason", "") or "")
