"""All options of a build. `request` turns them into one `BuildRequest`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, TypedDict, Unpack

import msgspec

from polyarch.builder.plan.options import LATEST_EPOCH, PlanOptions, epoch_of
from polyarch.builder.request.input import BuildInput, RemoteContext, StreamContext
from polyarch.builder.request.request import BuildRequest, CacheOptions, HostSettings, OnFailure, Override
from polyarch.builder.request.secrets import Secrets
from polyarch.buildflags import context as contexts
from polyarch.buildflags import output, platform, run, values
from polyarch.buildflags.output import ExportFlags
from polyarch.buildflags.platform import ByPlatform
from polyarch.buildflags.run import RunFlags
from polyarch.buildflags.values import Items, Pairs
from polyarch.dockerfile.stages import PROXIES
from polyarch.errors import UsageError
from polyarch.oci.config import DEFAULT_PATH
from polyarch.oci.platform import Platform
from polyarch.secret import Variables

if TYPE_CHECKING:
    from polyarch.buildcache.wanted import CacheSource, CacheTarget

_Verify = Literal["error", "warn", "off"]
# What can be allowed. The last two allow what no build here does.
_ALLOWED = frozenset({"security.insecure", "network.host", "device", "buildx.local.delete"})


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """The environment of a build. The caller reads it, because nothing in this package does.

    `variables` are environment variables: PATH, SOURCE_DATE_EPOCH, DOCKER_DEFAULT_PLATFORM, DOCKER_HOST, SSH_AUTH_SOCK,
    the proxies, and those that `--build-arg NAME` and `--secret id=ID,env=NAME` name. Relative paths are relative to
    `directory`. `now` is the time in seconds since 1970. `stdin` is read for the context `-`, and `stdout` is written
    for the output `-`. `workers` is the number of steps that run at a time. `loads` is where `--load` and an output of
    type=docker without a destination go: the store, docker's engine, or by default the store for the first, and for
    the second the engine, if one runs. `emulators` are those of the configuration: pairs of an architecture and a path.
    """

    host: Platform
    variables: Mapping[str, str]
    now: float
    directory: Path = Path()
    stdin: BinaryIO | None = None
    stdout: BinaryIO | None = None
    workers: int = 2
    loads: Literal["", "store", "engine"] = ""
    emulators: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        # A type whose repr hides the values.
        msgspec.structs.force_setattr(self, "variables", Variables(self.variables))


class InputFlags(TypedDict, total=False):
    """Options for the inputs of a build.

    The Dockerfile is the text `dockerfile`, or `file`, or `Dockerfile` in the context. `contexts` are named build
    contexts: a directory, `docker-image://NAME`, `oci-layout://PATH`, a URL or a git repository. `secrets` are {id:
    content as bytes, or Path of the file}, or text as for `--secret`; `ssh` are {id: socket}. `linux/arm64:VALUE` is a
    value for one platform; all of these accept it except the Dockerfile and `ssh`.
    """

    file: str | Path | None
    dockerfile: str | None
    target: Items[str]
    build_args: Pairs
    labels: Pairs
    contexts: Mapping[str, str | Path] | Items[str]
    secrets: Mapping[str, bytes | Path] | Items[str]
    ssh: Mapping[str, str | Path] | Items[str]


class CacheFlags(TypedDict, total=False):
    """Options for caches outside of the store: values as for `--cache-from` and `--cache-to`."""

    cache_from: "Items[str | CacheSource]"
    cache_to: "Items[str | CacheTarget]"


class BuildOptions(InputFlags, RunFlags, ExportFlags, CacheFlags, total=False):
    """The options of a build by name, for `request`. None is the same as leaving the option out.

    `platforms` defaults to the platform of this machine. `on_failure` says what to do if a platform fails: "stop" the
    build, "finish" the others and export nothing, or "keep" those that succeeded. `epoch` is SOURCE_DATE_EPOCH in
    seconds; `reproducible` sets it to 0 if nothing else sets it.
    """

    platforms: Items[str | Platform]
    allow: Items[str]
    allow_foreign_base: bool
    no_cache: bool
    no_cache_filter: Items[str]
    pull: bool
    on_failure: OnFailure | None
    verify_platforms: _Verify | None
    reproducible: bool
    epoch: int | None
    workers: int | None


# The names of all options.
OPTIONS = frozenset(BuildOptions.__annotations__)


class _Sorted(msgspec.Struct, frozen=True):
    """The options that accept a value for one platform, by platform."""

    target: ByPlatform
    arguments: ByPlatform
    labels: ByPlatform
    contexts: ByPlatform
    secrets: ByPlatform


def request(context: Path | str | None, around: Surroundings, **options: Unpack[BuildOptions]) -> BuildRequest:
    """The request for a build of `context`: a directory, the URL of an archive or a git repository, `-` or None.

    Reads the files of secrets; nothing else is opened or fetched. Raises UsageError for an unknown option, a value of
    the wrong type and options that contradict each other, NotFoundError for a directory or a secret that does not
    exist.
    """
    _refuse_unknown(options)
    get = options.get
    sorted_ = _sort(options)
    default = around.variables.get("DOCKER_DEFAULT_PLATFORM")
    platforms = platform.parse(values.items("--platform", get("platforms"), str, Platform), around.host)
    platforms = platforms or platform.parse([default] if default else [], around.host) or (around.host,)
    flags = ("--target", "--build-arg", "--label", "--build-context", "--secret")
    platform.expect(dict(zip(flags, msgspec.structs.astuple(sorted_), strict=True)), platforms)
    overrides = {one: _override(one, sorted_, around) for one in _platforms_of(sorted_)}
    named = contexts.parse(sorted_.contexts[None], around.directory)
    for (name, only), source in named.items():
        if only is not None:
            known = overrides.get(only) or Override(platform=only)
            overrides[only] = msgspec.structs.replace(known, contexts={name: source, **known.contexts})
    arguments = _arguments(sorted_.arguments[None], around.variables)
    return BuildRequest(
        input=BuildInput(
            context=contexts.main(context, around.directory),
            stdin=around.stdin,
            file=_file(context, get("file"), around.directory),
            dockerfile=_text("dockerfile", get("dockerfile")),
            contexts={name: source for (name, only), source in named.items() if only is None},
        ),
        platforms=platforms,
        plan=_plan(options, sorted_, arguments, around),
        export=output.export(options, around.directory, around.stdout, arguments, around.variables, around.loads),
        created=around.now,
        overrides=tuple(overrides.values()),
        secrets=_secrets(
            secrets if isinstance(secrets := get("secrets"), Mapping) else sorted_.secrets[None], get("ssh"), around
        ),
        proxies=_proxies(arguments, around.variables),
        cache=_cache(options, arguments, around),
        on_failure=values.choice("on_failure", get("on_failure"), OnFailure, "stop"),
        verify=values.choice("--verify-platforms", get("verify_platforms"), _Verify, "error"),
        host=HostSettings(
            search_path=around.variables.get("PATH") or DEFAULT_PATH,
            variables=around.variables,
            workers=values.number("workers", get("workers")) or around.workers,
            emulators=_emulators(get("emulators"), around),
        ),
    )


def _emulators(given: object, around: Surroundings) -> tuple[tuple[str, str], ...]:
    if not given:
        return around.emulators
    from polyarch.buildflags import emulation

    return tuple({**dict(around.emulators), **dict(emulation.emulators(given, around.directory, around.host))}.items())


def _plan(options: BuildOptions, sorted_: _Sorted, arguments: Variables, around: Surroundings) -> PlanOptions:
    """The options of the plan, without the values for one platform."""
    get = options.get
    epoch = values.number("epoch", get("epoch"))
    if epoch is not None and epoch > LATEST_EPOCH:
        raise UsageError(f"epoch: {epoch!r} is after the year 9999", "expected a number of seconds since 1970")
    if epoch is None:
        epoch = epoch_of(arguments)
    if epoch is None:
        epoch = epoch_of(around.variables)
    if epoch is None and values.flag("--reproducible", get("reproducible")):
        epoch = 0
    if epoch is not None:
        arguments = Variables({"SOURCE_DATE_EPOCH": str(epoch), **arguments})
    stages = values.words("--no-cache-filter", get("no_cache_filter"))
    if stages and get("no_cache"):
        raise UsageError("--no-cache and --no-cache-filter cannot be used together", "leave out one of them")
    return PlanOptions(
        build_platform=around.host,
        arguments=arguments,
        labels=_labels(sorted_.labels[None]),
        target=(sorted_.target[None] or ("",))[-1],
        run=run.settings(options),
        allow_foreign_base=values.flag("--allow-foreign-base", get("allow_foreign_base")),
        allow_insecure="security.insecure" in _allowed(values.words("--allow", get("allow"))),
        epoch=epoch,
        uncached_stages=frozenset(name.lower() for name in stages),
    )


def _cache(options: BuildOptions, arguments: Mapping[str, str], around: Surroundings) -> CacheOptions:
    get = options.get
    found = CacheOptions(no_cache=values.flag("--no-cache", get("no_cache")), pull=values.flag("--pull", get("pull")))
    wanted, kept = get("cache_from"), get("cache_to")
    if not wanted and not kept and "BUILDKIT_INLINE_CACHE" not in arguments:
        return found
    from polyarch.buildflags import cache

    parsed = cache.parse(wanted, kept, arguments, around.variables, around.directory)
    return msgspec.structs.replace(
        found, sources=parsed.sources, targets=parsed.targets, inline=parsed.inline, notes=parsed.notes
    )


def _sort(options: BuildOptions) -> _Sorted:
    get = options.get
    named = get("contexts")
    if isinstance(named, Mapping):
        named = {name: str(value) if isinstance(value, Path) else value for name, value in named.items()}
    secrets = get("secrets")
    return _Sorted(
        target=platform.sort(values.words("--target", get("target"))),
        arguments=platform.sort(values.pairs("--build-arg", get("build_args"))),
        labels=platform.sort(values.pairs("--label", get("labels"))),
        contexts=platform.sort(values.pairs("--build-context", named)),
        secrets=platform.sort(() if isinstance(secrets, Mapping) else values.words("--secret", secrets)),
    )


def _platforms_of(sorted_: _Sorted) -> list[Platform]:
    """The platforms that have values of their own, each once."""
    named = (one for given in msgspec.structs.astuple(sorted_) for one in given)
    return list(dict.fromkeys(one for one in named if one is not None))


def _override(only: Platform, sorted_: _Sorted, around: Surroundings) -> Override:
    named = contexts.parse(sorted_.contexts.get(only, ()), around.directory)
    return Override(
        platform=only,
        arguments=_arguments(sorted_.arguments.get(only, ()), around.variables),
        labels=_labels(sorted_.labels.get(only, ())),
        target=sorted_.target.get(only, ("",))[-1],
        contexts={name: source for (name, _), source in named.items()},
        secrets=_secrets(sorted_.secrets.get(only, ()), None, around).secrets,
    )


def _secrets(given: object, agents: object, around: Surroundings) -> Secrets:
    """The secrets, from a mapping or from text as for `--secret`, and the sockets of ssh agents."""
    if not given and not agents:
        return Secrets()
    from polyarch.buildflags import secret

    here = around.directory
    if isinstance(given, Mapping):
        found = secret.contents(given, here)
    else:
        found = secret.parse(values.words("--secret", given), around.variables, here)
    return Secrets(found, secret.agents(agents, around.variables, here))


def _file(context: Path | str | None, given: object, here: Path) -> Path | None:
    """The path of the Dockerfile: relative to the context if that is fetched, otherwise to the working directory."""
    if given is None:
        return None
    if not isinstance(given, str | Path):
        values.refuse("--file", given, (str, Path))
    values.refuse_nul("--file", str(given))
    fetched = isinstance(contexts.main(context, here), RemoteContext | StreamContext)
    return Path(given) if fetched else here / given


def _text(option: str, given: object) -> str | None:
    if not isinstance(given, str | None):
        values.refuse(option, given, (str,))
    return given


def _arguments(words: tuple[str, ...], variables: Mapping[str, str]) -> Variables:
    """Build arguments. One without a value gets that of the environment variable, and is left out if it is not set."""
    arguments = Variables()
    for word in words:
        name, equals, value = word.partition("=")
        if not name:
            raise UsageError(f"--build-arg: {word!r} is not NAME=VALUE")
        if equals:
            arguments[name] = value
        elif name in variables:
            arguments[name] = variables[name]
    return arguments


def _labels(words: tuple[str, ...]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for word in words:
        key, _, value = word.partition("=")
        if not key:
            raise UsageError(f"--label: {word!r} is not KEY=VALUE")
        labels[key] = value
    return labels


def _allowed(words: tuple[str, ...]) -> frozenset[str]:
    found = frozenset(part for word in words for part in word.split(","))
    for word in sorted({one.partition("=")[0] for one in found} - _ALLOWED):
        raise UsageError(
            f"--allow: unknown entitlement {word!r}", "known entitlements: security.insecure, network.host"
        )
    return found


def _proxies(arguments: Mapping[str, str], variables: Mapping[str, str]) -> Variables:
    """The variables that every RUN gets without being part of an image or cache key: the proxies of this process (as in
    buildah) and those that build arguments set, in lowercase and capitals, because programs look for either.
    """
    ours = {name: variables[name] for name in PROXIES if variables.get(name)}
    given = {name: value for name, value in arguments.items() if name.upper() in PROXIES}
    return Variables({**ours, **{name: value for key, value in given.items() for name in (key.lower(), key.upper())}})


def _refuse_unknown(options: BuildOptions) -> None:
    for name in options:
        if name not in OPTIONS:
            from difflib import get_close_matches

            near = get_close_matches(name, OPTIONS, n=1)
            raise UsageError(f"unknown build option {name!r}", f"did you mean {near[0]}?" if near else None)
