"""A server on loopback that answers as a test says: for token realms, redirects, cut bodies and other misfortunes."""

import contextlib
from collections.abc import Callable, Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit


class Asked(NamedTuple):
    """A request as it came."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Message
    body: bytes

    @property
    def authorization(self) -> str:
        return self.headers.get("Authorization", "")


class Answer(NamedTuple):
    """What to answer. With `cut`, the connection is closed after so many bytes of a body that claims to be whole."""

    status: int = 200
    headers: dict[str, str] = {}  # noqa: RUF012 (a NamedTuple's default, never changed)
    body: bytes = b""
    cut: int | None = None


class Server:
    """`address` is host:port; `asked` are the requests so far."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.asked: list[Asked] = []

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def lines(self) -> list[str]:
        return [f"{asked.method} {asked.path}" for asked in self.asked]


@contextlib.contextmanager
def serving(answer: Callable[[Asked], Answer]) -> Iterator[Server]:
    """A server that runs until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body are sent one after the other, and each answer would wait 40 ms for an acknowledgement.
        disable_nagle_algorithm = True

        def handle_one_request(self) -> None:
            try:
                self.raw_requestline = self.rfile.readline(65537)
            except ConnectionError:
                self.raw_requestline = b""  # who asked hung up in the middle of the last answer
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            parts = urlsplit(self.path)
            asked = Asked(self.command, parts.path, parse_qs(parts.query), self.headers, self._body())
            server.asked.append(asked)
            found = answer(asked)
            # The server's own clock, unless the answer has one.
            (self.send_response_only if "Date" in found.headers else self.send_response)(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            if "Content-Length" not in found.headers:
                self.send_header("Content-Length", str(len(found.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(found.body if found.cut is None else found.body[: found.cut])
            if found.cut is not None:
                self.close_connection = True

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                pieces = []
                while size := int(self.rfile.readline(), 16):
                    pieces.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(pieces)
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def log_message(self, *arguments: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    server = Server(f"127.0.0.1:{httpd.server_address[1]}")
    thread = Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()
