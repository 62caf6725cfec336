"""Lists that are answered in pages (distribution-spec, "Listing Tags": `n`, `last`, and a Link to the next page)."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

import msgspec

from polyarch.distribution import errors as codes
from polyarch.serve.errors import RequestError

# A number with more digits is refused: it is not one of tags, and takes long to read.
_LONGEST = 18


class ListPage(msgspec.Struct, frozen=True):
    """A part of a sorted list, and the query of the next part; empty if this is the last one."""

    items: Sequence[str]
    next: str = ""


def page(items: Sequence[str], query: Mapping[str, str]) -> ListPage:
    """The part of the sorted `items` that the query asks for. Raises RequestError if `n` is not a number."""
    start = bisect_right(items, query["last"]) if "last" in query else 0
    if "n" not in query:
        return ListPage(items[start:] if start else items)
    text = query["n"]
    if not text.isascii() or not text.isdecimal() or len(text) > _LONGEST:
        raise RequestError(codes.UNSUPPORTED, f"n={text!r} is not a number of entries", status=400)
    count = int(text)
    part = items[start : start + count]
    if not count or start + count >= len(items):
        return ListPage(part)
    return ListPage(part, urlencode({"n": count, "last": part[-1]}))


def link(path: str, query: str) -> str:
    """The Link header for the next page (RFC 8288)."""
    return f'<{quote(path)}?{query}>; rel="next"'
