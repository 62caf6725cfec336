"""Conditional requests (RFC 9110, section 13): the entity tag of content is its digest."""

from collections.abc import Iterable

import msgspec
from aiohttp import ETag, web

from polyarch.distribution import errors as codes
from polyarch.oci.digest import Digest
from polyarch.serve.errors import RequestError

# As aiohttp reads `*`.
ETAG_ANY = "*"


def entity_tag(digest: Digest) -> str:
    """The value of the ETag header."""
    return f'"{digest}"'


class Precondition(msgspec.Struct, frozen=True):
    """What a tag may name for a push to replace it: If-Match and If-None-Match of a PUT, None without such a header.

    So several clients can change one tag, such as the fallback list of referrers, without losing each other's changes.
    """

    match: tuple[ETag, ...] | None = None
    none_match: tuple[ETag, ...] | None = None

    def check(self, current: Digest | None) -> None:
        """Raises RequestError (412) if the tag names another manifest than it may."""
        if self.match is not None and not _lists(self.match, current, weak=False):
            raise _failed("the tag names another manifest than If-Match says")
        if self.none_match is not None and _lists(self.none_match, current, weak=True):
            raise _failed("the tag names a manifest that If-None-Match excludes")


def precondition(request: web.Request) -> Precondition:
    """The precondition of a push."""
    return Precondition(request.if_match, request.if_none_match)


def is_known(request: web.Request, digest: Digest) -> bool:
    """Whether the client has the content already, by If-None-Match: the response is 304 then."""
    return _lists(request.if_none_match or (), digest, weak=True)


def _lists(tags: Iterable[ETag], digest: Digest | None, *, weak: bool) -> bool:
    """Whether one of the tags stands for the content. If-Match compares strongly (RFC 9110, section 8.8.3.2)."""
    if digest is None:
        return False
    return any(tag.value in (digest, ETAG_ANY) and (weak or not tag.is_weak) for tag in tags)


def _failed(message: str) -> RequestError:
    # The specification has no code for this.
    return RequestError(codes.DENIED, message, status=412)
