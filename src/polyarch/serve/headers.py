"""Headers of every response, which tell browsers what not to do with it. A page may say more of its own."""

from collections.abc import MutableMapping

# Blobs and manifests are what a client pushed. A browser that is sent to one shows it as a page of no origin, without
# scripts.
_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"

_ALWAYS = {
    "Server": "polyarch",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def add(headers: MutableMapping[str, str]) -> None:
    """Add the headers to those of a response."""
    headers.update(_ALWAYS)
    headers.setdefault("Referrer-Policy", "no-referrer")
    headers.setdefault("Content-Security-Policy", _POLICY)
