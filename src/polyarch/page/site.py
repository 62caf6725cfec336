"""Answers requests for pages. It is synchronous, knows no HTTP, and may be called from many threads."""

import contextlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from polyarch.errors import NotFoundError, PolyarchError, UsageError
from polyarch.page import address as addresses
from polyarch.page import answer as answers
from polyarch.page import commands, language, links, reading, templating
from polyarch.page.address import PageAddress
from polyarch.page.answer import PageAnswer
from polyarch.page.language import Language
from polyarch.page.links import ServerLinks
from polyarch.page.results import PageResults
from polyarch.page.view import Library, PageView, Request
from polyarch.page.view import PageImages as PageImages
from polyarch.page.views import errors, image, lists, sections

if TYPE_CHECKING:
    from polyarch.store import Store

_SECTIONS = {
    "check": sections.check,
    "drift": sections.drift,
    "diff": sections.diff,
    "packages": sections.package_list,
}


def _everything(repository: str) -> bool:
    return True


class Site:
    """The pages of a store. It owns nothing: the store belongs to the caller, and so do `results`, which a server may
    give to the next Site when it opens its store anew. `clock` returns the time in seconds since 1970; without it,
    pages have dates instead of ages.
    """

    def __init__(
        self,
        store: "Store",
        images: PageImages,
        *,
        clock: Callable[[], float] | None = None,
        results: PageResults | None = None,
    ) -> None:
        self._library = Library(store, images, results or PageResults())
        self._clock = clock

    def respond(
        self,
        path: str,
        query: Mapping[str, str],
        accept_language: str,
        *,
        origin: str = "",
        visible: Callable[[str], bool] = _everything,
        if_none_match: str = "",
    ) -> PageAnswer:
        """The answer to GET `path`, which is decoded and begins with a slash.

        `accept_language` and `if_none_match` are those headers; `origin` is where the client reaches the registry, such
        as http://127.0.0.1:5000, for the commands that are shown. `visible` says which repositories the reader may see;
        the others do not exist.
        """
        name = path.removeprefix(f"/{addresses.ASSETS}")
        if name != path and name in links.ASSETS:
            asset = answers.of_asset(links.content(name), links.ASSETS[name])
            return answers.unchanged(asset, if_none_match)
        asked = query.get("lang", "")
        asked = asked if asked in language.LANGUAGES else ""
        found = addresses.parse(path)
        host = commands.host_of(origin)
        request = Request(
            address=found or PageAddress(),
            query=query,
            language=Language(asked or language.choose(accept_language), self._now()),
            host=host,
            called=lambda repository: f"{host.name}/{repository}" if host.name else repository,
            visible=visible,
        )
        urls = ServerLinks(request.address, query, asked)
        if found is None:
            shown = self._moved(path, urls) or errors.bad_address(request, path)
        else:
            shown = self._elsewhere(request, urls) or self.view(request)
        if isinstance(shown, str):
            return answers.of_redirect(shown)
        is_part = query.get("part") == "platforms" and shown.template in ("image.html", "platform.html")
        template = "part.html" if is_part else shown.template
        text = templating.render(
            PageView(template=template, title=shown.title, values=shown.values, status=shown.status),
            request.language,
            urls,
            here=request.address,
            host=request.host,
            search=query.get("q", "") if not request.address.repository else "",
            inline=None,
        )
        return answers.unchanged(answers.of_html(text, shown.status), if_none_match)

    def _now(self) -> float | None:
        return None if self._clock is None else self._clock()

    def view(self, request: Request) -> PageView:
        """What the page of a request shows; never an error, but a view that explains it."""
        address = request.address
        if address.repository and not self._exists(request):
            return errors.no_repository(self._library, request)
        try:
            return self._view(request)
        except NotFoundError as error:
            if address.section == "diff" and address.other:
                return errors.cannot_show(request, error, 404)
            return errors.no_image(self._library, request)
        except UsageError as error:
            return errors.cannot_show(request, error, 400)
        except PolyarchError as error:
            return errors.cannot_show(request, error, 500)

    def _view(self, request: Request) -> PageView:
        address = request.address
        if not address.repository:
            return lists.repositories(self._library, request)
        if not address.reference:
            return lists.repository(self._library, request)
        if address.section:
            return _SECTIONS[address.section](self._library, request)
        if request.static or request.query.get("part") == "platforms":
            self._check(request)
        if not address.platform:
            return image.image(self._library, request)
        root = self._library.images.resolve(address.repository, address.reference)
        shown = reading.read(self._library.source(address.repository), root)
        for one in shown.platforms:
            if one.slug == address.platform:
                return image.platform(self._library, request, shown, one)
        return errors.no_platform(request, shown)

    def _check(self, request: Request) -> None:
        """Check the contents of an image, so that its page shows the result. Something else has none."""
        with contextlib.suppress(PolyarchError):
            sections.check(self._library, request)

    def _exists(self, request: Request) -> bool:
        """Whether the reader may see the repository, and it has an image."""
        name = request.address.repository
        if not request.visible(name):
            return False
        return bool(self._library.images.tags(name)) or name in self._library.images.repositories()

    def _moved(self, path: str, urls: ServerLinks) -> str:
        """Where a path with a needless slash at its end leads; empty if there is no such page."""
        found = addresses.parse(path.rstrip("/")) if path.endswith("/") else None
        return urls.page(found) if found is not None else ""

    def _elsewhere(self, request: Request, urls: ServerLinks) -> str:
        """Where a request leads that another page answers: another spelling of a platform, or a form."""
        address = request.address
        normal = addresses.normal_platform(address.platform) if address.platform else ""
        if normal != address.platform:
            return urls.page(address.for_platform(normal))
        other = request.query.get("with", "").strip()
        if address.section == "diff" and not address.other and other:
            target = addresses.parse(addresses.path(address.in_section("diff", other.lstrip("/"))))
            return urls.page(target) if target is not None else ""
        return ""
