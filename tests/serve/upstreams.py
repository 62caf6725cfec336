"""A registry behind a mirror, which a test can make slow, broken, absent or dishonest. It counts what it is asked."""

import contextlib
import http.server
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from polyarch.oci import digest as digests
from polyarch.oci import media_types
from polyarch.oci.digest import Digest


class Upstream:
    """Content by path, and how it is answered.

    `status` is answered to everything; `statuses` to paths that end so. `pause` is seconds between two pieces of a
    blob, `corrupt` changes the last byte of blobs. `challenge` is the WWW-Authenticate of a 401 for requests without
    the Authorization `expected`.
    """

    def __init__(self) -> None:
        self.address = ""
        self.asked: list[str] = []
        self.agents: set[str] = set()
        self.content: dict[str, tuple[str, bytes]] = {}
        self.status = 0
        self.statuses: dict[str, int] = {}
        self.pause = 0.0
        self.corrupt = False
        self.expected = ""

    def manifest(self, repository: str, tag: str, document: dict[str, Any], kind: str) -> Digest:
        raw = msgspec.json.encode(document)
        for name in filter(None, (tag, digests.of(raw))):
            self.content[f"/v2/{repository}/manifests/{name}"] = (kind, raw)
        return digests.of(raw)

    def blob(self, repository: str, content: bytes) -> Digest:
        digest = digests.of(content)
        self.content[f"/v2/{repository}/blobs/{digest}"] = ("application/octet-stream", content)
        return digest

    def image(self, repository: str, tag: str, layer: bytes) -> Digest:
        config = b'{"architecture":"amd64","os":"linux"}'
        document = {
            "schemaVersion": 2,
            "mediaType": media_types.OCI_MANIFEST,
            "config": {
                "mediaType": media_types.OCI_CONFIG,
                "digest": self.blob(repository, config),
                "size": len(config),
            },
            "layers": [
                {"mediaType": media_types.OCI_LAYER, "digest": self.blob(repository, layer), "size": len(layer)}
            ],
        }
        return self.manifest(repository, tag, document, media_types.OCI_MANIFEST)

    def count(self, method: str, part: str) -> int:
        return sum(line.startswith(f"{method} ") and part in line for line in self.asked)


@contextlib.contextmanager
def running() -> Iterator[Upstream]:
    """An empty registry on loopback."""
    upstream = Upstream()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/v2/" and not upstream.expected:
                return self.answer(200, "application/json", b"{}")
            upstream.asked.append(f"{self.command} {path}")
            upstream.agents.add(self.headers.get("User-Agent", ""))
            if upstream.expected and self.headers.get("Authorization") != upstream.expected:
                return self.answer(401, "application/json", b"", {"WWW-Authenticate": 'Basic realm="x"'})
            status = upstream.status or next((s for end, s in upstream.statuses.items() if path.endswith(end)), 0)
            if status:
                return self.answer(status, "application/json", b'{"errors":[{"code":"X","message":"not now"}]}')
            if path.endswith("/tags/list"):
                prefix = path.removesuffix("tags/list") + "manifests/"
                names = [key.removeprefix(prefix) for key in upstream.content if key.startswith(prefix)]
                tags = [name for name in names if ":" not in name]
                return self.answer(200, "application/json", msgspec.json.encode({"name": "x", "tags": tags}))
            if path not in upstream.content:
                return self.answer(404, "application/json", b'{"errors":[{"code":"NAME_UNKNOWN","message":"no"}]}')
            kind, content = upstream.content[path]
            return self.answer(200, kind, content)

        do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

        def answer(self, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if "/manifests/" in self.path and status == 200:
                self.send_header("Docker-Content-Digest", digests.of(body))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "HEAD":
                return
            if upstream.corrupt and "/blobs/" in self.path:
                body = body[:-1] + b"?"
            for start in range(0, len(body), 256 << 10):
                self.wfile.write(body[start : start + (256 << 10)])
                if "/blobs/" in self.path:
                    time.sleep(upstream.pause)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.daemon_threads = True
        upstream.address = f"127.0.0.1:{made.server_address[1]}"
        thread = threading.Thread(target=made.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield upstream
        finally:
            made.shutdown()
            thread.join()
