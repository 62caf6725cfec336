"""What a page is made of: a template, and the values that it shows."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import msgspec

from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.page.address import PageAddress
from polyarch.page.commands import Host
from polyarch.page.language import Language
from polyarch.page.results import PageResults
from polyarch.page.source import StoredImages

if TYPE_CHECKING:
    from polyarch.store import Store

T = TypeVar("T")


class PageImages(Protocol):
    """The store as repositories: names, and what their tags point at."""

    def repositories(self) -> Sequence[str]:
        """The names of all repositories, sorted."""

    def tags(self, repository: str) -> Mapping[str, Descriptor]:
        """What each tag of a repository points at; empty for an unknown repository."""

    def resolve(self, repository: str, reference: str) -> Descriptor:
        """What a tag points at, or the manifest of a digest that belongs to the repository. Raises NotFoundError."""

    def referrers(self, repository: str, subject: Digest) -> Sequence[Descriptor]:
        """The manifests about `subject` that belong to the repository."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a page: its address, parameters and language.

    `host` is where images are pulled from, and `called` what a repository is called there. `visible` says whether the
    reader may see a repository. A page for a file is `static`: it has longer lists, because it cannot be asked again.
    """

    address: PageAddress
    query: Mapping[str, str]
    language: Language
    host: Host
    called: Callable[[str], str]
    visible: Callable[[str], bool]
    static: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """The words that are searched for, in lower case."""
        return tuple(self.query.get("q", "")[:200].lower().split())

    def pulled(self, address: PageAddress) -> str:
        """The name by which the image of an address is pulled."""
        return self.called(address.repository) + address.name.removeprefix(address.repository)

    @property
    def number(self) -> int:
        """The number of the page in a list, from 1."""
        text = self.query.get("page", "")
        return int(text) if text.isascii() and text.isdecimal() and 0 < len(text) < 7 and int(text) > 0 else 1


class PageView(msgspec.Struct, frozen=True, kw_only=True):
    """A template and its values. `title` is plain text."""

    template: str
    title: str
    values: Mapping[str, Any]
    status: int = 200


class Library(msgspec.Struct, frozen=True):
    """What views read from: the store, its repositories, and results that were computed before."""

    store: "Store"
    images: PageImages
    results: PageResults

    def source(self, repository: str) -> StoredImages:
        """The store as a repository sees it."""
        return StoredImages(self.store, functools.partial(self.images.referrers, repository))


class Pages(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list: its items, its number from 1, the number of pages, and of all items."""

    items: tuple[T, ...]
    number: int
    count: int
    total: int


def paged(items: Sequence[T], number: int, size: int) -> Pages[T]:
    """The page `number` of a list, the last one if there are fewer."""
    count = max(-(-len(items) // size), 1)
    number = min(number, count)
    return Pages(items=tuple(items[(number - 1) * size : number * size]), number=number, count=count, total=len(items))
