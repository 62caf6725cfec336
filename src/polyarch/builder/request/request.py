"""What a build is asked to do: small frozen values by concern, made once by who asks."""

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from polyarch.builder.plan.options import PlanOptions
from polyarch.builder.request.secrets import Secrets
from polyarch.errors import NotFoundError, PolyarchError, UsageError
from polyarch.layers.compression import Compression
from polyarch.oci.platform import Platform
from polyarch.oci.reference import Reference

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What a Dockerfile may be at most: as much as BuildKit's frontend reads.
_LARGEST = 4 << 20

OutputKind = Literal["store", "registry", "oci", "docker", "local", "tar"]


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """Where files come from: the Dockerfile's text, and the directories of the build contexts by their names.

    The main context has the name ""; `ignore` has the text of a context's ignore file, where it has one. `remote` are
    named contexts behind a URL, fetched when something needs them, `layouts` OCI layouts by the names that
    `PlanOptions.images` gives them: a path and what to find inside.
    """

    name: str
    text: str
    directories: Mapping[str, Path] = {}
    remote: Mapping[str, str] = {}
    layouts: Mapping[str, tuple[Path, str]] = {}
    ignore: Mapping[str, str] = {}


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """Where a result goes. `destination` is a path for archives and directories; `stream` is written instead of it.

    `directory` says that an archive is a directory (an OCI layout), not a file; `by_digest` that the result gets no
    name in a registry or the store, so that it is found by its digest alone.
    """

    kind: OutputKind
    destination: Path | None = None
    stream: BinaryIO | None = None
    directory: bool = False
    platform_split: bool | None = None
    by_digest: bool = False


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """How results are named and written. `names` are what they are called wherever they go."""

    names: tuple[Reference, ...] = ()
    outputs: tuple[Output, ...] = (Output(kind="store"),)
    compression: Compression = Compression()
    force_compression: bool = False
    docker_format: bool = False
    annotations: Mapping[str, str] = {}
    index_annotations: Mapping[str, str] = {}


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for otherwise for one platform. `arguments` and `labels` are added to those of all, and win."""

    platform: Platform
    arguments: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    target: str = ""

    def applied(self, options: PlanOptions) -> PlanOptions:
        """The options of this platform."""
        return msgspec.structs.replace(
            options,
            arguments={**options.arguments, **self.arguments},
            labels={**options.labels, **self.labels},
            target=self.target or options.target,
        )


class BuildRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One build. `created` is the time, in seconds, that new layers get; `search_path` finds runtime and emulators.

    With `keep_going` the other platforms are finished where one fails, and with `partial` they are exported, too.
    `verify` says what a binary of another architecture in a new layer is.

    `environment` are the variables that helper programs (git, and the ssh under it) may see.
    """

    sources: Sources
    platforms: tuple[Platform, ...]
    plan: PlanOptions
    export: Export
    created: float
    search_path: str = SEARCH_PATH
    environment: Mapping[str, str] = {}
    secrets: Secrets = Secrets()
    proxies: Mapping[str, str] = {}
    no_cache: bool = False
    pull: bool = False
    keep_going: bool = False
    partial: bool = False
    overrides: tuple[Override, ...] = ()
    verify: Literal["error", "warn", "off"] = "error"
    workers: int = 2

    def plan_for(self, platform: Platform) -> PlanOptions:
        """The plan's options for one platform."""
        options = msgspec.structs.replace(self.plan, ignore=self.sources.ignore.get("", ""))
        for override in self.overrides:
            if override.platform == platform:
                options = override.applied(options)
        return options


class NamedContexts(msgspec.Struct, frozen=True, kw_only=True):
    """Named build contexts, parted by what they are; see `Sources` and `PlanOptions.images`."""

    directories: Mapping[str, Path] = {}
    remote: Mapping[str, str] = {}
    images: Mapping[str, str] = {}
    layouts: Mapping[str, tuple[Path, str]] = {}

    @property
    def files(self) -> frozenset[str]:
        """The names of those that give files, not an image."""
        return frozenset({*self.directories, *self.remote})


def named_contexts(words: Mapping[str, str]) -> NamedContexts:
    """What `--build-context NAME=WORD` means: a directory, `docker-image://`, `oci-layout://`, a URL, a repository.

    Raises NotFoundError where a directory is missing, UsageError for a kind that there is not.
    """
    from polyarch.builder.contexts.remote import is_remote

    directories: dict[str, Path] = {}
    distant: dict[str, str] = {}
    images: dict[str, str] = {}
    layouts: dict[str, tuple[Path, str]] = {}
    for name, word in words.items():
        if word.startswith("docker-image://"):
            images[name] = word.removeprefix("docker-image://")
        elif word.startswith("oci-layout://"):
            images[name] = word
            layouts[word] = _layout(word.removeprefix("oci-layout://"))
        elif is_remote(word):
            distant[name] = word
        elif "://" in word:
            raise UsageError(
                f"the build context {name}={word} is of an unknown kind",
                "it is a directory, docker-image://NAME, oci-layout://PATH, a URL or a git repository",
            )
        else:
            directories[name] = Path(word)
            if not directories[name].is_dir():
                raise NotFoundError(f"the build context {name}: there is no directory {word}")
    return NamedContexts(directories=directories, remote=distant, images=images, layouts=layouts)


def _layout(word: str) -> tuple[Path, str]:
    """The directory of an OCI layout, and the digest or tag that is meant in it."""
    path, at, digest = word.partition("@")
    if at:
        return Path(path), digest
    head, colon, tag = path.rpartition(":")
    if colon and "/" not in tag and not Path(path).is_dir():
        return Path(head), tag
    return Path(path), ""


def read_sources(
    context: Path | None,
    file: Path | None,
    named: NamedContexts | None = None,
    text: str | None = None,
    *,
    ignores: bool = True,
) -> Sources:
    """Read the Dockerfile and the ignore files.

    `file` None means `Dockerfile` in the context, or `dockerfile`; `text` is a Dockerfile that came otherwise.
    `NAME.dockerignore` beside the Dockerfile wins over the context's `.dockerignore`, which counts for the main
    context only with `ignores`. Raises NotFoundError.
    """
    named = named or NamedContexts()
    beside: Path | None = None
    name = "Dockerfile"
    if text is None:
        if context is None and file is None:
            raise UsageError("there is neither a build context nor a Dockerfile")
        beside = file if file is not None else _default_file(context or Path())
        name = beside.name
        text = decoded(beside, "Dockerfile")
    directories = dict(named.directories)
    if context is not None:
        directories[""] = context
    ignore: dict[str, str] = {}
    for key, directory in directories.items():
        if not key and not ignores:
            continue
        candidates = [directory / ".dockerignore"]
        if not key and beside is not None:
            candidates.insert(0, beside.with_name(beside.name + ".dockerignore"))
        for candidate in candidates:
            if candidate.is_file():
                ignore[key] = decoded(candidate, "ignore file")
                break
    return Sources(
        name=name, text=text, directories=directories, remote=named.remote, layouts=named.layouts, ignore=ignore
    )


def _default_file(context: Path) -> Path:
    path = context / "Dockerfile"
    if not path.exists() and (context / "dockerfile").exists():
        return context / "dockerfile"
    return path


def decoded(path: Path, what: str) -> str:
    """The text of a file. Raises NotFoundError, PolyarchError for one that is too large to be a Dockerfile."""
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise NotFoundError(
            f"failed to read {what}: open {path}: no such file or directory",
            "name another one with -f FILE" if what == "Dockerfile" else None,
        ) from None
    except OSError as error:
        raise PolyarchError(f"failed to read {what}: {path}: {error.strerror}") from error
    if len(raw) > _LARGEST:
        raise PolyarchError(f"{path} is larger than {_LARGEST} bytes: it cannot be a {what}")
    return raw.decode("utf-8", "surrogateescape")
