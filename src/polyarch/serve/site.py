"""The page for browsers: what the server answers outside of /v2/."""

import asyncio
import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from aiohttp import web

from polyarch.errors import NotFoundError
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.serve import naming
from polyarch.serve.errors import RequestError
from polyarch.serve.guard import RIGHTS, base_url
from polyarch.serve.repositories import Repositories
from polyarch.serve.service import Service

if TYPE_CHECKING:
    from polyarch.page import PageAnswer, Site

Visible = Callable[[str], bool]
# Threads for pages that are made at once, and for those that read layers; and how many of the latter may wait.
_QUICK, _SLOW, _MOST_WAITING = 4, 1, 64


class PagedRepositories:
    """Repositories as the page asks for them: what is not there is no error."""

    def __init__(self, repositories: Repositories) -> None:
        self._repositories = repositories

    def repositories(self) -> Sequence[str]:
        """Implements `PageImages`."""
        return self._repositories.repositories()

    def tags(self, repository: str) -> Mapping[str, Descriptor]:
        """Implements `PageImages`."""
        try:
            return self._repositories.tags(repository)
        except RequestError:
            return {}

    def resolve(self, repository: str, reference: str) -> Descriptor:
        """Implements `PageImages`."""
        try:
            return self._repositories.resolve(repository, reference)
        except RequestError as error:
            raise NotFoundError(error.message) from error

    def referrers(self, repository: str, subject: Digest) -> Sequence[Descriptor]:
        """Implements `PageImages`."""
        return self._repositories.referrers(repository, subject)


class PageHandler:
    """Answers GET requests for pages.

    It owns two pools of threads until `close`: one for pages that are made at once, and one for those that read layers,
    so that neither keeps the registry from its work. The Site is made when the first request comes, because importing
    templates takes longer than a server takes to start.
    """

    def __init__(self, service: Service, clock: Callable[[], float] | None = None) -> None:
        self._service = service
        self._clock = clock
        self._mutex = threading.Lock()
        self._site: Site | None = None
        self._quick = ThreadPoolExecutor(_QUICK, "page")
        self._slow = ThreadPoolExecutor(_SLOW, "page-layers")
        self._waiting = 0

    async def answer(self, request: web.Request) -> web.Response:
        """The response to a request: with the repositories that the client may pull, or a question for a login."""
        try:
            await self._service.guard.check_page(request)
        except RequestError as error:
            return web.Response(status=error.status, text=f"{error.message}\n", headers=error.headers)
        rights = request[RIGHTS]

        def visible(repository: str) -> bool:
            # A pattern that fits one name of a repository gives no right to another one that it stands for.
            return all(rights.may(name, "pull") for name in {repository, naming.shortest(repository)})

        return await self.answer_for(request, None if rights.all_alike else visible)

    async def answer_for(self, request: web.Request, visible: Visible | None) -> web.Response:
        """The response to a request. `visible` says which repositories the client may see, by default all."""
        from polyarch.page.address import takes_long

        slow = takes_long(request.path, request.query)
        if slow and self._waiting >= _MOST_WAITING:
            return web.Response(status=503, text="Too many pages are being made.", headers={"Retry-After": "5"})
        self._waiting += slow
        try:
            work = functools.partial(self._respond, request, visible)
            found = await asyncio.get_running_loop().run_in_executor(self._slow if slow else self._quick, work)
        except Exception as error:
            self._service.report(error)
            return web.Response(status=500, text="This is a bug of the server.")
        finally:
            self._waiting -= slow
        body = None if found.status == 304 else found.body
        headers = {"Content-Type": found.media_type, **found.headers}
        return web.Response(status=found.status, body=body, headers=headers)

    def _respond(self, request: web.Request, visible: Visible | None) -> "PageAnswer":
        return self._made().respond(
            request.path,
            request.query,
            request.headers.get("Accept-Language", ""),
            origin=base_url(request),
            visible=visible or (lambda _: True),
            if_none_match=request.headers.get("If-None-Match", ""),
        )

    def _made(self) -> "Site":
        with self._mutex:
            if self._site is None:
                from polyarch.page import Site

                repositories = self._service.repositories
                self._site = Site(repositories.store, PagedRepositories(repositories), clock=self._clock)
            return self._site

    async def close(self, _: web.Application) -> None:
        """Let the pages that are being made end, and make no more. For the signal `on_cleanup`."""
        for pool in (self._quick, self._slow):
            pool.shutdown(cancel_futures=True)
