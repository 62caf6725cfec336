"""Headers with their own grammar: Range, Content-Range, Link."""

import re
from collections.abc import Iterable

# Patterns are text until they are needed: compiling them would cost every start of a command.
_CONTENT_RANGE = r"bytes (\d+)-\d*/(?:\d+|\*)"
_NEXT = r'<([^>]*)>[^,]*;\s*rel="?next"?(?:[\s,;]|$)'


def byte_range(start: int, end: int | None = None) -> str:
    """The Range for the bytes from `start` up to, but not including, `end` (RFC 9110, section 14.2)."""
    return f"bytes={start}-{'' if end is None else end - 1}"


def range_start(content_range: str) -> int | None:
    """The first byte position of a Content-Range; None if it is malformed (RFC 9110, section 14.4)."""
    match = re.match(_CONTENT_RANGE, content_range)
    return None if match is None else int(match[1])


def next_page(links: Iterable[str]) -> str | None:
    """The URL of the next page in Link headers, None on the last page (RFC 8288; distribution-spec, "Listing Tags")."""
    match = next(filter(None, (re.search(_NEXT, link) for link in links)), None)
    return None if match is None else match[1]
