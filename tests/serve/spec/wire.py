"""Requests and answers as values, and the ways to get from one to the other: a connection, and a recording of one."""

import contextlib
import http.client
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import h11

TIMEOUT_SECONDS = 20.0
# A client that waits for 100 Continue does not wait long (RFC 9110, 10.1.1).
_INTERIM_SECONDS = 2.0
_PIECE = 64 * 1024


class Broken(Exception):  # noqa: N818 - it is an answer, not a fault of the program
    """A server does not do what a clause asks: what it does instead, without anything that differs by run."""


class Request(NamedTuple):
    """`path` is with its query. Of a body that is `chunked` the server does not know the length beforehand."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    chunked: bool = False


class Answer(NamedTuple):
    """What a server said: headers as they came, and the body as it was sent."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        """The values of a header, in the order in which they came."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """The value of a header, several joined as RFC 9110, 5.3 says; None if it is absent."""
        return ", ".join(values) if (values := self.all(name)) else None

    def json(self) -> Any:
        """The body as JSON; None if it is not."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Exchange(NamedTuple):
    request: Request
    answer: Answer


class Transport(Protocol):
    """What sends requests to one server."""

    def send(self, request: Request) -> Answer: ...

    def send_expecting(self, request: Request) -> list[Answer]:
        """Send a request with `Expect: 100-continue`, its body only after 100 Continue: all answers in their order.

        A connection that is closed after 100 has no other answer.
        """
        ...

    def abandon(self, request: Request, sent: int) -> None:
        """Send a request and `sent` bytes of its body, then close the connection."""
        ...


class Connection:
    """One connection to `host:port`, opened again when the server has closed it. Its owner closes it.

    `always` are headers of every request that does not have them itself.
    """

    def __init__(self, address: str, always: Mapping[str, str] | None = None) -> None:
        self.address = address
        self._always = always or {}
        host, _, port = address.rpartition(":")
        self._host, self._port = host, int(port)
        self._http = http.client.HTTPConnection(host, self._port, timeout=TIMEOUT_SECONDS)

    def close(self) -> None:
        self._http.close()

    def send(self, request: Request) -> Answer:
        for attempt in (1, 2):
            try:
                return self._send(request)
            except (ConnectionError, http.client.BadStatusLine):
                # A server may close an idle connection at any time; on a new one this is an answer of its own.
                self._http.close()
                if attempt == 2:
                    raise Broken(f"{request.method}: the connection is closed without an answer") from None
            except http.client.IncompleteRead:
                self._http.close()
                raise Broken(f"{request.method}: a body that is shorter than its Content-Length") from None
            except (OSError, http.client.HTTPException) as problem:
                self._http.close()
                raise Broken(f"{request.method}: {type(problem).__name__}") from problem
        raise AssertionError("unreachable")

    def _send(self, request: Request) -> Answer:
        body = request.body
        self._http.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
        headers = self._headers(request)
        named = {name.lower() for name, _ in headers}
        if "host" not in named:
            headers.append(("Host", self.address))
        if request.chunked:
            headers.append(("Transfer-Encoding", "chunked"))
        elif body is not None:
            headers.append(("Content-Length", str(len(body))))
        for name, value in headers:
            self._http.putheader(name, value)
        sent = iter(_pieces(body or b"")) if request.chunked else body
        self._http.endheaders(sent, encode_chunked=request.chunked)
        response = self._http.getresponse()
        return Answer(response.status, tuple(response.getheaders()), response.read())

    def _headers(self, request: Request) -> list[tuple[str, str]]:
        """Those of the request, several of which may have one name, and of those of every request what it lacks."""
        own = {name.lower() for name, _ in request.headers}
        return [*request.headers, *(pair for pair in self._always.items() if pair[0].lower() not in own)]

    def send_expecting(self, request: Request) -> list[Answer]:
        answers: list[Answer] = []
        talk = h11.Connection(h11.CLIENT)
        body = request.body or b""
        headers = [("Host", self.address), ("Expect", "100-continue"), ("Content-Length", str(len(body)))]
        with socket.create_connection((self._host, self._port), _INTERIM_SECONDS) as raw:
            head = h11.Request(method=request.method, target=request.path, headers=[*headers, *self._headers(request)])
            raw.sendall(talk.send(head) or b"")
            try:
                answers.append(_read(talk, raw))
            except TimeoutError:
                raise Broken(f"{request.method} with Expect: no answer") from None
            raw.settimeout(TIMEOUT_SECONDS)
            if answers[-1].status == 100:
                with contextlib.suppress(ConnectionError):  # The answer may come before all is sent.
                    raw.sendall((talk.send(h11.Data(data=body)) or b"") + (talk.send(h11.EndOfMessage()) or b""))
                with contextlib.suppress(ConnectionError):
                    answers.append(_read(talk, raw))
        return answers

    def abandon(self, request: Request, sent: int) -> None:
        body = request.body or b""
        lines = [f"{request.method} {request.path} HTTP/1.1", f"Host: {self.address}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in self._headers(request)]
        with socket.create_connection((self._host, self._port), TIMEOUT_SECONDS) as raw:
            raw.sendall("\r\n".join([*lines, "", ""]).encode() + body[:sent])
            raw.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):  # Until the server has noticed, whatever it says about it
                while raw.recv(_PIECE):
                    pass


def _pieces(body: bytes) -> list[bytes]:
    return [body[start : start + _PIECE] for start in range(0, len(body), _PIECE)]


def _read(talk: h11.Connection, raw: socket.socket) -> Answer:
    """The next answer, an interim one (1xx) without a body."""
    status, headers, body = 0, (), b""
    while True:
        event: Any = talk.next_event()
        if event is h11.NEED_DATA:
            talk.receive_data(raw.recv(_PIECE))
        elif isinstance(event, h11.InformationalResponse):
            return Answer(event.status_code)
        elif isinstance(event, h11.Response):
            status = event.status_code
            headers = tuple((name.decode(), value.decode()) for name, value in event.headers)
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        else:
            return Answer(status, headers, body)


class Recorder:
    """Sends with another transport, and keeps every exchange."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.exchanges: list[Exchange] = []

    def send(self, request: Request) -> Answer:
        answer = self._transport.send(request)
        self.exchanges.append(Exchange(request, answer))
        return answer

    def send_expecting(self, request: Request) -> list[Answer]:
        answers = self._transport.send_expecting(request)
        self.exchanges += [Exchange(request, answer) for answer in answers]
        return answers

    def abandon(self, request: Request, sent: int) -> None:
        self._transport.abandon(request, sent)


class Elsewhere(Exception):  # noqa: N818 - it is an answer, not a fault of the program
    """A recording has no answer for what is asked of it."""


class Replay:
    """Gives recorded answers again, in their order, the one at `place` changed by `change`."""

    def __init__(self, exchanges: Sequence[Exchange], place: int, change: Callable[[Answer], Answer]) -> None:
        self._answers = [exchange.answer for exchange in exchanges]
        self._answers[place] = change(self._answers[place])
        self._next = 0

    def send(self, request: Request) -> Answer:
        if self._next == len(self._answers):
            raise Elsewhere(f"{request.method} {request.path} was not asked")
        self._next += 1
        return self._answers[self._next - 1]

    def send_expecting(self, request: Request) -> list[Answer]:
        first = self.send(request)
        return [first, self.send(request)] if first.status == 100 else [first]

    def abandon(self, request: Request, sent: int) -> None:
        pass
