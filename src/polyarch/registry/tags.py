"""The tags of a repository (distribution-spec, "Listing Tags")."""

from typing import Any

import msgspec

from polyarch.distribution import endpoints
from polyarch.distribution.headers import next_page
from polyarch.errors import CorruptError, RegistryError
from polyarch.registry.http import joined, origin_differs
from polyarch.registry.wire import Wire

_LARGEST_PAGE = 32 << 20
_PAGE = "1000"
# More pages than this are an error: the registry would never end.
_MOST_PAGES = 10_000


def list_(wire: Wire) -> tuple[str, ...]:
    """All tags, sorted."""
    found: set[str] = set()
    page = ""
    for _ in range(_MOST_PAGES):
        with wire.request(endpoints.LIST_TAGS, page, what=str(wire.reference), count=_PAGE) as response:
            found.update(_tags(response.body(_LARGEST_PAGE), wire))
            following, url = next_page(response.headers("Link")), response.url
        if following is None:
            return tuple(sorted(found))
        page = joined(url, following)
        if origin_differs(url, page):
            raise RegistryError(f"{wire.own.host} continues its list of tags at another host")
    raise RegistryError(f"the list of tags of {wire.reference} is endless")


def _tags(body: bytes, wire: Wire) -> list[str]:
    try:
        document: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptError(f"the list of tags of {wire.reference} is not valid JSON") from error
    # A repository whose tags are all deleted says null.
    names = document.get("tags") or [] if isinstance(document, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CorruptError(f"the list of tags of {wire.reference} is not what the specification says")
    return names
