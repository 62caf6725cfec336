"""What travels between a client and its worker arrives as it was."""

import errno
import importlib
import io
import pickle
import pkgutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import polyarch
from polyarch.client import wire
from polyarch.dockerfile.source import DockerfileError, Location
from polyarch.errors import CancelledError, PolyarchError, RegistryError
from polyarch.progress import Event, OutputChunk, Warned
from polyarch.sandbox.starting import StartError


class Value(msgspec.Struct, frozen=True):
    text: str
    data: bytes
    paths: tuple[Path, ...] = ()
    names: dict[str, str] = {}
    stream: BinaryIO | None = None


# File names and Dockerfiles need not be UTF-8.
texts = st.binary(max_size=20).map(lambda raw: raw.decode("utf-8", "surrogateescape"))


@given(texts, st.binary(max_size=20), st.dictionaries(texts, texts, max_size=3))
def test_a_value_arrives_as_it_was(text: str, data: bytes, names: dict[str, str]) -> None:
    value = Value(text, data, (Path("/a"), Path("b")), names)
    assert wire.decode(wire.encode(value), Value) == value


def test_a_stream_travels_as_a_number() -> None:
    given_: list[Any] = []

    def number(stream: Any) -> int:
        given_.append(stream)
        return 7

    class Remote(io.BufferedRandom, BinaryIO):  # type: ignore[misc]
        pass

    stream = io.BytesIO()
    frame = wire.encode(Value("", b"", stream=stream), number)
    opened: list[int] = []

    def remote(number: int) -> BinaryIO:
        opened.append(number)
        return Remote(stream)  # type: ignore[arg-type]

    assert isinstance(wire.decode(frame, Value, remote).stream, Remote)
    assert (given_, opened) == ([stream], [7])


def test_events_arrive_as_their_kind() -> None:
    for event in (OutputChunk("a", 1, b"\xff"), Warned("caf\udce9")):
        assert wire.decode(wire.encode(event), Event) == event


def kinds() -> Iterator[type[PolyarchError]]:
    for module in pkgutil.walk_packages(polyarch.__path__, "polyarch."):
        if "__main__" not in module.name:
            importlib.import_module(module.name)
    pending = [PolyarchError]
    while pending:
        kind = pending.pop()
        yield kind
        pending += kind.__subclasses__()


def back(error: BaseException) -> Exception:
    return wire.raised(wire.decode(wire.encode(wire.failed(error)), wire.FromWorker))


def test_every_kind_of_error_arrives_as_itself() -> None:
    found = [kind for kind in kinds() if kind.__module__.startswith("polyarch.")]
    assert len(found) > 10
    for kind in found:
        error = kind.__new__(kind)
        PolyarchError.__init__(error, f"message of {kind.__name__}", "hint")
        received = back(error)
        assert type(received) is kind
        assert vars(received) == vars(error)
        assert str(received) == str(error)
        copied = pickle.loads(pickle.dumps(error))
        assert (type(copied), vars(copied), str(copied)) == (kind, vars(error), str(error))


def test_what_an_error_carries_arrives_with_it() -> None:
    received = back(RegistryError("refused", status=403, codes=("DENIED", "UNKNOWN"), retryable=True))
    assert isinstance(received, RegistryError)
    assert (received.status, received.codes, received.retryable) == (403, ("DENIED", "UNKNOWN"), True)
    received = back(DockerfileError("no", name="Dockerfile", text="FROM a\nNO\n", locations=[Location(2, 2)]))
    assert isinstance(received, DockerfileError)
    assert (received.reason, received.name, received.locations) == ("no", "Dockerfile", (Location(2, 2),))
    assert ">>> NO" in received.message
    copied = pickle.loads(pickle.dumps(received))
    assert (str(copied), copied.locations) == (str(received), received.locations)
    received = back(StartError("no", status=126))
    assert isinstance(received, StartError)
    assert received.status == 126


def test_other_errors_arrive_so_that_they_can_be_understood() -> None:
    received = back(OSError(errno.ENOSPC, "No space left on device", "/store/blob"))
    assert isinstance(received, OSError)
    assert (received.errno, received.filename) == (errno.ENOSPC, "/store/blob")
    assert isinstance(back(KeyboardInterrupt()), CancelledError)
    try:
        raise KeyError("x")
    except KeyError as error:
        bug = back(error)
    assert isinstance(bug, PolyarchError)
    assert bug.message == "this is a bug in polyarch: KeyError: 'x'"
    assert "test_wire.py" in bug.__notes__[0]


def test_a_channel_gives_whole_frames_and_says_when_it_is_closed() -> None:
    ends = socket.socketpair()
    one, other = map(wire.Channel, ends)
    frames = [b"", b"a", b"b" * 100_000]
    for frame in frames:
        one.send(frame)
        assert other.receive() == frame
    one.close()
    with pytest.raises(wire.ChannelClosedError):
        other.receive()
    with pytest.raises(wire.ChannelClosedError):
        other.send(b"late")
    other.close()
