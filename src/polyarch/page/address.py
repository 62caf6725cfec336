"""Addresses of pages: what a path names, and the path of a page.

/                               all repositories
/team/app                       the tags of a repository
/team/app:1                     an image by its tag; /team/app@sha256:… by its digest
/team/app:1/linux/arm64         one platform of it
/team/app:1/-/check             a section: check, drift, packages, diff, diff/OTHER
/-/style.css                    a file of the page itself

A path has one meaning only: no repository has `:` or `@` in it, no tag has `/`, and no component of a repository and no
operating system begins with `-`. A path consists of letters, digits and `-._/:@+()`, so nothing needs an escape.
"""

import re
from collections.abc import Mapping

import msgspec

from polyarch.errors import UsageError
from polyarch.oci import digest as digests
from polyarch.oci import platform as platforms
from polyarch.oci import reference as references

SECTIONS = ("check", "drift", "packages", "diff")
# Where files of the page itself are.
ASSETS = "-/"

_PATH = re.compile(r"(?P<repository>[^:@]+)(?:(?P<kind>[:@])(?P<reference>[^/@]+)(?:/(?P<rest>.+))?)?")
_WORD = re.compile(r"[a-z0-9][a-z0-9_.-]*")
# windows(10.0.17763.1)
_SYSTEM = re.compile(r"(?P<name>[a-z0-9]+)(?:\([A-Za-z0-9_.+-]+\))?")


class PageAddress(msgspec.Struct, frozen=True, kw_only=True):
    """What a page shows. Fields that do not apply are empty; all are empty for the list of repositories.

    `reference` is a tag or a digest. There is a `platform` or a `section`, or neither. `other` is what the section
    `diff` compares with: a tag of the same repository, or a repository with a tag or digest. Without it, that is asked.
    """

    repository: str = ""
    reference: str = ""
    platform: str = ""
    section: str = ""
    other: str = ""

    @property
    def image(self) -> "PageAddress":
        """The image, without a platform or section."""
        return PageAddress(repository=self.repository, reference=self.reference)

    @property
    def name(self) -> str:
        """The image as one writes it: team/app:1, or team/app@sha256:…"""
        if not self.reference:
            return self.repository
        return f"{self.repository}{'@' if digests.is_digest(self.reference) else ':'}{self.reference}"

    @property
    def repository_page(self) -> "PageAddress":
        """The page of the repository."""
        return PageAddress(repository=self.repository)

    def for_platform(self, text: str) -> "PageAddress":
        """The page of a platform of this image."""
        return msgspec.structs.replace(self.image, platform=text)

    def in_section(self, section: str, other: str = "") -> "PageAddress":
        """A section of this image."""
        return msgspec.structs.replace(self.image, section=section, other=other)

    def by_digest(self, digest: str) -> "PageAddress":
        """The image of this digest in the same repository."""
        return PageAddress(repository=self.repository, reference=digest)

    def compared(self) -> "PageAddress | None":
        """The image that the section `diff` compares this one with; None if `other` names none."""
        if not re.search("[:@]", self.other):
            return self._checked(self.repository, self.other)
        found = parse(f"/{self.other}")
        return found if found is not None and found.reference and found == found.image else None

    @staticmethod
    def _checked(repository: str, reference: str) -> "PageAddress | None":
        address = PageAddress(repository=repository, reference=reference)
        return address if _is_name(address.name) else None


def parse(text: str) -> PageAddress | None:
    """The address that a path means, without percent escapes; None if it is none."""
    if text == "/":
        return PageAddress()
    match = _PATH.fullmatch(text.removeprefix("/"))
    found = _parsed(match) if match is not None else None
    # What `path` would write in another way is not an address, so each has one path.
    return found if found is not None and path(found) == text else None


def _parsed(match: re.Match[str]) -> PageAddress | None:
    address = PageAddress(repository=match["repository"], reference=match["reference"] or "")
    if not _is_name(address.name):
        return None
    rest = match["rest"] or ""
    if not rest.startswith("-/"):
        return address.for_platform(rest) if not rest or is_platform(rest) else None
    section, _, other = rest.removeprefix("-/").partition("/")
    if section not in SECTIONS or (other and section != "diff"):
        return None
    found = address.in_section(section, other)
    return found if not other or found.compared() is not None else None


def path(address: PageAddress) -> str:
    """The path of a page."""
    text = f"/{address.name}"
    if address.platform:
        text += f"/{address.platform}"
    if address.section:
        text += "/-/" + "/".join(filter(None, (address.section, address.other)))
    return text


def is_platform(text: str) -> bool:
    """Whether a path can have this platform in it. Others are reached by the digests of their images."""
    system, *rest = text.split("/")
    match = _SYSTEM.fullmatch(system)
    return (
        match is not None
        and match["name"] in platforms.KNOWN_SYSTEMS
        and 1 <= len(rest) <= 2
        and all(map(_WORD.fullmatch, rest))
        # Pages that are written to files have such names.
        and not text.endswith(".html")
    )


def takes_long(text: str, query: Mapping[str, str]) -> bool:
    """Whether a page may read the layers of an image. A server should not let these keep it from other work."""
    found = parse(text)
    return found is not None and (bool(found.section) or query.get("part") == "platforms")


def normal_platform(text: str) -> str:
    """The normal form of a platform in a path: linux/arm64 for linux/arm64/v8. Unchanged if it cannot be read."""
    try:
        return str(platforms.normalize(platforms.parse(text)))
    except UsageError:
        return text


def _is_name(text: str) -> bool:
    """Whether a repository, with or without a tag or digest, is one by the grammar of references."""
    try:
        return str(references.parse(f"localhost/{text}")) == f"localhost/{text}"
    except UsageError:
        return False
