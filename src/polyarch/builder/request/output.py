"""Where the result of a build goes, and in which form."""

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from polyarch.builder.request.attestation import AttestationRequest
from polyarch.layers.compression import Compression
from polyarch.oci.reference import Reference

OutputKind = Literal["store", "registry", "oci", "docker", "local", "tar", "engine"]


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """Where a result goes. `destination` is a path for archives and directories; `stream` is written instead of it.

    `directory` says that an archive is a directory (an OCI layout), not a file; `by_digest` that the result gets no
    name in a registry or the store, so that it is found by its digest alone. The kind "engine" is the Docker engine
    of this machine; `destination` is then its socket, None for the one that DOCKER_HOST names, or Docker's default.
    The names of the files of attestations begin with `attestation_prefix`. `attestation_inline` says whether the output
    gets attestations that are only for images with them (`inline-only`); by default these are the store and registries.
    """

    kind: OutputKind
    destination: Path | None = None
    stream: BinaryIO | None = None
    directory: bool = False
    platform_split: bool | None = None
    by_digest: bool = False
    attestation_prefix: str = ""
    attestation_inline: bool | None = None

    @property
    def is_files(self) -> bool:
        """Whether files are written, not images."""
        return self.kind in ("local", "tar")

    @property
    def is_inline(self) -> bool:
        """Whether the output gets attestations with `inline-only`."""
        default = self.kind in ("store", "registry")
        return default if self.attestation_inline is None else self.attestation_inline


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """How results are named and written. `names` are what they are called wherever they go. `annotations` are those of
    the manifests, `entry_annotations` of their descriptors in the index.

    With `insecure`, the registries of these names may speak plain HTTP or show a bad certificate; the caller opens
    its registry client accordingly. The manifests of `attestations` are artifacts that refer to their image, unless
    `attestation_artifacts` is False: then they have BuildKit's older form.
    """

    names: tuple[Reference, ...] = ()
    outputs: tuple[Output, ...] = (Output(kind="store"),)
    compression: Compression = Compression()
    force_compression: bool = False
    docker_format: bool = False
    annotations: Mapping[str, str] = {}
    index_annotations: Mapping[str, str] = {}
    entry_annotations: Mapping[str, str] = {}
    insecure: bool = False
    attestations: AttestationRequest = AttestationRequest()
    attestation_artifacts: bool | None = None
