"""URLs in messages: what may be shown of one."""

from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

# Query parameters of the registry API that are not secret. All others are hidden, such as upload states and signatures.
_SHOWN = frozenset({"digest", "mount", "from", "n", "last", "scope", "service"})


def authority(url: str) -> str:
    """The host of a URL with its port, without user and password: for messages and for decisions.

    Raises ValueError for text that is not a URL.
    """
    return urlsplit(url).netloc.rpartition("@")[2]


def redact(url: str) -> str:
    """A URL fit to be shown: without user, password, fragment, and query values that may be secret.

    Nothing is shown of text that is not a URL.
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
