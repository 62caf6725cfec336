"""Manifests and indexes of a repository (distribution-spec, "Pulling manifests", "Pushing manifests")."""

from polyarch.distribution import endpoints
from polyarch.errors import CorruptError, RegistryError
from polyarch.oci import digest as digests
from polyarch.oci import document as documents
from polyarch.oci import media_types
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.verify import verified
from polyarch.registry.http import Body, Headers
from polyarch.registry.response import Response
from polyarch.registry.wire import NO_HEAD, Wire

_ACCEPT = {"Accept": ", ".join(media_types.ACCEPTED)}
_UNPROCESSABLE = (400, 415, 422)
_KNOWN = media_types.INDEXES | media_types.MANIFESTS


def resolve(wire: Wire, name: str) -> Descriptor:
    """What a tag or digest points at."""
    what = wire.name(name)
    with wire.read(endpoints.CHECK_MANIFEST, name, what=what, headers=_ACCEPT, also_ok=NO_HEAD, reference=name) as head:
        try:
            found = _described(head, name, wire) if head.status == 200 else None
        except CorruptError:
            if not wire.distrust(head.mirror):
                raise
            found = None
    # A response to HEAD has no body, so the registry's own words about an absent tag need a GET as well.
    return found or fetch(wire, name)[0]


def points_at(wire: Wire, name: str) -> Digest | None:
    """The digest that the repository itself, not a mirror, has for a tag."""
    what = wire.name(name)
    with wire.request(
        endpoints.CHECK_MANIFEST, what=what, headers=_ACCEPT, also_ok=NO_HEAD, reference=name
    ) as response:
        digest = response.header("Docker-Content-Digest")
        return Digest(digest) if response.status == 200 and digests.is_digest(digest) else None


def fetch(wire: Wire, name: str) -> tuple[Descriptor, bytes]:
    """What a tag or digest points at, and its bytes, which are what the digest says."""
    with wire.read(endpoints.PULL_MANIFEST, name, what=wire.name(name), headers=_ACCEPT, reference=name) as response:
        raw = _body(response, wire.name(name))
        claimed = response.header("Docker-Content-Digest")
        media_type = _media_type(response)
    wanted = name if digests.is_digest(name) else claimed if digests.is_digest(claimed) else digests.of(raw)
    try:
        descriptor = Descriptor(media_type, Digest(wanted), len(raw))
        verified(raw, descriptor, wire.name(name))
        # OCI and docker have different names for one kind of document. The document's own name decides.
        known = documents.load(raw, media_type if media_type in _KNOWN else None).media_type
        return Descriptor(known, descriptor.digest, descriptor.size), raw
    except CorruptError:
        if not wire.distrust(response.mirror):
            raise
    return fetch(wire, name)


def read(wire: Wire, descriptor: Descriptor) -> bytes:
    """The bytes that a descriptor points at."""
    name = wire.name(descriptor.digest)
    if descriptor.size > documents.MAX_SIZE:
        raise CorruptError(f"{name} claims {descriptor.size} bytes; a manifest has at most {documents.MAX_SIZE}")
    sent = {"Accept": _accepted(descriptor)}
    with wire.read(
        endpoints.PULL_MANIFEST, descriptor.digest, what=name, headers=sent, reference=descriptor.digest
    ) as response:
        try:
            return verified(_body(response, name), descriptor, str(wire.reference))
        except CorruptError:
            if not wire.distrust(response.mirror):
                raise
    return read(wire, descriptor)


def has(wire: Wire, descriptor: Descriptor) -> bool:
    """Whether the repository itself, not a mirror, has the manifest."""
    with wire.lock:
        if descriptor.digest in wire.known:
            return True
    name = wire.name(descriptor.digest)
    sent = {"Accept": _accepted(descriptor)}
    with wire.request(
        endpoints.CHECK_MANIFEST, what=name, headers=sent, also_ok=NO_HEAD, reference=descriptor.digest
    ) as response:
        found = response.status == 200
    if found:
        wire.remember(descriptor.digest)
    return found


def write(
    wire: Wire, descriptor: Descriptor, raw: bytes, name: str | None, extra: Headers | None = None
) -> Digest | None:
    """Write a manifest under its digest or under a tag. Returns the subject under which the registry lists it.

    `extra` are headers of a condition.
    """
    verified(raw, descriptor, "what is to be written")
    version = name or descriptor.digest
    headers = {"Content-Type": descriptor.media_type, "Content-Length": str(len(raw))} | dict(extra or {})
    what = f"{wire.name(version)} cannot be written"
    with _put(wire, what, headers, raw, version) as response:
        stored, subject = response.header("Docker-Content-Digest"), response.header("OCI-Subject")
    if stored and digests.is_digest(stored) and stored != descriptor.digest:
        raise CorruptError(
            f"{wire.name(version)} was stored as {stored}, not as {descriptor.digest}: the registry changed it"
        )
    wire.remember(descriptor.digest)
    return Digest(subject) if digests.is_digest(subject) else None


def _put(wire: Wire, what: str, headers: Headers, raw: bytes, version: str) -> Response:
    try:
        return wire.request(endpoints.PUSH_MANIFEST, what=what, headers=headers, body=Body(raw), reference=version)
    except RegistryError as error:
        # Registries that know the manifests of OCI 1.0 only refuse those of artifacts.
        if error.status in _UNPROCESSABLE and b'"subject"' in raw:
            error.hint = error.hint or "the registry may not know `subject`: build with oci-artifact=false"
        raise


def delete(wire: Wire, digest: Digest) -> None:
    """Delete a manifest by its digest."""
    what = f"{wire.name(digest)} cannot be deleted"
    try:
        wire.request(endpoints.DELETE_MANIFEST, what=what, reference=digest).close()
    except RegistryError as error:
        if error.status == 405:
            error.hint = "this registry does not allow deleting; docker-registry does with storage.delete.enabled"
        raise
    finally:
        with wire.lock:
            wire.known.discard(digest)


def _described(response: Response, name: str, wire: Wire) -> Descriptor | None:
    """The descriptor in the headers; None if a necessary one is missing or meaningless."""
    digest, length, media_type = (
        response.header("Docker-Content-Digest"),
        response.header("Content-Length"),
        _media_type(response),
    )
    # Some proxies and frameworks say that the length is 0, because a response to HEAD has no body.
    if not digests.is_digest(digest) or not length.isdigit() or not int(length) or media_type not in _KNOWN:
        return None
    if response.is_gzipped:
        return None  # the length is that of the compressed body
    if digests.is_digest(name) and digest != name and digests.algorithm(Digest(digest)) == name.partition(":")[0]:
        raise CorruptError(f"{wire.name(name)}: the registry answers with {digest}")
    return Descriptor(media_type, Digest(digest), int(length))


def _accepted(descriptor: Descriptor) -> str:
    """The descriptor's own type, and the others: an index may call docker's manifests OCI's, or name artifacts."""
    return ", ".join(dict.fromkeys((descriptor.media_type, *media_types.ACCEPTED)))


def _media_type(response: Response) -> str:
    return response.header("Content-Type").partition(";")[0].strip()


def _body(response: Response, name: str) -> bytes:
    encoding = response.header("Content-Encoding").strip().lower()
    if encoding not in ("", "identity") and not response.is_gzipped:
        raise RegistryError(
            f"{name} came with the Content-Encoding {encoding}, though none was asked for",
            "a proxy or gateway in front of the registry compresses its responses: configure it not to",
        )
    raw = response.body(documents.MAX_SIZE + 1)
    if len(raw) > documents.MAX_SIZE:
        raise CorruptError(f"{name} is larger than the {documents.MAX_SIZE} bytes that a manifest may have")
    return raw
