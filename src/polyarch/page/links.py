"""Links between pages: as paths of a server, or as relative paths of files."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlencode

from polyarch.page import address as addresses
from polyarch.page.address import PageAddress

_DIRECTORY = Path(__file__).parent / "assets"
# The files of the page itself, and their media types.
ASSETS: Final[Mapping[str, str]] = {
    "style.css": "text/css; charset=utf-8",
    "scheme.js": "text/javascript; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


class Links(Protocol):
    """How one page links to others. `asks` says whether there is a server, which can answer a form."""

    asks: bool

    def page(self, address: PageAddress, query: Mapping[str, object] | None = None) -> str:
        """The link to a page, with parameters."""

    def asset(self, name: str) -> str:
        """The link to a file of `ASSETS`."""

    def in_language(self, code: str) -> str:
        """The link to this page in another language."""

    def parameter(self) -> str:
        """The code of the language that forms pass on; empty if the reader has not chosen one."""


class ServerLinks:
    """Links of a page that a server shows. A language that was asked for by a parameter stays in all of them."""

    asks = True

    def __init__(self, here: PageAddress, query: Mapping[str, str], language: str) -> None:
        self._here = here
        self._query = query
        self._language = language

    def page(self, address: PageAddress, query: Mapping[str, object] | None = None) -> str:
        """Implements `Links`."""
        parameters = {key: value for key, value in (query or {}).items() if value}
        if self._language:
            parameters["lang"] = self._language
        path = addresses.path(address)
        return f"{path}?{urlencode(parameters)}" if parameters else path

    def asset(self, name: str) -> str:
        """Implements `Links`. The link changes with the content, so a browser may keep that forever."""
        return f"/{addresses.ASSETS}{name}?{version(name)}"

    def in_language(self, code: str) -> str:
        """Implements `Links`."""
        rest = {key: value for key, value in self._query.items() if key != "lang" and value}
        return f"{addresses.path(self._here)}?{urlencode({**rest, 'lang': code})}"

    def parameter(self) -> str:
        """Implements `Links`."""
        return self._language


@cache
def content(name: str) -> bytes:
    """The bytes of a file of `ASSETS`."""
    return (_DIRECTORY / name).read_bytes()


@cache
def version(name: str) -> str:
    """A short text that changes with the content of a file."""
    return hashlib.sha256(content(name)).hexdigest()[:12]
