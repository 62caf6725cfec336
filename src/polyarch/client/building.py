"""The keywords of `Polyarch.build`, checked and turned into the request that a build is made from."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypedDict, cast

import msgspec

from polyarch.builder.request.output import Output
from polyarch.buildflags import BuildOptions, Surroundings
from polyarch.buildflags import request as request_of
from polyarch.buildflags.run import RunFlags
from polyarch.client import arguments, configuration, farm_settings
from polyarch.client.arguments import Names, Platforms, StrPath
from polyarch.client.core import ClientCore
from polyarch.client.farm_settings import FarmSettings
from polyarch.errors import UsageError
from polyarch.oci.platform import Platform
from polyarch.secret import SecretBytes

if TYPE_CHECKING:
    from polyarch.builder import BuildRequest

# The content of a secret, or the path of its file. A str is refused: it could be either.
Secret = bytes | os.PathLike[str]
OnFailure = Literal["stop", "finish", "keep"]
VerifyPlatforms = Literal["error", "warn", "off"]


class CacheSettings(TypedDict, total=False):
    """Which cached results a build uses.

    `no_cache` disables the cache, and `no_cache_filter` disables it for some stages. `pull` asks the registries for
    newer base images even if the store has the image. `cache_from` are caches outside of the store to use, and
    `cache_to` are those to write, as for `--cache-from` and `--cache-to`: "type=registry,ref=ghcr.io/acme/app:cache".
    """

    no_cache: bool
    no_cache_filter: str | Iterable[str]
    pull: bool
    cache_from: str | Iterable[str]
    cache_to: str | Iterable[str]


class TimeSettings(TypedDict, total=False):
    """The time stamps in an image.

    `epoch` is SOURCE_DATE_EPOCH in seconds since 1970: no new file or layer gets a later time. `reproducible` sets it
    to 0, unless `epoch`, a build argument or the environment sets another value.
    """

    epoch: int | None
    reproducible: bool


class PlatformOverride(TypedDict, total=False):
    """Settings for one platform. They are added to those for all platforms, and take precedence."""

    target: str
    args: Mapping[str, str | None]
    labels: Mapping[str, str]
    contexts: Mapping[str, StrPath]
    secrets: Mapping[str, Secret]


class BuildKeywords(TypedDict, total=False):
    """The keyword parameters of `build`, `plan`, `lint`, `outline` and `targets`.

    - `platforms`: the platforms to build for. The default is $DOCKER_DEFAULT_PLATFORM, or the platform of this
      machine.
    - `tags`: the names of the result.
    - `file`: the path of the Dockerfile. It is relative to the working directory; if the context is a URL or a file
      object, to the context. The default is Dockerfile in the context.
    - `dockerfile`: the text of the Dockerfile, instead of `file`.
    - `target`: the stage to build. The default is the last one.
    - `args`: build arguments. None takes the value of the environment variable of that name.
    - `labels`: labels of the images.
    - `contexts`: named build contexts. A value is a directory, "docker-image://NAME", "oci-layout://DIR", or the URL
      of an archive or git repository.
    - `secrets`: secrets by id. A value is the content as bytes, or a Path of the file that contains it.
    - `ssh`: the sockets of ssh agents by id, as in {"default": "/run/user/1000/agent"}.
    - `output`: where the result goes: an Output, or text as for `--output` ("type=oci,dest=app.tar,compression=zstd").
    - `push`: send the result to the registries in `tags`.
    - `load`: keep the result in the store. This is the default if there is neither `push` nor `output`.
    - `annotations`: annotations of the images' manifests. A key "index:KEY" annotates the index,
      "manifest-descriptor:KEY" the entries of the images in it.
    - `provenance`: attach how each image was built. True, or text as for `--provenance` ("mode=min"), or a mapping
      ({"mode": "min", "builder-id": "https://ci/1"}). The default is False.
    - `sbom`: attach which packages each image contains. True, or text as for `--sbom`, or a mapping. The default is
      False.
    - `cache`, `run`, `time`: see CacheSettings, RunFlags and TimeSettings.
    - `farm`: the farm that does RUN steps: FarmSettings, or its address. The default is $POLYARCH_FARM; "" is none.
    - `overrides`: settings for one platform, as in {"linux/arm64": {"args": {"CPU": "a53"}}}.
    - `allow`: permissions: "security.insecure", "network.host".
    - `allow_foreign_base`: warn instead of failing if a base image does not have the platform.
    - `verify_platforms`: how to treat an entrypoint that was built for another architecture.
    - `on_failure`: what to do if a platform fails: "stop" the build, "finish" the other platforms and then fail, or
      "keep" the platforms that succeeded and list the others in `BuildResult.failures`.
    - `workers`: the number of steps that run at a time. The default is the number of processors.
    """

    platforms: Platforms
    tags: Names
    file: StrPath | None
    dockerfile: str | None
    target: str
    args: Mapping[str, str | None]
    labels: Mapping[str, str]
    contexts: Mapping[str, StrPath]
    secrets: Mapping[str, Secret]
    ssh: Mapping[str, StrPath]
    output: str | Output | Iterable[str | Output]
    push: bool
    load: bool
    annotations: Mapping[str, str]
    provenance: bool | str | Mapping[str, str | bool]
    sbom: bool | str | Mapping[str, str]
    cache: CacheSettings
    run: RunFlags
    time: TimeSettings
    farm: str | FarmSettings | None
    overrides: Mapping[str | Platform, PlatformOverride]
    allow: str | Iterable[str]
    allow_foreign_base: bool
    verify_platforms: VerifyPlatforms
    on_failure: OnFailure
    workers: int | None


def request(core: ClientCore, context: object, keywords: Mapping[str, Any]) -> "BuildRequest":
    """The request for a build of `context`. Reads the files of secrets, and opens nothing else.

    Raises TypeError for an unknown keyword, UsageError for a value that is wrong, NotFoundError.
    """
    core.require_open()
    for name in keywords:
        if name not in BuildKeywords.__annotations__:
            raise TypeError(f"{name!r} is not a keyword of a build")
    directory = core.directory()
    stream, place = _context(context, directory)
    environment = core.settings.environment
    around = Surroundings(
        host=core.host,
        variables=environment.variables,
        directory=directory,
        now=core.now(),
        stdin=stream,
        workers=os.cpu_count() or 2,
        emulators=configuration.emulators(environment.files.polyarch),
    )
    made = request_of(place, around, **options(keywords, core.host, directory))
    made = msgspec.structs.replace(made, farm=farm_settings.requested(keywords.get("farm"), environment, directory))
    return _with_secrets(made, keywords.get("overrides", {}), core.host, directory)


def options(keywords: Mapping[str, Any], host: Platform, directory: Path) -> BuildOptions:
    """The options of `polyarch.buildflags` for these keywords. Raises UsageError."""
    given = {name: _CHECKS[name](name, value) for name, value in keywords.items() if name in _CHECKS}
    found: dict[str, Any] = {_RENAMED.get(name, name): value for name, value in given.items()}
    for group, kind in _GROUPS.items():
        found |= _group(group, keywords.get(group, {}), kind)
    if "platforms" in keywords:
        found["platforms"] = arguments.platforms("platforms", keywords["platforms"], host)
    if keywords.get("file") is not None:
        if keywords.get("dockerfile") is not None:
            raise UsageError("file and dockerfile cannot be combined", "choose one of them")
        found["file"] = Path(arguments.path("file", keywords["file"], Path))
    if "output" in keywords:
        found["outputs"] = _outputs(keywords["output"], directory)
    secrets = _secrets("secrets", keywords.get("secrets", {}), directory)
    if secrets:
        found["secrets"] = secrets
    words = {name: _words(found.get(name, {})) for name in ("build_args", "labels", "contexts")}
    targets = [found["target"]] if found.get("target") else []
    for platform, override in _overrides(keywords.get("overrides", {}), host).items():
        checked = {name: _CHECKS[name](f"overrides[{str(platform)!r}].{name}", item) for name, item in override.items()}
        for name in ("args", "labels", "contexts"):
            words[_RENAMED.get(name, name)] += [f"{platform}:{word}" for word in _words(checked.get(name, {}))]
        if checked.get("target"):
            targets.append(f"{platform}:{checked['target']}")
    found |= {name: items for name, items in words.items() if items}
    if targets:
        found["target"] = targets
    return cast(BuildOptions, found)


def _context(context: object, directory: Path) -> tuple[BinaryIO | None, Path | str | None]:
    """The file object to read the context from, and its name: a path, a URL, "-" for the file object, or None."""
    if context is None:
        return None, None
    if arguments.is_readable(context):
        if hasattr(context, "encoding"):
            raise UsageError("context is a text stream", 'open it in binary mode: "rb"')
        stream: Any = context
        return stream, "-"
    if context == "-":
        raise UsageError("the context '-' is the command line's", "pass the file object: sys.stdin.buffer")
    if isinstance(context, str) and context:
        return None, context
    return None, arguments.path("context", context, lambda: directory)


def _outputs(value: object, directory: Path) -> list[Any]:
    found: list[Any] = []
    for item in arguments.items("output", value, "a str as for --output, an Output, or several", (str, Output)):
        if isinstance(item, Output) and item.destination is not None:
            item = msgspec.structs.replace(item, destination=directory / item.destination)
        found.append(item)
    return found


def _group(name: str, value: object, kind: Any) -> dict[str, Any]:
    """The values of a group. Raises UsageError for a key that the TypedDict `kind` does not have."""
    known = kind.__annotations__
    if not isinstance(value, Mapping):
        arguments.refuse(name, value, f"a {kind.__name__}: {', '.join(known)}")
    for key in value:
        if key not in known:
            raise UsageError(f"{name} has no {key!r}", f"there are {', '.join(known)}")
    return {
        key: _GROUP_CHECKS[key](f"{name}.{key}", item) if key in _GROUP_CHECKS else item for key, item in value.items()
    }


def _overrides(value: object, host: Platform) -> dict[Platform, dict[str, Any]]:
    if not isinstance(value, Mapping):
        arguments.refuse("overrides", value, "a mapping of platforms to PlatformOverrides")
    found: dict[Platform, dict[str, Any]] = {}
    for key, override in value.items():
        platform = arguments.platform("overrides", key, host)
        assert platform is not None
        known = PlatformOverride.__annotations__
        if not isinstance(override, Mapping):
            arguments.refuse(f"overrides[{key!r}]", override, f"a PlatformOverride: {', '.join(known)}", secret=True)
        for name in override:
            if name not in known:
                raise UsageError(f"overrides[{key!r}] has no {name!r}", f"there are {', '.join(known)}")
        found[platform] = {name: item for name, item in override.items() if name != "secrets"}
    return found


def _with_secrets(made: "BuildRequest", value: Any, host: Platform, directory: Path) -> "BuildRequest":
    """The request with the secrets of `overrides`."""
    from polyarch.builder import Override

    overrides = {override.platform: override for override in made.overrides}
    for key, override in value.items():
        given = _secrets(f"overrides[{key!r}].secrets", override.get("secrets", {}), directory)
        if not given:
            continue
        platform = arguments.platform("overrides", key, host)
        assert platform is not None
        read = {
            name: SecretBytes(item if isinstance(item, bytes) else item.read_bytes()) for name, item in given.items()
        }
        overrides[platform] = msgspec.structs.replace(
            overrides.get(platform) or Override(platform=platform), secrets=read
        )
    return msgspec.structs.replace(made, overrides=tuple(overrides.values()))


def _secrets(name: str, value: object, directory: Path) -> dict[str, bytes | Path]:
    if not isinstance(value, Mapping):
        arguments.refuse(name, value, "a mapping of ids to contents", secret=True)
    found: dict[str, bytes | Path] = {}
    for key, item in value.items():
        if not isinstance(key, str) or not isinstance(item, bytes | os.PathLike):
            expected = "bytes, which are the content, or a Path of the file that has it"
            arguments.refuse(f"{name}[{key!r}]", item, expected, secret=True)
        found[key] = item if isinstance(item, bytes) else directory / Path(item)
    return found


def _words(pairs: Mapping[str, str | None]) -> list[str]:
    return [key if value is None else f"{key}={value}" for key, value in pairs.items()]


def _arguments(name: str, value: object) -> dict[str, str | None]:
    """Build arguments. None stands for the value of the environment variable."""
    if not isinstance(value, Mapping):
        arguments.refuse(name, value, "a mapping of str to str, or to None for the environment's value", secret=True)
    return {
        **arguments.pairs(name, {key: "" if item is None else item for key, item in value.items()}, secret=True),
        **{key: None for key, item in value.items() if item is None},
    }


def _paths(name: str, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        arguments.refuse(name, value, "a mapping of str to paths or locations")
    return arguments.pairs(
        name, {key: os.fspath(item) if isinstance(item, os.PathLike) else item for key, item in value.items()}
    )


def _optional(name: str, value: object) -> str | None:
    return None if value is None else arguments.text(name, value)


def _tags(name: str, value: object) -> tuple[Any, ...]:
    from polyarch.oci.reference import Reference

    return arguments.items(name, value, "a name or several: str or Reference", (str, Reference))


def _number(name: str, value: object) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        arguments.refuse(name, value, "a number of 0 or more, or None")
    return value


def _attestation(name: str, value: object) -> object:
    if not isinstance(value, bool | str | Mapping):
        arguments.refuse(name, value, 'a bool, a str such as "mode=min", or a mapping')
    return value


def _one_of(*choices: str) -> Any:
    return lambda name, value: arguments.choice(name, value, choices)


_RENAMED = {"args": "build_args"}
_GROUPS: Mapping[str, Any] = {"cache": CacheSettings, "run": RunFlags, "time": TimeSettings}
# The checks of the keywords whose values need no other conversion.
_CHECKS: Mapping[str, Any] = {
    "tags": _tags,
    "dockerfile": _optional,
    "target": arguments.text,
    "args": _arguments,
    "labels": arguments.pairs,
    "contexts": _paths,
    "ssh": _paths,
    "push": arguments.flag,
    "load": arguments.flag,
    "annotations": arguments.pairs,
    "provenance": _attestation,
    "sbom": _attestation,
    "allow": arguments.texts,
    "allow_foreign_base": arguments.flag,
    "verify_platforms": _one_of("error", "warn", "off"),
    "on_failure": _one_of("stop", "finish", "keep"),
    "workers": _number,
}
_GROUP_CHECKS: Mapping[str, Any] = {
    "no_cache": arguments.flag,
    "no_cache_filter": arguments.texts,
    "cache_from": arguments.texts,
    "cache_to": arguments.texts,
    "pull": arguments.flag,
    "epoch": _number,
    "reproducible": arguments.flag,
    "network": _one_of("default", "none", "host"),
}
