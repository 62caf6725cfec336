"""`polyarch.Polyarch`: builds, images and indexes for a Python program."""

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self, Unpack, cast

from polyarch import progress as events
from polyarch.client import arguments, core
from polyarch.client.arguments import Names, Platforms, StrPath
from polyarch.client.images import Images
from polyarch.client.indexes import Indexes
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


class Polyarch:
    """A client: a store on this machine, the registries, and settings. Use it with `with`, or call `close`.

    `root` is the directory of the store; by default that of the command line (POLYARCH_ROOT, else
    ~/.local/share/polyarch, for root /var/lib/polyarch). The other settings have docker's and containers' defaults:

    - `credentials` by host, as in {"registry.example.org": Credential(username="ada", password="…")}, come before
      those of docker's config.json, containers' auth.json and credential helpers.
    - `registries` is a registries.conf(5), `certificates` are directories as docker's certs.d, and `insecure` hosts
      that may speak plain HTTP or show a certificate that cannot be verified.
    - `cache_limit` is how much build cache is kept: "20GB", "10%" of the disk, or "none".
    - `environment` replaces the variables of this process: PATH, HTTPS_PROXY, DOCKER_CONFIG, SOURCE_DATE_EPOCH.
    - `progress` is called with the events of `polyarch.progress`, from any thread that works for the call.
    - `clock` gives seconds since 1970, for the time that new layers get; `time.time` by default.

    All methods may be called from several threads at once, from notebooks and from event loops by way of
    `asyncio.to_thread`. Every error that is raised on purpose is a PolyarchError, with `message` and `hint`; arguments
    of the wrong type are a UsageError.
    """

    def __init__(
        self,
        root: StrPath | None = None,
        *,
        credentials: Mapping[str, Credential] | None = None,
        registries: StrPath | None = None,
        certificates: StrPath | Iterable[StrPath] = (),
        insecure: str | Iterable[str] = (),
        cache_limit: str | None = None,
        environment: Mapping[str, str] | None = None,
        progress: Callable[[events.Event], None] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        settings = core.settings_of(root, environment, registries, certificates, credentials, insecure, cache_limit)
        for name, value in (("progress", progress), ("clock", clock)):
            if value is not None and not callable(value):
                arguments.refuse(name, value, "a function")
        self._core = core.ClientCore(settings, progress or events.ignore, clock or core.clock)
        self.images = Images(self._core)
        self.indexes = Indexes(self._core)

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
        cache: "CacheSettings" = {},
        run: "RunFlags" = {},
        time: "TimeSettings" = {},
        overrides: "Mapping[str | Platform, PlatformOverride]" = {},
        allow: str | Iterable[str] = (),
        allow_foreign_base: bool = False,
        verify_platforms: "VerifyPlatforms" = "error",
        on_failure: "OnFailure" = "stop",
        workers: int | None = None,
        isolate: bool = True,
    ) -> "BuildResult":
        """Build a Dockerfile for one platform or many, as one graph.

        `context` is a directory, the URL of an archive or a git repository, a binary file object with a tar or a
        Dockerfile, or None.

        The other keywords are those of `BuildKeywords`.

        With `isolate` the build is done in a process of its own, so that it can be called from any thread. Without,
        RUN steps move this process into a user namespace permanently, which only a program with one thread may do.

        Raises UsageError; DockerfileError with the lines that are wrong; BuildError where a step fails; NotFoundError,
        RegistryError, UnsupportedError and other kinds of PolyarchError.
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
        """What `build` with these keywords would do now, step by step, and why a step is not in the cache.

        Nothing is built. Raises as `build` does.
        """
        from polyarch.builder import dry_run
        from polyarch.client import building

        request = building.request(self._core, context, keywords)
        with self._core.places() as places:
            return dry_run(request, places.store, places.registry)

    def lint(self, context: StrPath | BinaryIO | None = ".", **keywords: Unpack["BuildKeywords"]) -> "Checked":
        """What the build checks find in a Dockerfile. Nothing is built. Raises as `build` does."""
        from polyarch.builder import check
        from polyarch.client import building

        request = building.request(self._core, context, keywords)
        with self._core.places() as places:
            return check(request, places.store, places.registry)

    def outline(self, context: StrPath | BinaryIO | None = ".", **keywords: Unpack["BuildKeywords"]) -> "Outline":
        """The arguments, secrets and ssh sockets that a build of the target takes. Raises DockerfileError."""
        from polyarch.builder import outline
        from polyarch.client import building

        request = building.request(self._core, context, keywords)
        with self._core.places() as places:
            return outline(request, places.store, places.registry)

    def targets(
        self, context: StrPath | BinaryIO | None = ".", **keywords: Unpack["BuildKeywords"]
    ) -> "tuple[TargetStage, ...]":
        """The stages of a Dockerfile that can be built. Raises DockerfileError."""
        from polyarch.builder import targets
        from polyarch.client import building

        request = building.request(self._core, context, keywords)
        with self._core.places() as places:
            return targets(request, places.store, places.registry)

    def close(self) -> None:
        """End the client; its methods then raise UsageError. Safe to call twice."""
        self._core.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Polyarch({str(self._core.settings.environment.root)!r})"
