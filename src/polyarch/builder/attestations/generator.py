"""SBOMs by an image that implements BuildKit's protocol of scanners (docs/attestations/sbom-protocol.md)."""

from collections.abc import Mapping, Sequence

from polyarch.builder.attestations.prepared import Prepared
from polyarch.builder.attestations.scan import ScanTargets
from polyarch.builder.export.assemble import BuiltImage
from polyarch.builder.perform.environment import Result
from polyarch.builder.plan.options import Resolver
from polyarch.builder.request.attestation import SbomRequest
from polyarch.builder.request.request import BuildRequest
from polyarch.builder.vertices import BuildGraph, VertexId
from polyarch.builder.workspace import Workspace
from polyarch.errors import UnsupportedError


class GeneratorScanner:
    """Implements `Scanner` with a generator image, which runs as a step of the build."""

    def __init__(self, asked: SbomRequest, request: BuildRequest, graph: BuildGraph, workspace: Workspace) -> None:
        self._asked = asked

    def plan(self, targets: ScanTargets, resolver: Resolver) -> tuple[VertexId, ...]:
        """Implements `Scanner`."""
        raise UnsupportedError(
            f"SBOM generators are not supported yet: {self._asked.generator}", "--sbom=true uses the built-in scanner"
        )

    def scan(self, targets: ScanTargets, image: BuiltImage, results: Mapping[VertexId, Result]) -> Sequence[Prepared]:
        """Implements `Scanner`."""
        raise NotImplementedError
