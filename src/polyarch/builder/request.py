"""What a build is asked to do: small frozen values by concern, made once by who asks."""

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from polyarch.builder.perform.running import Secrets
from polyarch.builder.plan.options import PlanOptions
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

    The main context has the name ""; `ignore` has the text of a context's ignore file, where it has one.
    """

    name: str
    text: str
    directories: Mapping[str, Path] = {}
    ignore: Mapping[str, str] = {}


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """Where a result goes. `destination` is a path for archives and directories; `stream` is written instead of it.

    `directory` says that an archive is a directory (an OCI layout), not a file.
    """

    kind: OutputKind
    destination: Path | None = None
    stream: BinaryIO | None = None
    directory: bool = False
    platform_split: bool | None = None


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """How results are named and written. `names` are what they are called wherever they go."""

    names: tuple[Reference, ...] = ()
    outputs: tuple[Output, ...] = (Output(kind="store"),)
    compression: Compression = Compression()
    force_compression: bool = False
    docker_format: bool = False
    annotations: Mapping[str, str] = {}
    index_annotations: Mapping[str, str] = {}


class BuildRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One build. `created` is the time, in seconds, that new layers get; `search_path` finds runtime and emulators."""

    sources: Sources
    platforms: tuple[Platform, ...]
    plan: PlanOptions
    export: Export
    created: float
    search_path: str = SEARCH_PATH
    secrets: Secrets = Secrets()
    proxies: Mapping[str, str] = {}
    no_cache: bool = False
    pull: bool = False
    keep_going: bool = False
    workers: int = 2


def read_sources(
    context: Path | None, file: Path | None, contexts: Mapping[str, Path] | None = None, text: str | None = None
) -> Sources:
    """Read the Dockerfile and the ignore files.

    `file` None means `Dockerfile` in the context, or `dockerfile`; `text` is a Dockerfile that came otherwise.
    `NAME.dockerignore` beside the Dockerfile wins over the context's `.dockerignore`. Raises NotFoundError.
    """
    beside: Path | None = None
    name = "Dockerfile"
    if text is None:
        if context is None and file is None:
            raise UsageError("there is neither a build context nor a Dockerfile")
        beside = file if file is not None else _default_file(context or Path())
        name = beside.name
        text = _read_text(beside, "Dockerfile")
    directories = dict(contexts or {})
    if context is not None:
        directories[""] = context
    ignore: dict[str, str] = {}
    for key, directory in directories.items():
        candidates = [directory / ".dockerignore"]
        if not key and beside is not None:
            candidates.insert(0, beside.with_name(beside.name + ".dockerignore"))
        for candidate in candidates:
            if candidate.is_file():
                ignore[key] = _read_text(candidate, "ignore file")
                break
    return Sources(name=name, text=text, directories=directories, ignore=ignore)


def _default_file(context: Path) -> Path:
    path = context / "Dockerfile"
    if not path.exists() and (context / "dockerfile").exists():
        return context / "dockerfile"
    return path


def _read_text(path: Path, what: str) -> str:
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
        raise PolyarchError(f"{path} is larger than {_LARGEST} bytes: it is no {what}")
    return raw.decode("utf-8", "surrogateescape")
