"""The build context and `--build-context NAME=VALUE`."""

from collections.abc import Iterable
from pathlib import Path

from polyarch.builder.contexts.location import is_directory, is_remote
from polyarch.builder.request.input import (
    ContextSource,
    DirectoryContext,
    ImageContext,
    LayoutContext,
    MainContext,
    RemoteContext,
    StreamContext,
)
from polyarch.buildflags import values
from polyarch.errors import NotFoundError, UsageError
from polyarch.oci import platform as platforms
from polyarch.oci.platform import Platform


def main(given: object, here: Path) -> MainContext | None:
    """The main context. Raises UsageError."""
    if given is None:
        return None
    if not isinstance(given, str | Path):
        values.refuse("the build context", given, (str, Path))
    values.refuse_nul("the build context", str(given))
    if given == "-":
        return StreamContext()
    return RemoteContext(given) if isinstance(given, str) and is_remote(given) else DirectoryContext(here / given)


def parse(words: Iterable[str], here: Path) -> dict[tuple[str, Platform | None], ContextSource]:
    """The named contexts. `NAME::PLATFORM=VALUE`, BuildKit's own spelling, is for one platform.

    Raises UsageError, NotFoundError if a directory is missing.
    """
    found: dict[tuple[str, Platform | None], ContextSource] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key or not value:
            raise UsageError(f"--build-context: {word!r} is not NAME=PATH", "as in --build-context lib=../lib")
        name, colons, platform = key.partition("::")
        found[name, platforms.parse(platform) if colons else None] = _source(key, value, here)
    return found


def _source(name: str, value: str, here: Path) -> ContextSource:
    if value.startswith("docker-image://"):
        return ImageContext(value.removeprefix("docker-image://"))
    if value.startswith("oci-layout://"):
        path, version = _layout(value.removeprefix("oci-layout://"), here)
        return LayoutContext(value, path, version)
    if is_remote(value, name):
        return RemoteContext(value)
    directory = here / value
    if not is_directory(directory):
        raise NotFoundError(f"--build-context: there is no directory {value}")
    return DirectoryContext(directory)


def _layout(word: str, here: Path) -> tuple[Path, str]:
    """The directory of an OCI layout, and the digest or tag to use in it."""
    path, at, digest = word.partition("@")
    if at:
        return here / path, digest
    head, colon, tag = path.rpartition(":")
    if colon and "/" not in tag and not is_directory(here / path):
        return here / head, tag
    return here / path, ""
