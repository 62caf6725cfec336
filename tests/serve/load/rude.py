"""Clients that are slow, absent, wrong or gone, all at once, and what a good client feels of them."""

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tests.serve.load.pushing import Document, Pusher, digest_of, image

_PIECE = b"x" * 4096
_ANSWER_SECONDS = 2.0


class Felt(NamedTuple):
    """Seconds that each request of the good client took, and what went wrong."""

    seconds: Sequence[float]
    wrong: Sequence[str]

    @property
    def median(self) -> float:
        return sorted(self.seconds)[len(self.seconds) // 2]

    @property
    def longest(self) -> float:
        return max(self.seconds)


class Crowd:
    """Sockets of rude clients of a registry. It owns them until the `with` ends."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._where = (host, int(port))
        self._host = address
        self._resources = contextlib.ExitStack()
        self.sockets: list[socket.socket] = []

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *raised: object) -> None:
        self._resources.close()

    def slow_heads(self, count: int) -> None:
        """Requests whose header fields never end (slowloris)."""
        for _ in range(count):
            self._open(f"GET /v2/ HTTP/1.1\r\nHost: {self._host}\r\nX-More: ".encode())

    def slow_bodies(self, count: int, places: Sequence[str]) -> None:
        """Uploads of 100 MB of which only the first bytes come."""
        for number in range(count):
            self._open(self._patch(places[number % len(places)], "Content-Length: 100000000") + _PIECE)

    def never_reading(self, count: int, path: str) -> None:
        """Requests for a large blob, whose answers are never read."""
        for _ in range(count):
            self._open(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())

    def drip(self) -> None:
        """One more byte from each."""
        for one in self.sockets:
            with contextlib.suppress(OSError):
                one.send(b"x")

    def gone(self, count: int, places: Sequence[str], dice: random.Random) -> None:
        """Uploads that end in the middle: the connection is closed, or reset."""
        for number in range(count):
            with self._connected() as one, contextlib.suppress(OSError):
                if number % 2:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                one.sendall(self._patch(places[number % len(places)], "Content-Length: 1000000"))
                one.sendall(_PIECE * dice.randrange(20))

    def wrong(self, place: str) -> Iterator[tuple[str, bytes]]:
        """Requests that contradict themselves, each with the beginning of its answer (nothing: none came)."""
        heads = {
            "two lengths": self._patch(place, "Content-Length: 5", "Content-Length: 6") + b"hello!",
            "length and chunks": self._patch(place, "Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
            "negative length": self._patch(place, "Content-Length: -5"),
            "a length in words": self._patch(place, "Content-Length: five"),
            "a chunk of no size": self._patch(place, "Transfer-Encoding: chunked") + b"zz\r\nhello\r\n0\r\n\r\n",
            "a huge chunk": self._patch(place, "Transfer-Encoding: chunked") + b"f" * 40 + b"\r\n",
            "another range": self._patch(place, "Content-Length: 5", "Content-Range: 0-99") + b"hello",
            "a range elsewhere": self._patch(place, "Content-Length: 5", "Content-Range: 7000-7004") + b"hello",
            "no request at all": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
            "a line without end": b"GET /v2/" + b"a" * 70_000,
            "fields without end": b"GET /v2/ HTTP/1.1\r\n" + b"X-A: b\r\n" * 40_000 + b"\r\n",
        }
        for name, head in heads.items():
            with self._connected() as one:
                answer = b""
                with contextlib.suppress(OSError):
                    one.settimeout(_ANSWER_SECONDS)
                    one.sendall(head)
                    answer = one.recv(64)
                yield name, answer

    def _patch(self, place: str, *fields: str) -> bytes:
        return "\r\n".join([f"PATCH {place} HTTP/1.1", f"Host: {self._host}", *fields, "", ""]).encode()

    def _open(self, data: bytes) -> None:
        one = self._resources.enter_context(self._connected())
        one.sendall(data)
        self.sockets.append(one)

    def _connected(self) -> socket.socket:
        one = socket.create_connection(self._where, 20)
        # A small window, so that an answer that is not read fills it at once.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        return one


def good(address: str, seconds: float, name: str) -> Felt:
    """A client that pushes and pulls small images for so many seconds, one request after the other."""
    took: list[float] = []
    wrong: list[str] = []
    deadline = time.monotonic() + seconds
    number = 0
    with Pusher(address, seconds + 20) as pusher:
        while time.monotonic() < deadline:
            number += 1
            document = image(f"{name} {number}", layers=1, size=50_000)
            try:
                for work in _requests(pusher, f"good/{name}", f"v{number}", document):
                    began = time.monotonic()
                    work()
                    took.append(time.monotonic() - began)
            except Exception as error:
                wrong.append(f"{type(error).__name__}: {error}")
                break
    return Felt(took, wrong)


def _requests(pusher: Pusher, repository: str, tag: str, document: Document) -> Iterator[Callable[[], None]]:
    for blob in document.blobs:
        yield lambda blob=blob: pusher.blob(repository, blob)  # type: ignore[misc]
    yield lambda: pusher.manifest(repository, tag, document)
    yield lambda: _pull(pusher, f"{repository}/manifests/{tag}", document.digest)
    for blob in document.blobs:
        yield lambda blob=blob: _pull(pusher, f"{repository}/blobs/{digest_of(blob)}", digest_of(blob))  # type: ignore[misc]


def _pull(pusher: Pusher, path: str, digest: str) -> None:
    status, _, body = pusher.ask("GET", path)
    assert (status, digest_of(body)) == (200, digest), f"{path}: status {status}"


def beside(address: str, clients: int, seconds: float) -> list[Felt]:
    """Some good clients at once."""
    felt: list[Felt] = []
    threads = [
        threading.Thread(target=lambda number=number: felt.append(good(address, seconds, f"client-{number}")))
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return felt
