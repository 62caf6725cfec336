"""`polyarch.Polyarch`: builds, images and indexes for a Python program."""

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self, Unpack, cast

from polyarch import progress as events
from polyarch.client import arguments, core
from polyarch.client.arguments import Names, Platforms, StrPath
from polyarch.client.caches import RemoteCaches
from polyarch.client.images import Images
from polyarch.client.indexes import Indexes
from polyarch.client.values import PruneResult
from polyarch.oci.platform import Platform
from polyarch.registry.credentials import Credential

if TYPE_CHECKING:
    from polyarch.builder import BuildRecord, BuildResult, Checked, Outline, Output, TargetStage
    from polyarch.buildflags.run import RunFlags
    from polyarch.client.building import (
        BuildKeywords,
        CacheSettings,
        OnFailure,
        PlatformOverride,
        Secret,
        TimeSettings,
        VerifyPlatforms,
    )
    from polyarch.client.farm_settings import FarmSettings
    from polyarch.doctor import Diagnosis


class Polyarch:
    """A client for one image store and any number of registries. Use it in a `with` statement, or call `close`.

    `root` is the directory of the store. The default is that of the command line: $POLYARCH_ROOT, or
    ~/.local/share/polyarch, or /var/lib/polyarch for the root user. The other settings are keywords, and default to
    the configuration that docker and podman use:

    - `credentials` maps hosts to credentials: {"registry.example.org": Credential(username="ada", password="…")}.
      For other hosts, docker's config.json, podman's auth.json and credential helpers are read.
    - `registries` is the path of a registries.conf(5) file. `certificates` are directories in the layout of docker's
      certs.d. `insecure` are hosts that may use plain HTTP or a certificate that cannot be verified.
    - `proxies` are proxy URLs: {"http": "http://proxy.example.org:3128", "https": …, "no_proxy": "localhost"}. RUN
      steps get them as well. The default are the environment variables https_proxy, HTTPS_PROXY and others.
    - `cache_limit` is the size that the build cache may have: "20GB", "10%" (of the disk) or "none" (no limit).
    - `environment` replaces the environment variables of this process (PATH, DOCKER_CONFIG, SOURCE_DATE_EPOCH …).
    - `progress` is called with each event of `polyarch.progress`. Builds and runs call it in the thread that called
      the method, other methods in any thread. If it raises an exception, the method stops and raises it.
    - `clock` returns the time in seconds since 1970 that new layers get. The default is `time.time`.

    Methods may be called from several threads at once. Every error that Polyarch raises on purpose is a
    PolyarchError; for an argument of the wrong type it is a UsageError.
    """

    def __init__(
        self,
        root: StrPath | None = None,
        *,
        credentials: Mapping[str, Credential] | None = None,
        registries: StrPath | None = None,
        certificates: StrPath | Iterable[StrPath] = (),
        proxies: Mapping[str, str] | None = None,
        insecure: str | Iterable[str] = (),
        cache_limit: str | None = None,
        environment: Mapping[str, str] | None = None,
        progress: Callable[[events.Event], None] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        settings = core.settings_of(
            root, environment, registries, certificates, proxies, credentials, insecure, cache_limit
        )
        for name, value in (("progress", progress), ("clock", clock)):
            if value is not None and not callable(value):
                arguments.refuse(name, value, "a function")
        self._core = core.ClientCore(settings, progress or events.ignore, clock or core.clock)
        self.images = Images(self._core)
        self.indexes = Indexes(self._core)
        self.caches = RemoteCaches(self._core)

    def build(
        self,
        context: StrPath | BinaryIO | None = ".",
        *,
        platforms: Platforms = (),
        tags: Names = (),
        file: StrPath | None = None,
        dockerfile: str | None = None,
        target: str = "",
        args: Mapping[str, str | None] = {},
        labels: Mapping[str, str] = {},
        contexts: Mapping[str, StrPath] = {},
        secrets: "Mapping[str, Secret]" = {},
        ssh: Mapping[str, StrPath] = {},
        output: "str | Output | Iterable[str | Output]" = (),
        push: bool = False,
        load: bool = False,
        annotations: Mapping[str, str] = {},
        provenance: bool | str | Mapping[str, str | bool] = False,
        sbom: bool | str | Mapping[str, str] = False,
        cache: "CacheSettings" = {},
        run: "RunFlags" = {},
        time: "TimeSettings" = {},
        farm: "str | FarmSettings | None" = None,
        overrides: "Mapping[str | Platform, PlatformOverride]" = {},
        allow: str | Iterable[str] = (),
        allow_foreign_base: bool = False,
        verify_platforms: "VerifyPlatforms" = "error",
        on_failure: "OnFailure" = "stop",
        workers: int | None = None,
        isolate: bool = True,
    ) -> "BuildResult":
        """Build a Dockerfile for one or more platforms, and return what was built.

        `context` is a directory, the URL of an archive or git repository, a binary file object that contains a tar
        archive or a Dockerfile, or None for a build without files. `BuildKeywords` describes the other parameters.

        If `isolate` is true, a separate process does the build, so that this method works in any thread. If it is
        false, RUN steps move the calling process into a user namespace permanently; the process must not have any
        other thread.

        Raises UsageError, NotFoundError, RegistryError, UnsupportedError; DockerfileError, which shows the lines that
        are wrong; BuildError if a step fails.
        """
        given = dict(locals())
        from polyarch.client import building, jobs

        arguments.flag("isolate", isolate)
        keywords = {name: value for name, value in given.items() if name in building.BuildKeywords.__annotations__}
        request = building.request(self._core, context, keywords)
        if not isolate:
            return jobs.build(self._core.settings, request, self._core.emit)
        return cast("BuildResult", self._core.work("build", request))

    def plan(self, context: StrPath | BinaryIO | None = ".", **keywords: Unpack["BuildKeywords"]) -> "BuildRecord":
        """Return the steps that `build` would do now, and why each of them is not cached. Nothing is built.

        Raises the same errors as `build`.
        """
        from polyarch.builder import dry_run
        from polyarch.client import building

        request = building.request(self._core, context, keywords)
        with self._core.places() as places:
            return dry_run(request, places.store, places.registry)

    def lint(self, context: StrPath | BinaryIO | None = ".", **keywords: Unpack["BuildKeywords"]) -> "Checked":
        """Return what the build checks find in a Dockerfile. Nothing is built. Raises the same errors as `build`."""
        from polyarch.builder import check
        from polyarch.client import building

        request = building.request(self._core, context, keywords)
        with self._core.places() as places:
            return check(request, places.store, places.registry)

    def outline(self, context: StrPath | BinaryIO | None = ".", **keywords: Unpack["BuildKeywords"]) -> "Outline":
        """Return the build arguments, secrets and ssh sockets that the target uses. Raises DockerfileError."""
        from polyarch.builder import outline
        from polyarch.client import building

        request = building.request(self._core, context, keywords)
        with self._core.places() as places:
            return outline(request, places.store, places.registry)

    def targets(
        self, context: StrPath | BinaryIO | None = ".", **keywords: Unpack["BuildKeywords"]
    ) -> "tuple[TargetStage, ...]":
        """Return the stages of a Dockerfile that can be built. Raises DockerfileError."""
        from polyarch.builder import targets
        from polyarch.client import building

        request = building.request(self._core, context, keywords)
        with self._core.places() as places:
            return targets(request, places.store, places.registry)

    def prune(self, *, all: bool = False, keep_storage: int | str | None = None, dry_run: bool = False) -> PruneResult:
        """Remove images without a name, and content that neither a named image nor the build cache needs.

        `all` removes the build cache, cache mounts and unpacked layers as well. `keep_storage` removes of these only
        the least recently used, until the store is not larger than a number of bytes or a size such as "20GB".
        `dry_run` removes nothing, and returns what would be removed. Raises ConflictError if the store is in use.
        """
        from polyarch.buildflags import size
        from polyarch.images import prune as pruning

        storage: Any = keep_storage
        if isinstance(keep_storage, str):
            storage = size.bytes_of(keep_storage)
        elif keep_storage is not None and (
            not isinstance(keep_storage, int) or isinstance(keep_storage, bool) or keep_storage < 0
        ):
            arguments.refuse("keep_storage", keep_storage, "a number of bytes, or a size as in 20GB")
        everything, rehearsal = arguments.flag("all", all), arguments.flag("dry_run", dry_run)
        with self._core.places() as places:
            found = pruning.prune(places.store, everything=everything, storage=storage, dry_run=rehearsal)
        if found.left and not rehearsal:
            self._core.work("reclaim", None)
        return PruneResult(removed=tuple(item.name for item in found.removed), size=found.size)

    def doctor(
        self, registries: str | Iterable[str] = (), *, platforms: Platforms = (), network: bool = False
    ) -> "tuple[Diagnosis, ...]":
        """Examine what this machine can do, what is missing, and which command changes that.

        `platforms` must run here, and `registries`, such as "ghcr.io", must answer; otherwise their status is
        "missing". `network` asks the registries for which credentials are stored as well. Without either, no request
        is made. Raises UsageError, PolyarchError.
        """
        from polyarch.client.doctor import DoctorRequest

        request = DoctorRequest(
            registries=arguments.texts("registries", registries),
            platforms=arguments.platforms("platforms", platforms, self._core.host),
            network=arguments.flag("network", network),
        )
        return cast("tuple[Diagnosis, ...]", self._core.work("doctor", request))

    def close(self) -> None:
        """Close the client. Its methods raise UsageError from then on. Closing it twice is allowed."""
        self._core.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        # A debugger shows an object whose __init__ raised, too.
        core = getattr(self, "_core", None)
        return f"Polyarch({str(core.settings.environment.root)!r})" if core else "Polyarch()"
