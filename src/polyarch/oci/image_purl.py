"""Package URLs of images: `pkg:docker/ghcr.io/app@v2?platform=linux%2Famd64` (github.com/package-url/purl-spec).

The form is that of BuildKit (util/purl/image.go). The name is docker's short one, and a registry is a part of it. An
image of an OCI layout has the type `oci` instead of `docker`.
"""

from urllib.parse import parse_qsl, quote, unquote

import msgspec

from polyarch.errors import CorruptError, PolyarchError
from polyarch.oci import digest as digests
from polyarch.oci import platform as platforms
from polyarch.oci import reference as references
from polyarch.oci.platform import Platform
from polyarch.oci.reference import Reference


class ImageUrl(msgspec.Struct, frozen=True):
    """What a package URL of an image says. `reference` has a tag, a digest or both."""

    reference: Reference
    platform: Platform | None = None
    kind: str = "docker"

    def __str__(self) -> str:
        name = self.reference.repository.familiar()
        path = "/".join(_encoded(part) for part in name.split("/"))
        # A reference with a digest gets no default tag.
        tagged = self.reference if self.reference.digest else self.reference.tagged()
        version = f"@{_encoded(tagged.tag)}" if tagged.tag else ""
        qualifiers = {
            "digest": self.reference.digest,
            "platform": str(platforms.normalize(self.platform)) if self.platform is not None else "",
        }
        query = "&".join(f"{key}={_encoded(value)}" for key, value in qualifiers.items() if value)
        return f"pkg:{self.kind}/{path}{version}{'?' + query if query else ''}"


def parse(text: str) -> ImageUrl:
    """Return what a package URL of an image says. Raises CorruptError for any other text."""
    scheme, _, rest = text.partition(":")
    rest, _, query = rest.partition("#")[0].partition("?")
    kind, _, path = rest.strip("/").partition("/")
    if scheme != "pkg" or kind.lower() not in ("docker", "oci") or not path:
        raise CorruptError(f"{text!r} is not the package URL of an image")
    # The last @ begins the version. A name contains none, and in a version it is encoded.
    head, _, version = path.rpartition("@") if "@" in path else (path, "", "")
    name, version = unquote(head), unquote(version)
    qualifiers = {key.lower(): value for key, value in parse_qsl(query.replace("+", "%2B"), keep_blank_values=True)}
    digest = qualifiers.get("digest", "")
    if digests.is_digest(version):
        if digest not in ("", version):
            raise CorruptError(f"{text!r} names two digests")
        digest, version = version, ""
    wanted = name + (f":{version}" if version else "") + (f"@{digest}" if digest else "")
    try:
        reference = references.parse(wanted)
        platform = platforms.parse(qualifiers["platform"]) if qualifiers.get("platform") else None
    except PolyarchError as error:
        raise CorruptError(f"{text!r} is not the package URL of an image: {error.message}") from None
    return ImageUrl(reference.tagged() if not digest else reference, platform, kind.lower())


def of(reference: Reference, platform: Platform | None = None) -> str:
    """Return the package URL of an image by its name: by its digest if it has one, else by its tag."""
    return str(ImageUrl(reference, platform))


def _encoded(text: str) -> str:
    """Percent-encoded, but for letters, digits and `.-_~:`."""
    return quote(text, safe=":")
