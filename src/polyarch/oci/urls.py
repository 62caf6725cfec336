"""URLs in messages: which parts may be shown."""

from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

# Query parameters of the registry API that are not secret. Others, such as upload states and signatures, are hidden.
_SHOWN = frozenset({"digest", "mount", "from", "n", "last", "scope", "service"})


def authority(url: str) -> str:
    """Return the host of a URL with its port, without user and password.

    Raises ValueError for text that is not a URL.
    """
    return urlsplit(url).netloc.rpartition("@")[2]


def redact(url: str) -> str:
    """Return a URL that is safe to show: without user, password, fragment, and query values that may be secret.

    Text that is not a URL is replaced entirely.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return "…"
    query = "&".join(
        f"{name}={quote(value, safe='/:,') if name in _SHOWN else '…'}"
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    return urlunsplit((parts.scheme, authority(url), parts.path, query, ""))
