"""`polyarch.build`: a build in one call, for programs as for the command line, which calls it too.

Like `cli/` it stands on top, so here the clock and the environment are read for those who say nothing of them.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import msgspec

from polyarch import progress
from polyarch.errors import UsageError
from polyarch.oci import platform as platforms_
from polyarch.oci import reference as references
from polyarch.oci.platform import Platform
from polyarch.oci.reference import Reference

if TYPE_CHECKING:
    from polyarch.builder import (
        BuildRecord,
        BuildRequest,
        BuildResult,
        Checked,
        Export,
        NamedContexts,
        OpenedContext,
        Outline,
        Output,
        Override,
        PlanOptions,
        Secrets,
        Sources,
        TargetStage,
    )
    from polyarch.layers.compression import Compression
    from polyarch.registry import Registry
    from polyarch.store import Store

# What setrlimit(2) has.
_LIMITS = frozenset(
    "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split()
)


def build(
    context: Path | str | None,
    store: "Store",
    *,
    registry: "Registry | None" = None,
    emit: progress.Emit = progress.ignore,
    **wishes: Any,
) -> "BuildResult":
    """Build the Dockerfile of `context`, a directory, the URL of an archive or a git repository.

    `wishes` are those of `Wishes`, all by name. `registry` is asked for base images and pushed to; without it an
    anonymous one is made and closed again.

    A RUN needs a user namespace, which this process then enters for good: it must have no second thread by then.
    Raises UsageError, DockerfileError with the lines that are wrong, BuildError where a step fails, and other kinds
    of PolyarchError.
    """
    from polyarch.builder import build as build_request

    with _registry(registry) as client, request(context, store, client, emit, **wishes) as asked:
        return build_request(asked, store, client, emit)


def check(
    context: Path | str | None, store: "Store", *, registry: "Registry | None" = None, **wishes: Any
) -> "Checked":
    """What the build checks find in a Dockerfile: nothing is built. Parameters and errors as of `build`."""
    from polyarch.builder import check as check_request

    with _registry(registry) as client, request(context, store, client, **wishes) as asked:
        return check_request(asked, store, client)


def outline(
    context: Path | str | None, store: "Store", *, registry: "Registry | None" = None, **wishes: Any
) -> "Outline":
    """The arguments, secrets and ssh sockets that the build of the target takes. Parameters as of `build`."""
    from polyarch.builder import outline as outline_of

    with _registry(registry) as client, request(context, store, client, **wishes) as asked:
        return outline_of(asked)


def targets(
    context: Path | str | None, store: "Store", *, registry: "Registry | None" = None, **wishes: Any
) -> "tuple[TargetStage, ...]":
    """The stages of a Dockerfile that can be built. Parameters as of `build`."""
    from polyarch.builder import targets as targets_of

    with _registry(registry) as client, request(context, store, client, **wishes) as asked:
        return targets_of(asked)


def outlook(
    context: Path | str | None, store: "Store", *, registry: "Registry | None" = None, **wishes: Any
) -> "BuildRecord":
    """What `build` would do now, step by step, and why: nothing is built. Parameters and errors as of `build`."""
    from polyarch.builder import outlook as outlook_of

    with _registry(registry) as client, request(context, store, client, **wishes) as asked:
        return outlook_of(asked, store, client)


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What may be asked of a build, each by its name.

    `platforms` are this machine's where none is given. The result gets `tags` in the store, unless `push` or
    `outputs` say where it goes instead (`load` True: there too). `dockerfile` is a Dockerfile's text; otherwise
    `file`, or `Dockerfile` in the context, is read; the context `-` is read from `stdin`. `contexts` are named build
    contexts: a directory, `docker-image://NAME`, `oci-layout://PATH`, a URL or a git repository. `hosts` are (name,
    address) for RUN, `shm_size` bytes of its /dev/shm, `limits` (name, soft, hard). `epoch` (seconds) is
    SOURCE_DATE_EPOCH, and 0 for `reproducible` where nothing says it. `created` (seconds) is the time that new layers
    get, now where it is None. With `keep_going` the other platforms are finished where one fails, with `partial` they
    are tagged, too. `overrides` are what is asked for otherwise for one platform. `verify_platforms` says what it is
    when a new layer holds binaries of another architecture: for what an image starts an error, else a warning.
    `environment` is what git may see of our variables, by default all.
    """

    platforms: Iterable[Platform | str] = ()
    tags: Iterable[Reference | str] = ()
    file: Path | str | None = None
    dockerfile: str | None = None
    stdin: BinaryIO | None = None
    target: str = ""
    build_args: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    contexts: Mapping[str, str] = {}
    push: bool = False
    load: bool | None = None
    outputs: "Sequence[Output]" = ()
    compression: "Compression | None" = None
    force_compression: bool = False
    docker_format: bool = False
    annotations: Mapping[str, str] = {}
    index_annotations: Mapping[str, str] = {}
    network: Literal["default", "none", "host"] = "default"
    hosts: Iterable[tuple[str, str]] = ()
    shm_size: int = 0
    limits: Iterable[tuple[str, int, int]] = ()
    allow: Iterable[str] = ()
    allow_foreign_base: bool = False
    secrets: "Secrets | None" = None
    proxies: Mapping[str, str] = {}
    no_cache: bool = False
    no_cache_stages: Iterable[str] = ()
    pull: bool = False
    keep_going: bool = False
    partial: bool = False
    overrides: "Iterable[Override]" = ()
    verify_platforms: Literal["error", "warn", "off"] = "error"
    epoch: int | None = None
    reproducible: bool = False
    created: float | None = None
    search_path: str | None = None
    environment: Mapping[str, str] | None = None
    workers: int | None = None


@contextmanager
def request(
    context: Path | str | None,
    store: "Store",
    registry: "Registry",
    emit: progress.Emit = progress.ignore,
    **wishes: Any,
) -> "Iterator[BuildRequest]":
    """What is asked for, as a value; contexts that had to be fetched are there until the end of the `with`.

    `wishes` are those of `Wishes`; TypeError for a name that it does not have.
    """
    from polyarch.builder import BuildRequest, OpenedContext, Secrets, named_contexts
    from polyarch.builder import fetcher as fetchers
    from polyarch.builder.request.request import SEARCH_PATH
    from polyarch.sandbox import host_platform

    wish = Wishes(**wishes)
    host = host_platform()
    wanted = tuple(one if isinstance(one, Platform) else platforms_.parse(one, host) for one in wish.platforms)
    plan = _plan(wish, host)
    around = dict(os.environ) if wish.environment is None else wish.environment
    path = SEARCH_PATH if wish.search_path is None else wish.search_path
    named = named_contexts(wish.contexts)
    secrets = wish.secrets or Secrets()
    with fetchers(store, registry, path, around, emit, secrets.secrets) as fetcher:
        keep_git = plan.arguments.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR", "").lower() in ("1", "true")
        opened = OpenedContext() if context is None else fetcher.main(context, wish.stdin, keep_git=keep_git)
        yield BuildRequest(
            sources=_sources(opened, wish.file, wish.dockerfile, named),
            platforms=tuple(dict.fromkeys(wanted)) or (host,),
            plan=msgspec.structs.replace(plan, contexts=named.files, images=named.images),
            export=_export(wish),
            created=time.time() if wish.created is None else wish.created,
            search_path=path,
            environment=around,
            secrets=secrets,
            proxies={**wish.proxies, **_proxies(plan.arguments)},
            no_cache=wish.no_cache,
            pull=wish.pull,
            keep_going=wish.keep_going or wish.partial,
            partial=wish.partial,
            overrides=tuple(wish.overrides),
            verify=wish.verify_platforms,
            workers=wish.workers or os.cpu_count() or 2,
        )


def _plan(wish: Wishes, host: Platform) -> "PlanOptions":
    from polyarch.builder import PlanOptions
    from polyarch.builder.plan.options import epoch_of

    arguments = dict(wish.build_args)
    epoch = epoch_of(arguments) if wish.epoch is None else wish.epoch
    if epoch is None and wish.reproducible:
        epoch = 0
    if epoch is not None:
        arguments.setdefault("SOURCE_DATE_EPOCH", str(epoch))
    return PlanOptions(
        build_platform=host,
        arguments=arguments,
        labels=wish.labels,
        target=wish.target,
        network=wish.network,
        allow_foreign_base=wish.allow_foreign_base,
        allow_insecure="security.insecure" in frozenset(wish.allow),
        epoch=epoch,
        uncached_stages=frozenset(name.lower() for name in wish.no_cache_stages),
        # The network of a RUN is the host's, so the way to the host is loopback.
        hosts=tuple((name, "127.0.0.1" if at == "host-gateway" else at) for name, at in wish.hosts),
        shm_size=wish.shm_size,
        limits=_limits(wish.limits),
    )


def _limits(given: Iterable[tuple[str, int, int]]) -> tuple[tuple[str, int, int], ...]:
    found = tuple(given)
    for name, _, _ in found:
        if name not in _LIMITS:
            raise UsageError(f"there is no limit {name!r}", f"there are {', '.join(sorted(_LIMITS))}")
    return found


def _proxies(arguments: Mapping[str, str]) -> dict[str, str]:
    """The build arguments that a RUN sees without an ARG, in small and in capital letters: programs look for either."""
    from polyarch.dockerfile.stages import PROXIES

    found = {name: value for name, value in arguments.items() if name in PROXIES}
    return {name: value for given, value in found.items() for name in (given.lower(), given.upper())}


def _sources(opened: "OpenedContext", file: Path | str | None, text: str | None, named: "NamedContexts") -> "Sources":
    """The Dockerfile: by its text, by its path on this machine, or inside a context that came from elsewhere."""
    from polyarch.builder import read_sources

    if text is None and file is None:
        text = opened.text
    path = None if file is None else Path(file)
    if path is not None and opened.directory is not None and not opened.ignores:
        path = opened.directory / path
    return read_sources(opened.directory, path, named, text, ignores=opened.ignores)


def _export(wish: Wishes) -> "Export":
    from polyarch.builder import Export, Output
    from polyarch.layers.compression import Compression

    names = tuple(one if isinstance(one, Reference) else references.parse(one) for one in wish.tags)
    for name in names:
        if name.digest:
            raise UsageError(f"{name} has a digest, so it cannot be a tag", "leave out the @ and what follows it")
    where = list(wish.outputs)
    if wish.push:
        where.append(Output(kind="registry"))
    if wish.load or (not where and wish.load is not False):
        where.insert(0, Output(kind="store"))
    return Export(
        names=names,
        outputs=tuple(where),
        compression=wish.compression or Compression(),
        force_compression=wish.force_compression,
        docker_format=wish.docker_format,
        annotations=wish.annotations,
        index_annotations=wish.index_annotations,
    )


@contextmanager
def _registry(given: "Registry | None") -> "Iterator[Registry]":
    """The registry client that was given, or an anonymous one that is closed again."""
    if given is not None:
        yield given
        return
    from polyarch.registry import Registry, credentials, hosts
    from polyarch.version import VERSION

    with Registry(hosts.load(), credentials.Credentials(None), f"polyarch/{VERSION}") as made:
        yield made
