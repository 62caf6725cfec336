"""A bad network: an HTTP proxy on loopback before a registry, which does to each exchange what a test says.

It is a reverse proxy: the client takes it for the registry. It can ask for tokens, which the registry behind does not.
"""

import contextlib
import http.client
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

_CHUNK = 16 << 10


class Asked(NamedTuple):
    """A request as it came: `number` counts them from 1."""

    number: int
    method: str
    path: str
    headers: dict[str, str]

    @property
    def is_blob(self) -> bool:
        """Whether content of a blob would be the answer."""
        return self.method == "GET" and "/blobs/sha256:" in self.path

    @property
    def is_upload(self) -> bool:
        """Whether content of a blob comes with it."""
        return self.method in ("PUT", "PATCH") and "/uploads/" in self.path

    @property
    def is_manifest(self) -> bool:
        return "/manifests/" in self.path


class Fault(NamedTuple):
    """The faults of an exchange. Several may be combined; without any, the proxy behaves like a good network.

    status: answer so instead of asking the registry, with `headers`. wait: seconds before the answer. cut: close the
    connection after so many bytes of the answer's body. cut_upload: after so many bytes of the request's body.
    flip: change the byte at this place of the answer's body. rate: bytes a second. shorten: announce and send so many
    bytes less. redirect: send the client to this host (host:port) for the same path.
    """

    status: int = 0
    headers: dict[str, str] = {}  # noqa: RUF012 (a NamedTuple's default, never changed)
    wait: float = 0.0
    cut: int | None = None
    cut_upload: int | None = None
    flip: int | None = None
    rate: int = 0
    shorten: int = 0
    redirect: str = ""


GOOD = Fault()
Plan = Callable[[Asked], Fault]


class Proxy:
    """`address` is what the client is given; `asked` are the requests so far; `plan` may be changed at any time.

    With `token_seconds`, the registry's paths want a bearer token, which is good for so long, whatever is said of it.
    """

    def __init__(self, address: str, behind: str) -> None:
        self.address = address
        self.behind = behind
        self.asked: list[Asked] = []
        self.plan: Plan = lambda asked: GOOD
        self.token_seconds: float | None = None
        self.harmed = 0
        self._given: dict[str, float] = {}
        self._lock = threading.Lock()

    def note(self, method: str, path: str, headers: dict[str, str]) -> tuple[Asked, Fault]:
        """A request has come; what to do to it."""
        with self._lock:
            asked = Asked(len(self.asked) + 1, method, path, headers)
            self.asked.append(asked)
            fault = self.plan(asked)
            self.harmed += fault != GOOD
            return asked, fault

    def new_token(self) -> str:
        token = secrets.token_hex(16)
        with self._lock:
            self._given[token] = time.monotonic()
        return token

    def admits(self, authorization: str) -> bool:
        """Whether the token is still good."""
        if self.token_seconds is None:
            return True
        with self._lock:
            given = self._given.get(authorization.removeprefix("Bearer "))
            return given is not None and time.monotonic() - given < self.token_seconds


@contextlib.contextmanager
def between(behind: str) -> Iterator[Proxy]:
    """A proxy before the registry at `behind` (host:port), for the length of a `with`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            with contextlib.suppress(OSError):
                _exchange(self, proxy)

        do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 (the names that the base class looks for)

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Ignores clients that hang up: they are killed on purpose."""

    server = Server(("127.0.0.1", 0), Handler)
    proxy = Proxy(f"127.0.0.1:{server.server_address[1]}", behind)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _exchange(handler: BaseHTTPRequestHandler, proxy: Proxy) -> None:
    headers = dict(handler.headers.items())
    if handler.path.startswith("/token"):
        _plain(handler, 200, b'{"token":"%s","expires_in":300}' % proxy.new_token().encode())
        return
    asked, fault = proxy.note(handler.command, handler.path, headers)
    time.sleep(fault.wait)
    if not proxy.admits(headers.get("Authorization", "")):
        scope = f"repository:{handler.path.split('/v2/')[-1].rsplit('/', 2)[0]}:pull,push"
        challenge = f'Bearer realm="http://{proxy.address}/token",service="tests",scope="{scope}"'
        _drain(handler)
        _plain(handler, 401, b"{}", {"WWW-Authenticate": challenge})
    elif fault.redirect:
        _plain(handler, 307, b"", {"Location": f"http://{fault.redirect}{handler.path}"})
    elif fault.status:
        _drain(handler)
        _plain(handler, fault.status, b'{"errors":[{"code":"UNKNOWN","message":"a bad day"}]}', fault.headers)
    else:
        _forward(handler, proxy, asked, fault)


def _forward(handler: BaseHTTPRequestHandler, proxy: Proxy, asked: Asked, fault: Fault) -> None:
    connection = http.client.HTTPConnection(proxy.behind, timeout=30)
    try:
        sent = {name: value for name, value in asked.headers.items() if name.lower() != "authorization"}
        connection.putrequest(asked.method, asked.path, skip_host=True, skip_accept_encoding=True)
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders()
        taken = 0
        for piece in _body(handler):
            taken += len(piece)
            if fault.cut_upload is not None and taken > fault.cut_upload:
                _hang_up(handler)
                return
            connection.send(piece)
        answer = connection.getresponse()
        _answer(handler, answer, fault)
    finally:
        connection.close()


def _answer(handler: BaseHTTPRequestHandler, answer: http.client.HTTPResponse, fault: Fault) -> None:
    handler.send_response(answer.status)
    for name, value in answer.getheaders():
        if name.lower() == "content-length":
            value = str(int(value) - (fault.shorten if answer.status == 200 else 0))
        if name.lower() not in ("date", "server"):
            handler.send_header(name, value)
    handler.end_headers()
    left = int(answer.getheader("Content-Length") or 0) - fault.shorten
    place = 0
    while handler.command != "HEAD" and (piece := answer.read(min(_CHUNK, max(left, 0)))):
        if fault.flip is not None and place <= fault.flip < place + len(piece):
            at = fault.flip - place
            piece = piece[:at] + bytes([piece[at] ^ 0x55]) + piece[at + 1 :]
        if fault.cut is not None and place + len(piece) > fault.cut:
            handler.wfile.write(piece[: fault.cut - place])
            handler.wfile.flush()
            _hang_up(handler)
            return
        handler.wfile.write(piece)
        place += len(piece)
        left -= len(piece)
        if fault.rate:
            time.sleep(len(piece) / fault.rate)


def _body(handler: BaseHTTPRequestHandler) -> Iterator[bytes]:
    """The request's body. A chunked one is passed on as it came, framing included."""
    if handler.headers.get("Transfer-Encoding") == "chunked":
        while True:
            line = handler.rfile.readline()
            size = int(line, 16)
            yield line + handler.rfile.read(size + 2)
            if size == 0:
                return
    left = int(handler.headers.get("Content-Length") or 0)
    while left and (piece := handler.rfile.read(min(_CHUNK, left))):
        left -= len(piece)
        yield piece


def _drain(handler: BaseHTTPRequestHandler) -> None:
    for _ in _body(handler):
        pass


def _hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    with contextlib.suppress(OSError):
        handler.connection.shutdown(2)


def _plain(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


def query(path: str) -> dict[str, list[str]]:
    """The query of a request's path."""
    return parse_qs(urlsplit(path).query)
