"""Pages as files: a directory that a browser opens without a server, with relative links and nothing from elsewhere.

index.html                                      all images, in English; zh/index.html: in Chinese
images/team/app/-/index.html                    a repository
images/team/app/-/tag/1/index.html              an image; also digest/sha256-…/index.html
images/team/app/-/tag/1/linux/arm64/index.html  one platform of it
images/team/app/-/tag/1/-/check/index.html      a section
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from markupsafe import Markup

from polyarch.errors import NotFoundError
from polyarch.oci import digest as digests
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.reference import Reference
from polyarch.page import links, templating
from polyarch.page.address import PageAddress
from polyarch.page.commands import Host
from polyarch.page.language import LANGUAGES, Language
from polyarch.page.site import Site
from polyarch.page.view import Request

if TYPE_CHECKING:
    from polyarch.store import Store

_MAIN = "en"


class InlinedAssets(msgspec.Struct, frozen=True):
    """Style and script of a page in a file, and the policy that allows these and nothing else."""

    style: Markup
    script: Markup
    policy: str


class PageFile(msgspec.Struct, frozen=True):
    """A page that is a file: its address, its number in a list, and the platform of a comparison."""

    address: PageAddress
    number: int = 1
    platform: str = ""


class ChosenImages:
    """Some images of a store as repositories: `PageImages` of exactly these names. It owns nothing."""

    def __init__(self, store: "Store", images: Iterable[tuple[Reference, Descriptor]]) -> None:
        self._store = store
        self._tags: dict[str, dict[str, Descriptor]] = {}
        self._names: dict[str, str] = {}
        for reference, descriptor in images:
            name = reference.repository.familiar()
            # A repository in an address has no colon; `serve` writes a port in the same way.
            repository = name.replace(":", "_")
            self._names[repository] = name
            self._tags.setdefault(repository, {})[reference.version] = descriptor

    def repositories(self) -> Sequence[str]:
        """Implements `PageImages`."""
        return sorted(self._tags)

    def tags(self, repository: str) -> Mapping[str, Descriptor]:
        """Implements `PageImages`. An image that was chosen by its digest has that in place of a tag."""
        return self._tags.get(repository, {})

    def resolve(self, repository: str, reference: str) -> Descriptor:
        """Implements `PageImages`."""
        found = self.tags(repository).get(reference)
        if found is not None:
            return found
        if not digests.is_digest(reference):
            raise NotFoundError(f"{repository} has no tag {reference}")
        return self._store.resolve(Digest(reference))

    def referrers(self, repository: str, subject: Digest) -> Sequence[Descriptor]:
        """Implements `PageImages`."""
        return self._store.referring().get(subject, ())

    def called(self, repository: str) -> str:
        """The name of a repository in commands."""
        return self._names.get(repository, repository)


class FileLinks:
    """Relative links from one file to others. `asked` has every page that a link was made to."""

    asks = False

    def __init__(self, here: PageFile, code: str) -> None:
        self._here = here
        self._code = code
        self.asked: dict[PageFile, None] = {}

    def page(self, address: PageAddress, query: Mapping[str, object] | None = None) -> str:
        """Implements `Links`. Of the parameters, the number of a page and a platform count."""
        given = query or {}
        file = PageFile(address, int(str(given.get("page") or 1)), str(given.get("platform") or ""))
        self.asked[file] = None
        return self._to(file, self._code)

    def asset(self, name: str) -> str:
        """Implements `Links`. A page in a file has its style and script inside."""
        raise AssertionError(f"a page in a file does not link to {name}")

    def in_language(self, code: str) -> str:
        """Implements `Links`."""
        return self._to(self._here, code)

    def parameter(self) -> str:
        """Implements `Links`."""
        return ""

    def _to(self, file: PageFile, code: str) -> str:
        depth = path_of(self._here, self._code).count("/")
        return "../" * depth + path_of(file, code)


def write(store: "Store", images: ChosenImages, directory: Path, now: float) -> int:
    """Write the pages of some images, in each language, and return how many files there are.

    `now` is in seconds since 1970. Raises OSError if a file cannot be written.
    """
    site = Site(store, images, clock=lambda: now)
    count = 0
    for code in LANGUAGES:
        for path, text in _pages(site, images, Language(code, now)):
            file = directory / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            count += 1
    return count


def path_of(file: PageFile, code: str = _MAIN) -> str:
    """The path of a file, below the directory."""
    address = file.address
    parts = [] if code == _MAIN else [code]
    parts += _image(address)
    if address.platform:
        parts.append(address.platform)
    if address.section:
        parts += ["-", address.section]
    if address.other:
        other = address.compared()
        assert other is not None
        parts += _image(other)
    if file.platform:
        parts += ["-", file.platform]
    return "/".join([*parts, "index.html" if file.number == 1 else f"index-{file.number}.html"])


def _image(address: PageAddress) -> list[str]:
    if not address.repository:
        return []
    parts = ["images", address.repository, "-"]
    if digests.is_digest(address.reference):
        parts += ["digest", address.reference.replace(":", "-")]
    elif address.reference:
        parts += ["tag", address.reference]
    return parts


def _pages(site: Site, images: ChosenImages, language: Language) -> Iterator[tuple[str, str]]:
    """The paths and texts of all pages that can be reached from the first one."""
    pending = [PageFile(PageAddress())]
    seen = set(pending)
    while pending:
        file = pending.pop()
        urls = FileLinks(file, language.code)
        request = Request(
            address=file.address,
            query={"page": str(file.number), "platform": file.platform},
            language=language,
            host=Host(),
            called=images.called,
            visible=lambda _: True,
            static=True,
        )
        frame = {"here": file.address, "host": request.host, "search": "", "inline": inline()}
        yield path_of(file, language.code), templating.render(site.view(request), language, urls, **frame)
        new = [page for page in urls.asked if page not in seen]
        seen.update(new)
        pending += new


@cache
def inline() -> InlinedAssets:
    """What a page in a file has inside."""
    style, *scripts = (links.content(name).decode() for name in ("style.css", "scheme.js", "page.js"))
    script = "\n".join(scripts)
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'"
    return InlinedAssets(Markup(style), Markup(script), policy)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
