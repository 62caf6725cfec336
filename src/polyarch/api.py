"""`polyarch.build`: a build in one call, for programs as for the command line, which calls it too.

Like `cli/` it stands on top, so here the clock is read for those who say no time.
"""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from polyarch import progress
from polyarch.errors import UsageError
from polyarch.oci import platform as platforms_
from polyarch.oci import reference as references
from polyarch.oci.platform import Platform
from polyarch.oci.reference import Reference

if TYPE_CHECKING:
    from polyarch.builder import BuildResult, Output, Secrets
    from polyarch.layers.compression import Compression
    from polyarch.registry import Registry
    from polyarch.store import Store


def build(
    context: Path | str | None,
    store: "Store",
    *,
    platforms: Iterable[Platform | str] = (),
    tags: Iterable[Reference | str] = (),
    file: Path | str | None = None,
    dockerfile: str | None = None,
    target: str = "",
    build_args: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    contexts: Mapping[str, str] | None = None,
    push: bool = False,
    load: bool | None = None,
    outputs: "Sequence[Output]" = (),
    compression: "Compression | None" = None,
    force_compression: bool = False,
    docker_format: bool = False,
    annotations: Mapping[str, str] | None = None,
    index_annotations: Mapping[str, str] | None = None,
    network: Literal["default", "none", "host"] = "default",
    allow: Iterable[str] = (),
    allow_foreign_base: bool = False,
    secrets: "Secrets | None" = None,
    proxies: Mapping[str, str] | None = None,
    no_cache: bool = False,
    pull: bool = False,
    keep_going: bool = False,
    epoch: int | None = None,
    created: float | None = None,
    search_path: str | None = None,
    workers: int | None = None,
    registry: "Registry | None" = None,
    emit: progress.Emit = progress.ignore,
) -> "BuildResult":
    """Build the Dockerfile of `context` for each of `platforms` (this machine's where none is given).

    The result gets `tags` in the store, unless `push` or `outputs` say where it goes instead (`load` True: there
    too). `dockerfile` is a Dockerfile's text; otherwise `file`, or `Dockerfile` in the context, is read. `contexts`
    are named build contexts: a directory, or `docker-image://NAME`. `epoch` (seconds) is SOURCE_DATE_EPOCH.
    `created` (seconds) is the time that new layers get, now where it is None. `registry` is asked for base images
    and pushed to; without it an anonymous one is made and closed again.

    A RUN needs a user namespace, which this process then enters for good: it must have no second thread by then.
    Raises UsageError, DockerfileError with the lines that are wrong, BuildError where a step fails, and other kinds
    of PolyarchError.
    """
    from polyarch.builder import BuildRequest, Export, Output, PlanOptions, Secrets, read_sources
    from polyarch.builder import build as build_request
    from polyarch.builder.plan.planner import epoch_of
    from polyarch.builder.request import SEARCH_PATH
    from polyarch.layers.compression import Compression
    from polyarch.sandbox import host_platform

    host = host_platform()
    wanted = tuple(
        dict.fromkeys(one if isinstance(one, Platform) else platforms_.parse(one, host) for one in platforms)
    )
    arguments = dict(build_args or {})
    if epoch is None:
        epoch = epoch_of(arguments)
    else:
        arguments.setdefault("SOURCE_DATE_EPOCH", str(epoch))
    directories, images = _named_contexts(contexts or {})
    names = tuple(one if isinstance(one, Reference) else references.parse(one) for one in tags)
    for name in names:
        if name.digest:
            raise UsageError(f"a tag is a name, not a digest: {name}", "leave out the part behind @")
    where = list(outputs)
    if push:
        where.append(Output(kind="registry"))
    if load or (not where and load is not False):
        where.insert(0, Output(kind="store"))
    allowed = frozenset(allow)
    request = BuildRequest(
        sources=read_sources(_path(context), _path(file), directories, dockerfile),
        platforms=wanted or (host,),
        plan=PlanOptions(
            build_platform=host,
            arguments=arguments,
            labels=labels or {},
            contexts=frozenset(directories),
            images=images,
            target=target,
            network=network,
            explicit_platform=bool(wanted),
            allow_foreign_base=allow_foreign_base,
            allow_insecure="security.insecure" in allowed,
            epoch=epoch,
        ),
        export=Export(
            names=names,
            outputs=tuple(where),
            compression=compression or Compression(),
            force_compression=force_compression,
            docker_format=docker_format,
            annotations=annotations or {},
            index_annotations=index_annotations or {},
        ),
        created=time.time() if created is None else created,
        search_path=SEARCH_PATH if search_path is None else search_path,
        secrets=secrets or Secrets(),
        proxies=proxies or {},
        no_cache=no_cache,
        pull=pull,
        keep_going=keep_going,
        workers=workers or os.cpu_count() or 2,
    )
    if registry is not None:
        return build_request(request, store, registry, emit)
    from polyarch.registry import Registry, credentials, hosts
    from polyarch.version import VERSION

    with Registry(hosts.load(), credentials.Credentials(None), f"polyarch/{VERSION}") as made:
        return build_request(request, store, made, emit)


def _path(given: Path | str | None) -> Path | None:
    return None if given is None else Path(given)


def _named_contexts(contexts: Mapping[str, str]) -> tuple[dict[str, Path], dict[str, str]]:
    """Named contexts parted into directories of this machine and images."""
    directories: dict[str, Path] = {}
    images: dict[str, str] = {}
    for name, value in contexts.items():
        if value.startswith("docker-image://"):
            images[name] = value.removeprefix("docker-image://")
        elif "://" in value:
            raise UsageError(
                f"the build context {name}={value} is of a kind that is not known",
                "it is a directory, or docker-image://NAME",
            )
        else:
            directories[name] = Path(value)
    return directories, images
