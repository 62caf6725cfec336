"""`Images.run`: its request, and the standard streams of the process."""

import subprocess
from typing import IO, Any, cast

import msgspec

from polyarch.client import arguments
from polyarch.client.core import ClientCore
from polyarch.client.jobs import RunOutcome, RunRequest, VolumeMount
from polyarch.client.values import CompletedRun
from polyarch.client.worker import Worker
from polyarch.errors import NotFoundError, UsageError
from polyarch.oci.platform import Platform


class RunStreams(msgspec.Struct, frozen=True):
    """The arguments for the standard streams of a process."""

    input: Any = None
    stdin: Any = None
    stdout: Any = None
    stderr: Any = None


def request(
    core: ClientCore,
    *,
    image: str,
    command: tuple[str, ...],
    platform: Platform | None,
    entrypoint: tuple[str, ...] | None,
    env: dict[str, str],
    volumes: dict[str, str],
    **words: Any,
) -> RunRequest:
    """The request for a worker. Raises UsageError; NotFoundError if a volume does not exist."""
    return RunRequest(
        image=image,
        platform=platform,
        host=core.host,
        arguments=command,
        entrypoint=entrypoint,
        env=tuple(f"{name}={value}" for name, value in env.items()),
        volumes=tuple(_volume(core, source, target) for source, target in volumes.items()),
        **words,
    )


def _volume(core: ClientCore, source: str, word: str) -> VolumeMount:
    target, _, mode = word.partition(":")
    if not target.startswith("/") or mode not in ("", "ro", "rw"):
        arguments.refuse(f"volumes[{source!r}]", word, 'an absolute path in the image, as in "/src" or "/src:ro"')
    path = arguments.path("volumes", source, core.directory)
    if not path.exists():
        raise NotFoundError(f"cannot mount {path}: it does not exist", "create it first")
    return VolumeMount(str(path.resolve()), target, mode == "ro")


def run(core: ClientCore, request: RunRequest, streams: RunStreams) -> CompletedRun:
    """Run the request in a worker, which passes its standard streams to the process."""
    core.require_open()
    if streams.input is not None and not isinstance(streams.input, bytes | bytearray | memoryview):
        arguments.refuse("input", streams.input, "bytes")
    wanted = {"stdout": streams.stdout, "stderr": streams.stderr}
    given = {name: _given(name, stream) for name, stream in wanted.items()}
    stdin = subprocess.PIPE if streams.input is not None else _input(streams.stdin)
    request = msgspec.structs.replace(request, stdin=stdin != subprocess.DEVNULL)
    captured: dict[str, bytearray] = {}
    with Worker(stdin=stdin, **given) as worker:
        sinks: dict[IO[bytes], Any] = {}
        for name, pipe in (("stdout", worker.stdout), ("stderr", worker.stderr)):
            if pipe is None:
                continue
            if wanted[name] == subprocess.PIPE:
                captured[name] = bytearray()
                sinks[pipe] = captured[name].extend
            else:
                sinks[pipe] = wanted[name].write
        outcome = cast(
            RunOutcome, worker.perform("run", core.settings, request, core.emit, sinks, bytes(streams.input or b""))
        )
    return CompletedRun(
        image=request.image,
        platform=outcome.platform,
        returncode=outcome.returncode,
        stdout=bytes(captured["stdout"]) if "stdout" in captured else None,
        stderr=bytes(captured["stderr"]) if "stderr" in captured else None,
    )


def _input(stream: Any) -> Any:
    if stream is None:
        return subprocess.DEVNULL
    if isinstance(stream, int) and not isinstance(stream, bool) and stream != subprocess.PIPE:
        return stream
    if (descriptor := _descriptor(stream)) is None:
        arguments.refuse("stdin", stream, "a file descriptor or a file that has one; `input` takes bytes")
    return descriptor


def _given(name: str, stream: Any) -> Any:
    """The value for Popen: the stream itself, its descriptor, or PIPE for an object that only has `write`."""
    if stream is None or (isinstance(stream, int) and not isinstance(stream, bool)):
        return stream
    if not callable(getattr(stream, "write", None)):
        arguments.refuse(name, stream, "PIPE, DEVNULL, a file descriptor, or a file object that takes bytes")
    if callable(flush := getattr(stream, "flush", None)):
        flush()
    if (descriptor := _descriptor(stream)) is not None:
        return descriptor
    if hasattr(stream, "encoding"):
        raise UsageError(f"{name} is a text stream without a file descriptor", "pass PIPE, or a binary file object")
    return subprocess.PIPE


def _descriptor(stream: Any) -> int | None:
    try:
        return int(stream.fileno())
    except (AttributeError, OSError, ValueError):
        return None
