"""The work that enters a user namespace: builds and runs. A worker process does it, or for a build the caller."""

import contextlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from polyarch import progress
from polyarch.client.settings import ClientSettings, GivenCredentials, opened
from polyarch.oci.platform import Platform

if TYPE_CHECKING:
    from polyarch.builder import BuildRequest, BuildResult
    from polyarch.client.doctor import DoctorRequest
    from polyarch.doctor import Diagnosis

Kind = Literal["build", "run", "doctor", "reclaim"]


class Job(msgspec.Struct, frozen=True):
    """The first message to a worker. The type of the encoded `payload` depends on the kind."""

    kind: Kind
    settings: ClientSettings
    payload: bytes = b""


class VolumeMount(msgspec.Struct, frozen=True):
    """A file or directory of this machine, mounted at `target` in the container."""

    source: str
    target: str
    read_only: bool = False


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A process to run in an image. The config of the image gives the fields that are empty.

    An `entrypoint` of None keeps that of the image. `stdin` connects the standard input of the worker.
    """

    image: str
    platform: Platform | None
    host: Platform
    pull: Literal["always", "missing", "never"]
    arguments: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    working_directory: str = ""
    user: str = ""
    volumes: tuple[VolumeMount, ...] = ()
    network: Literal["host", "none"] = "host"
    hostname: str = "polyarch"
    read_only: bool = False
    stdin: bool = False


class RunOutcome(msgspec.Struct, frozen=True):
    """The exit status of a process, and the platform that its image is for."""

    returncode: int
    platform: Platform


def build(settings: ClientSettings, request: "BuildRequest", emit: progress.Emit) -> "BuildResult":
    """Do a build. RUN steps move this process into a user namespace permanently. Raises as `builder.build`."""
    from polyarch.builder import build as perform

    if request.export.insecure:
        hosts = [name.domain for name in request.export.names]
        settings = msgspec.structs.replace(settings, insecure=(*settings.insecure, *hosts))
    with opened(settings) as places, contextlib.ExitStack() as stack:
        remote = None
        if request.farm is not None:
            from polyarch.client.farms import opened_farm

            remote = stack.enter_context(opened_farm(settings, request, request.farm, places, emit))
        result = perform(request, places.store, places.registry, emit, remote=remote)
    if places.store.left:
        reclaim(settings)
    # The caller has the streams.
    outputs = tuple(msgspec.structs.replace(output, stream=None) for output in result.outputs)
    return msgspec.structs.replace(result, outputs=outputs)


def run(settings: ClientSettings, request: RunRequest, emit: progress.Emit) -> RunOutcome:
    """Run a process with the standard streams of this process, which enters a user namespace permanently.

    Raises NotFoundError if the image or platform does not exist, UnsupportedError if this machine cannot run the
    platform, StartError if the process cannot be started.
    """
    from polyarch.client import configuration
    from polyarch.images import run as running
    from polyarch.sandbox import Bind, RunSettings, enter

    options = running.RunOptions(
        arguments=request.arguments,
        entrypoint=request.entrypoint,
        env=request.env,
        cwd=request.working_directory,
        user=request.user,
        mounts=tuple(Bind(volume.source, volume.target, volume.read_only) for volume in request.volumes),
        settings=RunSettings(network=request.network),
        hostname=request.hostname,
        read_only=request.read_only,
    )
    search_path = settings.environment.search_path
    with opened(settings) as places:
        found, source = running.find(
            places.store, places.registry, request.image, request.platform, request.host, request.pull, emit
        )
        process = running.process(found.config, options, request.image)
        # The threads of a pull have ended. The kernel requires a process with a single thread.
        for warning in enter(search_path).warnings:
            emit(progress.Warned(warning))
        places.store.maintenance.reclaim()
        streams = running.Streams(0 if request.stdin else None, 1, 2)
        manner = running.Manner(emulators=configuration.emulators(settings.environment.files.polyarch))
        status = running.run(places.store, source, found, process, search_path, streams, emit, manner)
    if places.store.left:
        reclaim(settings)
    return RunOutcome(status, found.platform)


def doctor(settings: ClientSettings, request: "DoctorRequest", emit: progress.Emit) -> "tuple[Diagnosis, ...]":
    """Examine this machine and registries. Raises PolyarchError."""
    from polyarch.client import doctor as examining
    from polyarch.client import environment as surroundings
    from polyarch.client.opening import open_registry
    from polyarch.oci import platform

    environment = settings.environment
    credentials = GivenCredentials(settings.credentials, environment)
    with contextlib.ExitStack() as stack:
        return examining.examine(
            environment,
            environment.root,
            request,
            platform.of_machine(os.uname().machine),
            credentials,
            lambda: stack.enter_context(open_registry(environment, credentials, settings.insecure)),
            surroundings.clock,
        )


def reclaim(settings: ClientSettings) -> None:
    """Remove files of the store that belong to ids of a user namespace, which this process enters permanently.

    If it cannot enter one, the files stay until a process that can opens the store.
    """
    from polyarch.client.opening import open_store
    from polyarch.errors import PolyarchError
    from polyarch.sandbox import enter

    with contextlib.suppress(PolyarchError), open_store(settings.environment, settings.environment.root, None) as store:
        enter(settings.environment.search_path)
        store.maintenance.reclaim()


def types_of(kind: Kind) -> tuple[Any, Any, Callable[..., Any]]:
    """The types of the payload and of the result of a kind of job, and the function that does it."""
    if kind == "build":
        from polyarch.builder import BuildRequest, BuildResult

        return BuildRequest, BuildResult, build
    if kind == "run":
        return RunRequest, RunOutcome, run
    if kind == "doctor":
        from polyarch.client.doctor import DoctorRequest
        from polyarch.doctor import Diagnosis

        return DoctorRequest, tuple[Diagnosis, ...], doctor
    return None, None, lambda settings, request, emit: reclaim(settings)
