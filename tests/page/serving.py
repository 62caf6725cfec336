"""A store as repositories, and a server for its pages on loopback: as little as a browser needs."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

from polyarch.errors import NotFoundError
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.page.site import Site
from polyarch.store import Store


class NamedImages:
    """The names of a store below localhost/, as repositories."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def _all(self) -> dict[str, dict[str, Descriptor]]:
        found: dict[str, dict[str, Descriptor]] = {}
        for name, descriptor in self._store.tagged().items():
            repository, _, tag = name.removeprefix("localhost/").rpartition(":")
            found.setdefault(repository, {})[tag] = descriptor
        return found

    def repositories(self) -> Sequence[str]:
        return sorted(self._all())

    def tags(self, repository: str) -> Mapping[str, Descriptor]:
        return self._all().get(repository, {})

    def resolve(self, repository: str, reference: str) -> Descriptor:
        tags = self.tags(repository)
        if reference in tags:
            return tags[reference]
        if not reference.startswith("sha256:"):
            raise NotFoundError(f"{repository} has no tag {reference}")
        return self._store.resolve(reference)

    def referrers(self, repository: str, subject: Digest) -> Sequence[Descriptor]:
        return self._store.referring().get(subject, ())


@contextmanager
def served(site: Site) -> Iterator[str]:
    """The origin of a server that shows a site."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            answer = site.respond(
                unquote(parts.path),
                dict(parse_qsl(parts.query)),
                self.headers.get("Accept-Language", ""),
                origin=f"http://{self.headers['Host']}",
                if_none_match=self.headers.get("If-None-Match", ""),
            )
            self.send_response(answer.status)
            headers = {"Content-Type": answer.media_type, "Content-Length": str(len(answer.body)), **answer.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def site_of(store: Store, now: float | None = None) -> Site:
    """The pages of a store, at a moment or now."""
    return Site(store, NamedImages(store), clock=time.time if now is None else lambda: now)
