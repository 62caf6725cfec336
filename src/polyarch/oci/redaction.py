"""URLs in statements about an image, which others read: what is put in the place of passwords and tokens."""

import re

# The user and the password of a URL within a text.
_CREDENTIALS = r"(?<=://)[^/?#@\s\"']*@"


def without_credentials(text: str) -> str:
    """Return a text with the users and passwords of the URLs in it replaced, as BuildKit does: xxxxx:xxxxx@host."""
    return re.sub(_CREDENTIALS, lambda found: "xxxxx:xxxxx@" if ":" in found[0] else "xxxxx@", text)


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
