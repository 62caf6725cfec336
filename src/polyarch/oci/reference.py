"""References: the name of an image, `[domain/]path[:tag][@digest]`, as in distribution's `reference` package.

`parse` returns docker's normal form: `ubuntu` is `docker.io/library/ubuntu`. Only `tagged` adds a tag.
"""

import re

import msgspec

from polyarch.errors import UsageError
from polyarch.oci import digest as digests
from polyarch.oci.digest import Digest

_DOMAIN = re.compile(
    r"(?:\[[0-9a-fA-F:]+\]|[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*)"
    r"(?::[0-9]+)?"
)
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_HEX_ONLY = re.compile(r"[a-f0-9]{64}")
_LONGEST_PATH = 255
_DEFAULT_DOMAIN = "docker.io"
_OFFICIAL = "library/"


class Reference(msgspec.Struct, frozen=True):
    """A parsed name. `domain` and `path` are always set; `tag` and `digest` may be empty."""

    domain: str
    path: str
    tag: str = ""
    digest: Digest = Digest("")

    def __str__(self) -> str:
        text = f"{self.domain}/{self.path}"
        if self.tag:
            text += f":{self.tag}"
        return f"{text}@{self.digest}" if self.digest else text

    @property
    def repository(self) -> "Reference":
        """The same name without tag and digest."""
        return Reference(self.domain, self.path)

    @property
    def version(self) -> str:
        """The digest, or else the tag: what a registry is asked for."""
        return self.digest or self.tag

    def tagged(self, tag: str = "latest") -> "Reference":
        """Return the same name, with `tag` if it has neither a tag nor a digest."""
        return self if self.tag or self.digest else Reference(self.domain, self.path, tag)

    def with_digest(self, digest: Digest) -> "Reference":
        """Return the same repository at this digest."""
        return Reference(self.domain, self.path, "", digest)

    def familiar(self) -> str:
        """Return the short form that docker prints, without docker.io and library."""
        text = str(self)
        if self.domain != _DEFAULT_DOMAIN:
            return text
        short = text.removeprefix(_DEFAULT_DOMAIN + "/")
        head, _, name = self.path.partition("/")
        if head + "/" == _OFFICIAL and "/" not in name and not _HEX_ONLY.fullmatch(name):
            return short.removeprefix(_OFFICIAL)
        # docker.io/a.b/c stays long: without its domain it would mean c on the host a.b.
        return text if is_host(head) else short


def parse(text: str) -> Reference:
    """Return the reference in `text`, in normal form. Raises UsageError with the reason."""
    hint = "expected [registry/]name[:tag][@digest], as in alpine:3.20 or localhost:5000/team/app:1.0"
    if not text:
        raise UsageError("an image name is empty", hint)
    if _HEX_ONLY.fullmatch(text):
        raise UsageError(f"{text!r} is an image id, not a name", hint)
    rest, _, digest = text.partition("@")
    if "@" in text and not digests.is_digest(digest):
        raise UsageError(f"{text!r} is not an image reference: {digest!r} is not a digest", hint)
    head, slash, tail = rest.partition("/")
    if slash and is_host(head):
        domain, remainder = head, tail
    else:
        domain, remainder = _DEFAULT_DOMAIN, rest
    path, colon, tag = remainder.partition(":")
    if domain == "index.docker.io":
        domain = _DEFAULT_DOMAIN
    if domain == _DEFAULT_DOMAIN and "/" not in path:
        path = _OFFICIAL + path
    if not _DOMAIN.fullmatch(domain):
        raise UsageError(f"{text!r} is not an image reference: {domain!r} is not a host name", hint)
    if not _PATH.fullmatch(path):
        why = (
            "a repository name must be lower case"
            if _PATH.fullmatch(path.lower())
            else f"{path!r} is not a repository name"
        )
        raise UsageError(f"{text!r} is not an image reference: {why}", hint)
    if len(path) > _LONGEST_PATH:
        raise UsageError(f"a repository name has at most {_LONGEST_PATH} characters", hint)
    if colon and not _TAG.fullmatch(tag):
        raise UsageError(f"{text!r} is not an image reference: {tag!r} is not a tag", hint)
    return Reference(domain, path, tag, Digest(digest))


def is_path(text: str) -> bool:
    """Return whether `text` is the path of a repository (distribution-spec, "Pulling manifests", `<name>`)."""
    return len(text) <= _LONGEST_PATH and _PATH.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    """Return whether `text` is a tag."""
    return _TAG.fullmatch(text) is not None


def is_host(head: str) -> bool:
    """Return whether the text before the first slash is a host, not the first part of a path on docker.io."""
    return "." in head or ":" in head or head == "localhost" or head.lower() != head
