"""Which attestations a build makes."""

from collections.abc import Mapping
from typing import Literal

import msgspec


class ProvenanceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """How the provenance is made. The fields are the keys of `--provenance`.

    `version` is that of SLSA's predicate. `filename` is the name of the file in a directory or a tar. With
    `inline_only`, only images in the store or a registry get it. With `complete_materials`, the build fails if the
    provenance cannot name every dependency. `reproducible` is a claim of the user. `git_info` says whether facts of
    the context's git repository are part of it, and `git_check_dirty` whether changed files are looked for.
    """

    mode: Literal["min", "max"] = "max"
    version: Literal["v1", "v0.2"] = "v1"
    builder_id: str = ""
    filename: str = "provenance.json"
    reproducible: bool = False
    inline_only: bool = False
    capture_usage: bool = False
    complete_materials: bool = False
    git_info: bool = True
    git_check_dirty: bool = False


class SbomRequest(msgspec.Struct, frozen=True, kw_only=True):
    """How SBOMs are made: by the image `generator`, which gets `parameters`, or if it is empty, by this program."""

    generator: str = ""
    parameters: Mapping[str, str] = {}


class AttestationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The attestations that a build makes. It is false if there are none."""

    provenance: ProvenanceRequest | None = None
    sbom: SbomRequest | None = None

    def __bool__(self) -> bool:
        return self.provenance is not None or self.sbom is not None
