"""Manifests and lists of tags over HTTP."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import msgspec
from aiohttp import web

from polyarch.distribution import errors as codes
from polyarch.oci import digest as digests
from polyarch.oci import document as documents
from polyarch.oci import media_types
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.serve import bodies, conditions, pages, referring
from polyarch.serve.errors import RequestError
from polyarch.serve.guard import RIGHTS
from polyarch.serve.mirror import path_of
from polyarch.serve.service import Service


async def send_manifest(service: Service, request: web.Request, repository: str, name: str) -> web.StreamResponse:
    """`GET` and `HEAD` of a manifest (distribution-spec, end-3). Raises RequestError."""
    descriptor, raw = await service.run(lambda: service.repositories.read_manifest(repository, name))
    return respond(request, descriptor, raw)


def respond(request: web.Request, descriptor: Descriptor, raw: bytes) -> web.Response:
    """The response that carries a manifest."""
    headers = {
        "Content-Type": descriptor.media_type,
        "Docker-Content-Digest": descriptor.digest,
        "ETag": conditions.entity_tag(descriptor.digest),
    }
    if conditions.is_known(request, descriptor.digest):
        return web.Response(status=304, headers=headers)
    return web.Response(body=raw, headers=headers)


async def put_manifest(service: Service, request: web.Request, repository: str, name: str) -> web.StreamResponse:
    """`PUT` of a manifest (end-7a, end-7b). Raises RequestError."""
    raw = await _body(request)
    # Parameters are ignored, as the specification asks; so is the case (RFC 9110, section 8.3.1).
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    tags = request.query.getall("tag", [])
    if (quota := service.quota) is not None:
        await service.run(lambda: quota.require_manifest(raw, kind))
    check = conditions.precondition(request).check
    may_name = service.membership.knows(request[RIGHTS], repository)
    put = partial(service.repositories.put_manifest, check=check, may_name=may_name)
    pushed = await service.write(lambda: put(repository, name, raw, kind, tags))
    response = web.Response(status=201)
    response.headers["Location"] = f"/v2/{repository}/manifests/{pushed.descriptor.digest}"
    response.headers["Docker-Content-Digest"] = pushed.descriptor.digest
    if pushed.subject is not None:
        response.headers["OCI-Subject"] = pushed.subject
    for tag in tags:
        response.headers.add("OCI-Tag", tag)
    return response


async def list_tags(service: Service, request: web.Request, repository: str) -> web.StreamResponse:
    """`GET …/tags/list` (end-8a, end-8b). Raises RequestError."""
    return respond_tags(request, repository, await service.run(lambda: service.repositories.sorted_tags(repository)))


def respond_tags(request: web.Request, repository: str, tags: Sequence[str]) -> web.Response:
    """The response with the part of sorted tags that the request asks for. Raises RequestError."""
    found = pages.page(tags, request.query)
    return _list({"name": repository, "tags": found.items}, request, found.next)


async def list_repositories(service: Service, request: web.Request) -> web.StreamResponse:
    """`GET /v2/_catalog`, which the specification reserves and docker's registry has. Raises RequestError."""
    rights = request[RIGHTS]

    def chosen() -> pages.ListPage:
        everything = service.repositories.repositories()
        if service.mirror is not None:
            named = service.repositories.catalog().tagged
            fetched = service.mirror.repositories(service.repositories.store)
            # An image of this name in the store is listed already.
            everything = sorted({*everything, *(path_of(one) for one in fetched if str(one) not in named)})
        visible = everything if rights.all_alike else [one for one in everything if rights.may(one, "pull")]
        return pages.page(visible, request.query)

    found = await service.run(chosen)
    return _list({"repositories": found.items}, request, found.next)


async def list_referrers(
    service: Service, request: web.Request, repository: str, subject: Digest
) -> web.StreamResponse:
    """`GET …/referrers/DIGEST` (end-12a, end-12b): an empty list for what has none, or is not there."""
    return respond_referrers(request, await service.run(lambda: service.repositories.referrers(repository, subject)))


def respond_referrers(request: web.Request, referrers: Iterable[Descriptor]) -> web.Response:
    """The response with the part of a list of referrers that the request asks for."""
    # No media type has a space: it was a `+` that the client did not encode.
    kind = request.query.get("artifactType", "").replace(" ", "+")
    found = referring.page(referrers, kind, request.query.get("last", ""))
    headers = {"Content-Type": media_types.OCI_INDEX}
    if kind:
        headers["OCI-Filters-Applied"] = "artifactType"
    if found.next:
        headers["Link"] = pages.link(request.path, found.next)
    return web.Response(body=found.raw, headers=headers)


async def delete_manifest(service: Service, request: web.Request, repository: str, name: str) -> web.StreamResponse:
    """`DELETE` of a tag or a manifest (end-9). Raises RequestError."""
    if digests.is_digest(name):
        await service.write(lambda: service.repositories.delete_manifest(repository, Digest(name)))
    else:
        await service.write(lambda: service.repositories.delete_tag(repository, name))
    return web.Response(status=202)


def _list(document: Mapping[str, object], request: web.Request, following: str) -> web.Response:
    headers = {"Content-Type": "application/json"}
    if following:
        headers["Link"] = pages.link(request.path, following)
    return web.Response(body=msgspec.json.encode(document), headers=headers)


async def _body(request: web.Request) -> bytes:
    """The whole body of a request, a manifest. Raises RequestError if it is too large."""
    most = documents.MAX_SIZE
    parts: list[bytes] = []
    size = request.content_length or 0
    if size <= most:
        size = 0
        content = await bodies.opened(request)
        async for part in content.iter_any():
            parts.append(part)
            size += len(part)
            if size > most:
                break
    if size > most:
        raise RequestError(codes.MANIFEST_INVALID, f"a manifest has at most {most} bytes", status=413)
    return b"".join(parts)
