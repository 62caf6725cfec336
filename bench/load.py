"""`python -IS load.py`: a client of a registry that costs little: many pulls or pushes at once, over plain HTTP.

    load.py pull ADDRESS REPOSITORY REFERENCE COUNT
    load.py push ADDRESS REPOSITORY COUNT LAYERS BYTES SEED

Client and server share the processors, so this client leaves as many as it can to the server. One thread waits for all
sockets. A body is thrown away in the kernel (recv(2) with MSG_TRUNC, tcp(7)) unless it is a manifest or one of the
sample whose digests are compared. A body that is sent comes from a file in memory, by sendfile(2).

Every answer must have the right status and size. It prints one JSON object: bytes, requests, and the longest wait for
a connection and for a first byte of an answer, in seconds.
"""

import errno
import hashlib
import json
import os
import random
import select
import socket
import sys
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import NamedTuple

Waiting = Generator[int, None, None]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_SAMPLE = 25  # of so many pulls, one has all its digests compared
_PIECE = 4 << 20
_CHUNK = 32 << 10  # as docker's client sends a body whose length it does not say
_TRAILER = 16


class WrongAnswerError(Exception):
    """The server did not do what was asked."""


class Answer(NamedTuple):
    """Status, header fields by their names in lower case, and the body, which is empty where it was thrown away."""

    status: int
    fields: Mapping[str, str]
    body: bytes


class Body(NamedTuple):
    """What is sent: the first `size` bytes of a file, then a few bytes of its own."""

    file: int
    size: int
    trailer: bytes


class Load:
    """All sockets of a run, and what was counted so far. It owns the sockets until `run` returns."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.address = (host, int(port))
        self.host = address
        self.bytes = self.requests = 0
        self.slowest = self.connecting = 0.0
        self.scratch = bytearray(_PIECE)
        self._poll = select.epoll()
        self._interests: dict[int, int] = {}

    def run(self, clients: Sequence[Waiting], sockets: Sequence["Connection"]) -> None:
        """Let all clients work at once until the last is done."""
        running = {}
        for client, connection in zip(clients, sockets, strict=True):
            number = connection.socket.fileno()
            running[number] = (client, connection)
            self._poll.register(number, 0)
        interests = self._interests = dict.fromkeys(running, 0)
        ready: Iterator[int] = iter(list(running))
        while running:
            for number in ready:
                client, connection = running[number]
                try:
                    wanted = next(client)
                except StopIteration:
                    self._poll.unregister(number)
                    connection.socket.close()
                    del running[number]
                    continue
                if interests[number] != wanted:
                    self._poll.modify(number, wanted)
                    interests[number] = wanted
            if running:
                ready = iter([number for number, _ in self._poll.poll()])

    def renew(self, number: int) -> None:
        """Wait for the new socket of this number, too: epoll forgot the number with the socket before."""
        self._poll.register(number, 0)
        self._interests[number] = 0


class Connection:
    """One connection that is kept for all requests of a client, unless the server closes it.

    Its methods yield what they wait for (EPOLLIN …).
    """

    def __init__(self, load: Load) -> None:
        self.load = load
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._left = b""

    def connect(self) -> Waiting:
        began = time.perf_counter()
        if self.socket.connect_ex(self.load.address) == errno.EINPROGRESS:
            yield select.EPOLLOUT
        if problem := self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(problem, os.strerror(problem))
        self.load.connecting = max(self.load.connecting, time.perf_counter() - began)

    def ask(
        self, method: str, path: str, *fields: str, body: Body | None = None, keep: bool = False, digest: str = ""
    ) -> Generator[int, None, Answer]:
        """One request and its answer. The body of the answer is kept, compared with a digest, or thrown away."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.load.host}", *fields, "", ""]
        yield from self._send("\r\n".join(lines).encode())
        if body is not None:
            yield from self._send_file(body)
        began = time.perf_counter()
        head = yield from self._head()
        self.load.slowest = max(self.load.slowest, time.perf_counter() - began)
        self.load.requests += 1
        status, fields_of = _parsed(head)
        size = 0 if method == "HEAD" else int(fields_of.get("content-length", "0"))
        if "transfer-encoding" in fields_of:
            raise WrongAnswerError(f"{method} {path}: an answer without its length")
        kept = b""
        if keep or status >= 400:
            kept = yield from self._receive(size)
        elif digest:
            yield from self._compare(size, digest)
        else:
            yield from self._discard(size)
        if fields_of.get("connection", "").lower() == "close":
            yield from self._again()
        return Answer(status, fields_of, kept)

    def _again(self) -> Waiting:
        """Connect again, under the same number."""
        number = self.socket.fileno()
        with socket.socket() as other:
            os.dup2(other.fileno(), number)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.load.renew(number)
        yield from self.connect()

    def _send(self, data: bytes) -> Waiting:
        while data:
            try:
                data = data[self.socket.send(data) :]
            except BlockingIOError:
                yield select.EPOLLOUT

    def _send_file(self, body: Body) -> Waiting:
        sent, number = 0, self.socket.fileno()
        while sent < body.size:
            try:
                sent += os.sendfile(number, body.file, sent, body.size - sent)
            except BlockingIOError:
                yield select.EPOLLOUT
        yield from self._send(body.trailer)

    def _head(self) -> Generator[int, None, bytes]:
        while True:
            head, found, rest = self._left.partition(b"\r\n\r\n")
            if found:
                self._left = rest
                return head
            yield from self._more()

    def _more(self, most: int = 16384) -> Waiting:
        while True:
            try:
                data = self.socket.recv(most)
            except BlockingIOError:
                yield select.EPOLLIN
                continue
            if not data:
                raise WrongAnswerError("the server closed a connection in the middle")
            self._left += data
            return

    def _receive(self, size: int) -> Generator[int, None, bytes]:
        while len(self._left) < size:
            yield from self._more(size - len(self._left))
        body, self._left = self._left[:size], self._left[size:]
        return body

    def _compare(self, size: int, digest: str) -> Waiting:
        found = hashlib.sha256()
        while size:
            if not self._left:
                yield from self._more(min(size, 1 << 20))
            found.update(self._left)
            size -= len(self._left)
            self._left = b""
        if f"sha256:{found.hexdigest()}" != digest:
            raise WrongAnswerError(f"the bytes of {digest} are not its")

    def _discard(self, size: int) -> Waiting:
        size -= len(self._left)
        self._left = b""
        whole = memoryview(self.load.scratch)
        while size > 0:
            try:
                received = self.socket.recv_into(whole[: min(size, _PIECE)], 0, socket.MSG_TRUNC)
            except BlockingIOError:
                yield select.EPOLLIN
                continue
            if not received:
                raise WrongAnswerError("the server closed a connection in the middle of a blob")
            size -= received


def pull(load: Load, connection: Connection, repository: str, reference: str, *, compared: bool) -> Waiting:
    """A whole image on one connection: manifest, config, layers."""
    yield from connection.connect()
    path = f"/v2/{repository}/manifests/{reference}"
    answer = yield from connection.ask("GET", path, f"Accept: {MANIFEST}", keep=True)
    _expect(answer, 200, path)
    manifest = json.loads(answer.body)
    load.bytes += len(answer.body)
    for blob in (manifest["config"], *manifest["layers"]):
        path = f"/v2/{repository}/blobs/{blob['digest']}"
        answer = yield from connection.ask("GET", path, digest=blob["digest"] if compared else "")
        _expect(answer, 200, path)
        if int(answer.fields["content-length"]) != blob["size"]:
            raise WrongAnswerError(f"{path}: {answer.fields['content-length']} bytes, not {blob['size']}")
        load.bytes += blob["size"]


class Layer(NamedTuple):
    """The shared part of all layers, in a file in memory as it is and in docker's chunks, and its hash so far."""

    size: int
    plain: int
    chunked: int
    chunked_size: int
    hash: "hashlib._Hash"


def shared_layer(size: int, seed: str) -> Layer:
    """`size` random bytes. A layer is these and a trailer that no other layer has."""
    content = random.Random(seed).randbytes(size)
    plain, chunked = os.memfd_create("layer"), os.memfd_create("chunks")
    os.write(plain, content)
    written = 0
    for start in range(0, size, _CHUNK):
        chunk = content[start : start + _CHUNK]
        written += os.write(chunked, b"%x\r\n%b\r\n" % (len(chunk), chunk))
    return Layer(size, plain, chunked, written, hashlib.sha256(content))


def push(load: Load, connection: Connection, repository: str, layer: Layer, names: Sequence[str], tag: str) -> Waiting:
    """A whole image on one connection, as clients do it: each blob is asked for, then sent in one PATCH, then named.

    Every other image is sent as docker's client does, in chunks, and the others as skopeo does, with a length.
    """
    yield from connection.connect()
    chunked = tag.endswith(("1", "3", "5", "7", "9"))
    layers = []
    for name in names:
        trailer = hashlib.md5(name.encode(), usedforsecurity=False).digest()
        state = layer.hash.copy()
        state.update(trailer)
        digest, size = f"sha256:{state.hexdigest()}", layer.size + _TRAILER
        if chunked:
            ending = b"%x\r\n%b\r\n0\r\n\r\n" % (_TRAILER, trailer)
            body, fields = Body(layer.chunked, layer.chunked_size, ending), ["Transfer-Encoding: chunked"]
        else:
            body, fields = Body(layer.plain, layer.size, trailer), [f"Content-Length: {size}"]
        yield from _upload(connection, repository, digest, body, fields)
        load.bytes += size
        layers.append({"mediaType": LAYER, "digest": digest, "size": size})
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, "a": tag}
    )
    digest = _digest(config.encode())
    yield from _upload(connection, repository, digest, Body(-1, 0, config.encode()), [f"Content-Length: {len(config)}"])
    listed = {"mediaType": CONFIG, "digest": digest, "size": len(config)}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": listed, "layers": layers}).encode()
    fields = [f"Content-Type: {MANIFEST}", f"Content-Length: {len(manifest)}"]
    answer = yield from connection.ask("PUT", f"/v2/{repository}/manifests/{tag}", *fields, body=Body(-1, 0, manifest))
    _expect(answer, 201, tag)
    if answer.fields.get("docker-content-digest") != _digest(manifest):
        raise WrongAnswerError(f"{tag}: another digest than that of what was sent: {answer.fields}")


def _upload(
    connection: Connection, repository: str, digest: str, body: Body, fields: Sequence[str]
) -> Generator[int, None, None]:
    _expect((yield from connection.ask("HEAD", f"/v2/{repository}/blobs/{digest}")), 404, digest)
    answer = yield from connection.ask("POST", f"/v2/{repository}/blobs/uploads/", "Content-Length: 0")
    _expect(answer, 202, digest)
    place = _path(answer.fields["location"])
    answer = yield from connection.ask("PATCH", place, "Content-Type: application/octet-stream", *fields, body=body)
    _expect(answer, 202, digest)
    place = _path(answer.fields["location"])
    place += ("&" if "?" in place else "?") + f"digest={digest}"
    _expect((yield from connection.ask("PUT", place, "Content-Length: 0")), 201, digest)


def _path(location: str) -> str:
    """The path and query of a Location, which may be a whole URL."""
    return "/" + location.split("/", 3)[3] if "://" in location else location


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _expect(answer: Answer, status: int, what: str) -> None:
    if answer.status != status:
        raise WrongAnswerError(f"{what}: status {answer.status}, not {status}: {answer.body[:500]!r}")


def _parsed(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}


def main(kind: str, address: str, repository: str, *more: str) -> None:
    load = Load(address)
    if kind == "pull":
        reference, count = more[0], int(more[1])
        sockets = [Connection(load) for _ in range(count)]
        clients = [
            pull(load, connection, repository, reference, compared=number % _SAMPLE == 0)
            for number, connection in enumerate(sockets)
        ]
    else:
        count, layers, size, seed = int(more[0]), int(more[1]), int(more[2]), more[3]
        layer = shared_layer(size - _TRAILER, "layer")
        sockets = [Connection(load) for _ in range(count)]
        clients = []
        for number, connection in enumerate(sockets):
            names = [f"{seed} {number} {at}" for at in range(layers)]
            clients.append(push(load, connection, f"{repository}-{number}", layer, names, f"{seed}-{number}"))
    began = time.perf_counter()
    load.run(clients, sockets)
    seconds = time.perf_counter() - began
    told = {"bytes": load.bytes, "requests": load.requests, "seconds": seconds, "slowest": load.slowest}
    print(json.dumps({**told, "connecting": load.connecting}))


if __name__ == "__main__":
    main(*sys.argv[1:])
