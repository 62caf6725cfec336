"""A build request: small frozen values by concern, made once by `polyarch.buildflags`."""

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from polyarch.buildcache.wanted import CacheSource, CacheTarget
from polyarch.builder.plan.names import ContextName
from polyarch.builder.plan.options import PlanOptions
from polyarch.builder.request.farm import FarmRequest
from polyarch.builder.request.input import BuildInput, ContextSource, ImageContext, LayoutContext, LinkedContext
from polyarch.builder.request.output import Export
from polyarch.builder.request.secrets import Secrets
from polyarch.oci.config import DEFAULT_PATH
from polyarch.oci.platform import Platform
from polyarch.secret import SecretBytes, Variables

OnFailure = Literal["stop", "finish", "keep"]


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """The options for one platform. They are added to those for all platforms, and take precedence."""

    platform: Platform
    arguments: Mapping[str, str] = Variables()
    labels: Mapping[str, str] = {}
    target: str = ""
    contexts: Mapping[str, ContextSource] = {}
    secrets: Mapping[str, SecretBytes] = {}

    def applied(self, options: PlanOptions) -> PlanOptions:
        """The options of this platform."""
        return msgspec.structs.replace(
            options,
            arguments=Variables({**options.arguments, **self.arguments}),
            labels={**options.labels, **self.labels},
            target=self.target or options.target,
        )


class CacheOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which earlier results are used, and where new ones are kept.

    With `pull`, registries are asked even for base images that the store has. `sources` are read besides the cache of
    the store, `targets` are written in the end. With `inline`, the image has a cache in it. `notes` are warnings about
    caches that are left out or treated differently than requested.
    """

    no_cache: bool = False
    pull: bool = False
    sources: tuple[CacheSource, ...] = ()
    targets: tuple[CacheTarget, ...] = ()
    inline: bool = False
    notes: tuple[str, ...] = ()


class HostSettings(msgspec.Struct, frozen=True, kw_only=True):
    """This machine's part in a build.

    `search_path` finds the runtime, emulators and git. `variables` are the environment of helper programs (git and its
    ssh). `workers` is the number of steps that run at a time. `emulators` are pairs of an architecture and the path of
    the emulator that runs it instead of one on the search path.
    """

    search_path: str = DEFAULT_PATH
    variables: Mapping[str, str] = Variables()
    workers: int = 2
    emulators: tuple[tuple[str, str], ...] = ()


class BuildRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One build for one or more platforms.

    `created` is the time, in seconds since 1970, that new layers get unless `plan.epoch` is set. Every RUN gets
    `proxies`, which are not part of its cache key. If a platform fails: "stop" ends the build, "finish" builds the
    others and exports nothing, "keep" exports those that succeeded. `verify` says how to treat a binary of another
    architecture in a new layer. `reference` is the BUILDER/NODE/ID by which docker buildx knows the build; empty for a
    new one. `farm` does the RUN steps; who calls the builder opens it.
    """

    input: BuildInput
    platforms: tuple[Platform, ...]
    plan: PlanOptions
    export: Export
    created: float
    overrides: tuple[Override, ...] = ()
    secrets: Secrets = Secrets()
    proxies: Mapping[str, str] = Variables()
    cache: CacheOptions = CacheOptions()
    on_failure: OnFailure = "stop"
    verify: Literal["error", "warn", "off"] = "error"
    host: HostSettings = HostSettings()
    reference: str = ""
    farm: FarmRequest | None = None

    def plan_for(self, platform: Platform, ignore: str = "") -> PlanOptions:
        """The plan's options for one platform. `ignore` is the text of the main context's ignore file."""
        images = {name: _image(source) for name, source in self.contexts()}
        options = msgspec.structs.replace(self.plan, ignore=ignore, contexts=images)
        for override in self.overrides:
            if override.platform == platform:
                options = override.applied(options)
        return options

    def contexts(self) -> Iterator[tuple[ContextName, ContextSource]]:
        """The named contexts: those for all platforms, then those for one."""
        for name, source in self.input.contexts.items():
            yield ContextName(name), source
        for override in self.overrides:
            for name, source in override.contexts.items():
                yield ContextName(name, override.platform), source

    def links(self) -> tuple[str, ...]:
        """The builds of the same command whose images are contexts of this one."""
        found = (source.build for _, source in self.contexts() if isinstance(source, LinkedContext))
        return tuple(dict.fromkeys(found))

    def all_secrets(self) -> Secrets:
        """The secrets, with those of the overrides."""
        found = {override.platform: override.secrets for override in self.overrides if override.secrets}
        return msgspec.structs.replace(self.secrets, by_platform=found) if found else self.secrets


def _image(source: ContextSource) -> str:
    """The name by which a context that is an image is resolved; empty for one that has files."""
    match source:
        case ImageContext():
            return source.name
        case LayoutContext() | LinkedContext():
            return source.word
        case _:
            return ""
