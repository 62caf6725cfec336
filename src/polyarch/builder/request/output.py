"""Where the result of a build goes, and in which form."""

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from polyarch.layers.compression import Compression
from polyarch.oci.reference import Reference

OutputKind = Literal["store", "registry", "oci", "docker", "local", "tar", "engine"]


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """Where a result goes. `destination` is a path for archives and directories; `stream` is written instead of it.

    `directory` says that an archive is a directory (an OCI layout), not a file; `by_digest` that the result gets no
    name in a registry or the store, so that it is found by its digest alone. The kind "engine" is the Docker engine
    of this machine; `destination` is then its socket, None for the one that DOCKER_HOST names, or Docker's default.
    """

    kind: OutputKind
    destination: Path | None = None
    stream: BinaryIO | None = None
    directory: bool = False
    platform_split: bool | None = None
    by_digest: bool = False


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """How results are named and written. `names` are what they are called wherever they go.

    With `insecure`, the registries of these names may speak plain HTTP or show a bad certificate; the caller opens
    its registry client accordingly.
    """

    names: tuple[Reference, ...] = ()
    outputs: tuple[Output, ...] = (Output(kind="store"),)
    compression: Compression = Compression()
    force_compression: bool = False
    docker_format: bool = False
    annotations: Mapping[str, str] = {}
    index_annotations: Mapping[str, str] = {}
    insecure: bool = False
