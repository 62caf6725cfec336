"""HTTP/1.1 on a socket, against a server that says exactly what a test wants it to say."""

import socket
import threading
from collections.abc import Iterator

import pytest

from polyarch.registry.connection import Address, Direct, Pool
from polyarch.registry.message import ConnectError, CutError, NoResponseError, RawResponse, StaleError, UnknownHostError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Scripted:
    """A server that reads one request at a time and answers with the next of its answers; None hangs up."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = Address("127.0.0.1", self._listener.getsockname()[1])
        self.answers: list[bytes | None] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                while self.answers and (request := self._request(connection)):
                    self.requests.append(request)
                    answer = self.answers.pop(0)
                    if answer is None:
                        break
                    connection.sendall(answer)

    def _request(self, connection: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return b""
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        if b"chunked" in head:
            while not body.endswith(b"0\r\n\r\n"):
                body += connection.recv(65536)
        elif b"Content-Length: " in head:
            length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
            while len(body) < length:
                body += connection.recv(65536)
        return head + b"\r\n\r\n" + body


@pytest.fixture
def server() -> Iterator[Scripted]:
    scripted = Scripted()
    yield scripted
    scripted.close()


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(Direct(), 5) as made:
        yield made


def ask(pool: Pool, server: Scripted, method: str = "GET", body: bytes | None = None) -> RawResponse:
    return pool.request(method, server.address, "example.com:5000", "/v2/", {"Accept": "x"}, body, 5)


def test_a_request_has_what_http_asks_for(pool: Pool, server: Scripted) -> None:
    server.answers = [OK]
    answer = ask(pool, server)
    assert (answer.status, answer.read(), answer.fields.get("content-LENGTH")) == (200, b"hello", "5")
    assert server.requests[0].startswith(b"GET /v2/ HTTP/1.1\r\nHost: example.com:5000\r\n")
    assert b"\r\nAccept: x\r\n" in server.requests[0]


def test_a_connection_is_used_again_once_its_answer_was_read(pool: Pool, server: Scripted) -> None:
    server.answers = [OK, OK]
    for _ in range(2):
        answer = ask(pool, server)
        answer.read()
        answer.release()
    assert server.connections == 1


def test_a_connection_with_something_left_on_it_is_closed(pool: Pool, server: Scripted) -> None:
    server.answers = [OK]
    ask(pool, server).release()
    server.answers = [OK]
    assert ask(pool, server).read() == b"hello"
    assert server.connections == 2


def test_a_connection_that_was_closed_meanwhile_is_not_used(pool: Pool, server: Scripted) -> None:
    server.answers = [OK]
    answer = ask(pool, server)
    answer.read()
    answer.release()  # the server has no more answers, so it hangs up
    threading.Event().wait(0.1)
    server.answers = [OK]
    assert ask(pool, server).read() == b"hello"


def test_a_connection_that_is_closed_just_when_a_request_is_sent_is_told_from_a_failure(
    pool: Pool, server: Scripted
) -> None:
    server.answers = [OK, None]
    answer = ask(pool, server)
    answer.read()
    answer.release()
    with pytest.raises(StaleError):
        ask(pool, server)
    server.answers = [None]
    with pytest.raises(NoResponseError) as caught:
        ask(pool, server)
    assert not isinstance(caught.value, StaleError)


def test_a_peer_that_closes_idle_connections_at_once_gets_a_new_one_for_each_request(
    pool: Pool, server: Scripted
) -> None:
    for _ in range(4):
        server.answers = [OK]  # then it hangs up
        answer = ask(pool, server)
        assert answer.read() == b"hello"
        answer.release()
        threading.Event().wait(0.02)
    assert server.connections == 4
    assert pool._idle == {server.address: []}


def test_chunks_are_joined_and_trailers_passed_over(pool: Pool, server: Scripted) -> None:
    chunks = b"5;name=value\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n"
    server.answers = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, OK]
    answer = ask(pool, server)
    assert answer.read() == b"hello world"
    answer.release()
    assert ask(pool, server).read() == b"hello"
    assert server.connections == 1


def test_a_body_without_a_length_ends_with_the_connection(pool: Pool, server: Scripted) -> None:
    server.answers = [b"HTTP/1.1 200 OK\r\n\r\nall of it"]
    assert ask(pool, server).read() == b"all of it"


def test_the_answer_to_a_head_has_no_body(pool: Pool, server: Scripted) -> None:
    server.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", OK]
    answer = ask(pool, server, "HEAD")
    assert answer.read() == b""
    answer.release()
    assert ask(pool, server).read() == b"hello"


def test_an_answer_that_only_says_to_go_on_is_passed_over(pool: Pool, server: Scripted) -> None:
    server.answers = [b"HTTP/1.1 100 Continue\r\n\r\n" + OK]
    assert ask(pool, server, "PUT", b"body").status == 200


def test_a_body_in_pieces_is_sent_in_chunks(pool: Pool, server: Scripted) -> None:
    class Pieces:
        def __init__(self) -> None:
            self.left = [b"one", b"two"]

        def read(self, size: int, /) -> bytes:
            return self.left.pop(0) if self.left else b""

    server.answers = [OK]
    pool.request("PATCH", server.address, "x", "/", {}, Pieces(), 5)
    assert server.requests[0].endswith(b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


def test_a_length_that_is_said_twice_is_one(pool: Pool, server: Scripted) -> None:
    """RFC 9110, 8.6."""
    for lengths in (b"Content-Length: 5\r\nContent-Length: 5", b"Content-Length: 5, 5"):
        server.answers = [b"HTTP/1.1 200 OK\r\n" + lengths + b"\r\n\r\nhello"]
        assert ask(pool, server).read() == b"hello"


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5,\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: y\0z\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: y\r\n folded\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * 60000 + b"\r\n" + b"Y: y\r\n" * 60000,
    ],
)
def test_what_is_no_answer_is_an_error(pool: Pool, server: Scripted, answer: bytes | None) -> None:
    server.answers = [answer]
    with pytest.raises(CutError):
        ask(pool, server)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_a_body_that_is_not_what_was_said_is_an_error(pool: Pool, server: Scripted, answer: bytes) -> None:
    server.answers = [answer]
    with pytest.raises(CutError):
        ask(pool, server).read()


def test_what_came_before_a_cut_is_given_first(pool: Pool, server: Scripted) -> None:
    server.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"]
    answer = ask(pool, server)
    assert answer.read(9) == b"hello"
    with pytest.raises(CutError, match="ended early"):
        answer.read(4)


def test_a_header_cannot_smuggle_in_another(pool: Pool, server: Scripted) -> None:
    server.answers = [OK]
    with pytest.raises(CutError, match="line break"):
        pool.request("GET", server.address, "x", "/", {"Accept": "x\r\nAuthorization: y"}, None, 5)
    assert server.requests == []


def test_a_port_where_nobody_listens_and_a_name_that_nobody_knows_are_told_apart(pool: Pool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    with pytest.raises(ConnectError) as refused:
        pool.request("GET", Address("127.0.0.1", free), "x", "/", {}, None, 5)
    assert not isinstance(refused.value, UnknownHostError)
    with pytest.raises(UnknownHostError):
        pool.request("GET", Address("host.invalid", 80), "x", "/", {}, None, 5)
