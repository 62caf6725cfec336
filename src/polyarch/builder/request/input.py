"""The inputs of a build, as requested: nothing here has been read or fetched yet."""

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec

from polyarch.oci.urls import redact


class DirectoryContext(msgspec.Struct, frozen=True, tag=True):
    """A build context: a directory of this machine."""

    path: Path


class RemoteContext(msgspec.Struct, frozen=True, tag=True):
    """A build context that is fetched: a URL or a git repository. A named one is fetched when a step needs it.

    The repr shows no password or token of the URL.
    """

    url: str

    def __repr__(self) -> str:
        return f"RemoteContext(url={redact(self.url)!r})"


class StreamContext(msgspec.Struct, frozen=True, tag=True):
    """The main build context as an archive, or a Dockerfile alone, that is read from `BuildInput.stdin`."""


class ImageContext(msgspec.Struct, frozen=True, tag=True):
    """A named build context that is an image: `docker-image://NAME`."""

    name: str


class LayoutContext(msgspec.Struct, frozen=True, tag=True):
    """A named build context that is an image of an OCI layout. `version` is a tag, a digest or empty.

    `word` is the user's text (`oci-layout://PATH:TAG`), which messages show.
    """

    word: str
    path: Path
    version: str = ""


class LinkedContext(msgspec.Struct, frozen=True, tag=True):
    """A named build context that is the image of another build of the same command."""

    build: str

    @property
    def word(self) -> str:
        """What a plan calls the image. No name of an image has a space."""
        return f"target {self.build}"

    def __str__(self) -> str:
        """As bake files write it."""
        return f"target:{self.build}"


MainContext = DirectoryContext | RemoteContext | StreamContext
ContextSource = DirectoryContext | RemoteContext | ImageContext | LayoutContext | LinkedContext


class BuildInput(msgspec.Struct, frozen=True, kw_only=True):
    """Where the files of a build come from.

    `context` is the main context, None for a build without one. The Dockerfile is the text `dockerfile`, or the
    file `file`, or `Dockerfile` in the context; `file` is relative to a context that is not a directory of this
    machine. `contexts` are the named contexts for all platforms.
    """

    context: MainContext | None = None
    stdin: BinaryIO | None = None
    file: Path | None = None
    dockerfile: str | None = None
    contexts: Mapping[str, ContextSource] = {}
