"""The address of a farm, as users write it."""

from polyarch.errors import UsageError


def scheduler_address(text: str, *, insecure: bool = False) -> str:
    """The address of a scheduler as it is used: `tls://HOST:PORT`. Raises UsageError for a plain one."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "tls", text
    if scheme not in ("tls", "tcp") or not rest or "/" in rest:
        raise UsageError(f"{text!r} is not the address of a farm", "expected tls://HOST:PORT")
    if scheme == "tcp" and not insecure:
        raise UsageError(
            f"{text}: a farm without TLS runs the code of everyone who reaches it",
            "use tls:// with certificates of polyarch farm init, or add --insecure on a network that is yours alone",
        )
    name, colon, port = rest.rpartition(":")
    if not colon or not port.isdecimal():
        rest, name = f"{rest}:8786", rest
    elif int(port) > 65535:
        raise UsageError(f"{text!r} has no such port", "ports are at most 65535")
    if not name:
        raise UsageError(f"{text!r} has no host", "expected tls://HOST:PORT")
    return f"{scheme}://{rest}"
