"""URLs in messages and statements: which parts may be shown."""

import re
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

# Query parameters of the registry API that are not secret. Others, such as upload states and signatures, are hidden.
_SHOWN = frozenset({"digest", "mount", "from", "n", "last", "scope", "service"})

# The user and the password of a URL within a text.
_CREDENTIALS = re.compile(r"(?<=://)[^/?#@\s\"']*@")


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


def without_credentials(text: str) -> str:
    """Return a text with the users and passwords of the URLs in it replaced, as BuildKit does: xxxxx:xxxxx@host."""
    return _CREDENTIALS.sub(lambda found: "xxxxx:xxxxx@" if ":" in found[0] else "xxxxx@", text)


def hidden(url: str) -> str:
    """Return a URL for a statement: without user and password, and without the values of its query.

    The query of a download may contain a token or a signature.
    """
    head, question, rest = without_credentials(url).partition("?")
    query, number, fragment = rest.partition("#")
    names = (pair.partition("=") for pair in query.split("&"))
    return (
        head + question + "&".join(f"{name}=xxxxx" if equals else name for name, equals, _ in names) + number + fragment
    )
