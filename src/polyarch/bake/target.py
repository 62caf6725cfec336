"""What bake builds: targets and groups, as frozen values. HCL and JSON files (`definition.py`) and compose files make
them; `merge.py` combines them; nothing here reads a file.

None means that a target does not say anything. It is not the same as an empty list, which replaces an inherited one.
"""

from collections.abc import Mapping

import msgspec

from polyarch.bake.entries import AttestEntry, CacheEntry, OutputEntry, PolicyEntry, SecretEntry, SshEntry

_LINK = "target:"


class ContextBase(msgspec.Struct, frozen=True, kw_only=True):
    """The directories that relative contexts of a target are relative to, if that is not the working directory.

    `default` is that of the target's file, for a target without a context; `context` that of the file which sets the
    context; `contexts` those of the files which set the named contexts. `repeats` is the target whose context this one
    repeats (`context = target.NAME.context`).
    """

    default: str | None = None
    context: str | None = None
    contexts: Mapping[str, str] = {}
    repeats: str = ""


class TargetInput(msgspec.Struct, frozen=True, kw_only=True):
    """What a target is built from."""

    context: str | None = None
    contexts: Mapping[str, str] | None = None
    dockerfile: str | None = None
    dockerfile_inline: str | None = None
    target: str | None = None
    args: Mapping[str, str | None] | None = None
    secrets: tuple[SecretEntry, ...] | None = None
    ssh: tuple[SshEntry, ...] | None = None
    base: ContextBase = ContextBase()


class TargetRun(msgspec.Struct, frozen=True, kw_only=True):
    """How the RUN steps of a target run."""

    network: str | None = None
    shm_size: str | None = None
    ulimits: tuple[str, ...] | None = None
    extra_hosts: Mapping[str, str | None] | None = None
    entitlements: tuple[str, ...] | None = None
    resources: Mapping[str, str | int] | None = None


class TargetCache(msgspec.Struct, frozen=True, kw_only=True):
    """The caches of a target."""

    cache_from: tuple[CacheEntry, ...] | None = None
    cache_to: tuple[CacheEntry, ...] | None = None
    no_cache: bool | None = None
    no_cache_filter: tuple[str, ...] | None = None
    pull: bool | None = None


class TargetResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a target: its names, what it says of itself, and where it goes."""

    tags: tuple[str, ...] | None = None
    labels: Mapping[str, str | None] | None = None
    annotations: tuple[str, ...] | None = None
    attest: tuple[AttestEntry, ...] | None = None
    outputs: tuple[OutputEntry, ...] | None = None


class BakeTarget(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to build. `linked` says that only another target needs it, so that its result goes nowhere."""

    name: str = ""
    description: str = ""
    inherits: tuple[str, ...] = ()
    platforms: tuple[str, ...] | None = None
    call: str | None = None
    policy: tuple[PolicyEntry, ...] | None = None
    input: TargetInput = TargetInput()
    run: TargetRun = TargetRun()
    cache: TargetCache = TargetCache()
    result: TargetResult = TargetResult()
    linked: bool = False

    def links(self) -> dict[str, str]:
        """The named contexts that are other targets: {name of the context: name of the target}."""
        named = (self.input.contexts or {}).items()
        return {name: at.removeprefix(_LINK) for name, at in named if at.startswith(_LINK)}


class TargetGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Targets and other groups under one name."""

    name: str
    targets: tuple[str, ...] = ()
    description: str = ""


class Definition(msgspec.Struct, frozen=True):
    """All targets and groups of the files, as they are written: before inheritance and `--set`."""

    targets: tuple[BakeTarget, ...] = ()
    groups: tuple[TargetGroup, ...] = ()
