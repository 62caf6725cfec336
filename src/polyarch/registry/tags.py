"""The tags of a repository (distribution-spec, "Listing Tags")."""

import re
from typing import Any

import msgspec

from polyarch.errors import CorruptError, RegistryError
from polyarch.registry.http import joined, origin_differs
from polyarch.registry.wire import Wire

_NEXT = r'<([^>]*)>[^,]*;\s*rel="?next"?(?:[\s,;]|$)'
_LARGEST_PAGE = 32 << 20
_PAGE = 1000
# A registry whose pages never end is not believed.
_MOST_PAGES = 10_000


def list_(wire: Wire) -> tuple[str, ...]:
    """All tags, sorted."""
    found: set[str] = set()
    target = wire.path(f"tags/list?n={_PAGE}")
    for _ in range(_MOST_PAGES):
        with wire.request("GET", target, what=str(wire.reference)) as response:
            found.update(_tags(response.body(_LARGEST_PAGE), wire))
            match = next(filter(None, (re.search(_NEXT, link) for link in response.headers("Link"))), None)
            url = response.url
        if match is None:
            return tuple(sorted(found))
        target = joined(url, match[1])
        if origin_differs(url, target):
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
