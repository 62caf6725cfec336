"""Conditional requests (RFC 9110, section 13): the entity tag of content is its digest."""

from aiohttp import ETag, web

from polyarch.oci.digest import Digest


def entity_tag(digest: Digest) -> str:
    """The value of the ETag header."""
    return f'"{digest}"'


def is_known(request: web.Request, digest: Digest) -> bool:
    """Whether the client has the content already, by If-None-Match: the response is 304 then."""
    tags: tuple[ETag, ...] = request.if_none_match or ()
    return any(tag.value in (digest, "*") for tag in tags)
