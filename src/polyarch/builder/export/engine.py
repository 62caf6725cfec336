"""The output kind "engine": find the Docker engine of this machine before the build, and load the image into it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from polyarch import progress
from polyarch.builder.request.output import Output
from polyarch.builder.request.request import BuildRequest
from polyarch.errors import PolyarchError, UnsupportedError
from polyarch.oci.platform import Platform

if TYPE_CHECKING:
    from polyarch.registry import Registry
    from polyarch.store import Store

_DEFAULT_SOCKET = "/var/run/docker.sock"


def located(request: BuildRequest) -> BuildRequest:
    """The request with the engine's socket in its outputs. If no engine runs, the output is the store instead.

    Raises PolyarchError if the engine that DOCKER_HOST names does not answer, UnsupportedError if the engine can keep
    only one of several platforms.
    """
    outputs = [
        _located(output, request.host.variables, request.platforms) if output.kind == "engine" else output
        for output in request.export.outputs
    ]
    export = msgspec.structs.replace(request.export, outputs=tuple(dict.fromkeys(outputs)))
    return msgspec.structs.replace(request, export=export)


def _located(output: Output, variables: Mapping[str, str], platforms: Sequence[Platform]) -> Output:
    from polyarch.transfer import engine

    host = variables.get("DOCKER_HOST")
    path = engine.find([str(output.destination or host or _DEFAULT_SOCKET)])
    if path is None and host:
        raise PolyarchError(
            f"no engine answers at {host}, which DOCKER_HOST names",
            "start it, push the image with --push, or write an archive with -o type=docker,dest=FILE",
        )
    if path is None:
        return Output(kind="store")
    if len(platforms) > 1 and not engine.keeps_indexes(path):
        raise UnsupportedError(
            f"the engine at {path} keeps one platform of an image, and this build is for "
            + ", ".join(map(str, platforms)),
            "build for one --platform, write an archive with -o type=docker,dest=FILE, or switch on dockerd's "
            'containerd image store ("features": {"containerd-snapshotter": true} in daemon.json)',
        )
    return msgspec.structs.replace(output, destination=Path(path))


def load(
    socket: Path,
    store: "Store",
    registry: "Registry",
    names: Sequence[str],
    preferred: Platform,
    emit: progress.Emit,
) -> None:
    """Load images from the store, by name or digest, into the engine at `socket`."""
    from polyarch.images import save as saving
    from polyarch.transfer import engine

    engine.load(
        str(socket), lambda sink: saving.save(store, registry, list(names), sink, preferred=preferred, emit=emit)
    )
