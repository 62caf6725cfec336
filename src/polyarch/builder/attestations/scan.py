"""SBOMs of a build: the interface of scanners, and the scanner that is built in.

A scan has two parts. `plan` adds to the graph what has to be done or kept for it, which is then solved together with
the build. `scan` makes the SBOMs when the image is known.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from polyarch.builder.attestations.prepared import Prepared
from polyarch.builder.export.assemble import Assembler, BuiltImage
from polyarch.builder.perform.environment import Result
from polyarch.builder.plan.options import Resolver
from polyarch.builder.plan.planner import Plan
from polyarch.builder.request.request import BuildRequest
from polyarch.builder.vertices import NOTHING, BuildGraph, Context, CopyFiles, CopyPart, VertexId
from polyarch.builder.workspace import Workspace
from polyarch.oci import attestation, media_types
from polyarch.oci import config as configs
from polyarch.oci import digest as digests
from polyarch.oci import manifest as manifests
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Manifest
from polyarch.oci.platform import Platform

if TYPE_CHECKING:
    from polyarch.contents.layer import Layer
    from polyarch.images.check.collect import CheckedMember
    from polyarch.store import Store

# The name of the image's SBOM. Those of the context and of stages have this prefix.
CORE, EXTRA = "sbom", "sbom-"


class ScanTargets(msgspec.Struct, frozen=True, kw_only=True):
    """What is scanned for one platform: the file system of the image, and others by the names of their SBOMs
    (`sbom-context`, `sbom-STAGE`). Each is the id of a `Stacked` in the graph, or NOTHING.
    """

    plan: Plan
    core: VertexId
    extras: Mapping[str, VertexId]


class Scanner(Protocol):
    """Makes the SBOMs of one build."""

    def plan(self, targets: ScanTargets, resolver: Resolver) -> tuple[VertexId, ...]:
        """Add to the graph what the scan of one platform needs. Returns the vertices to solve with the build.

        `resolver` finds the images of the build. Raises what it raises.
        """

    def scan(self, targets: ScanTargets, image: BuiltImage, results: Mapping[VertexId, Result]) -> Sequence[Prepared]:
        """The SBOMs of one platform, that of the image first. `results` has those of the vertices that `plan` returned.

        Raises PolyarchError.
        """


def targets(plan: Plan, graph: BuildGraph) -> ScanTargets:
    """What is scanned for the platform of `plan`. The build context becomes a file system of its own."""
    extras = {f"{EXTRA}{name}": stack for name, stack in plan.scans.stages.items()}
    if plan.scans.context:
        files = graph.add(Context(""), "load build context", plan.platform)
        whole = CopyFiles(base=NOTHING, parts=(CopyPart(source=files, path="/"),), destination="/")
        layer = graph.add(whole, "[sbom] scan the build context", plan.platform)
        extras[f"{EXTRA}context"] = graph.stack(NOTHING, layer)
    return ScanTargets(plan=plan, core=plan.stack, extras=extras)


class BuiltinScanner:
    """Implements `Scanner` with `polyarch.attest.sbom`. It owns nothing. Nothing is run or unpacked."""

    def __init__(self, graph: BuildGraph, workspace: Workspace, assembler: Assembler, request: BuildRequest) -> None:
        self._graph = graph
        self._workspace = workspace
        self._assembler = assembler
        self._epoch = request.plan.epoch
        names = request.export.names
        # What the documents call the image.
        self._name = names[0].tagged().familiar() if names else "image"

    def plan(self, targets: ScanTargets, resolver: Resolver) -> tuple[VertexId, ...]:
        """Implements `Scanner`: the layers of what is scanned besides the image."""
        return tuple(dict.fromkeys(key for stack in targets.extras.values() for key in self._graph.layers(stack)))

    def scan(self, targets: ScanTargets, image: BuiltImage, results: Mapping[VertexId, Result]) -> Sequence[Prepared]:
        """Implements `Scanner`."""
        from polyarch.attest import sbom

        workspace = self._workspace
        core = _stored(workspace.store, image)
        members = [(CORE, self._name, core)]
        for name, stack in targets.extras.items():
            layers: list[Layer] = []
            for vertex in self._graph.layers(stack):
                found = results[vertex]
                assert isinstance(found, tuple), vertex
                layers += found
            made = self._unstored(targets.plan.platform, layers, core.config.document.get("created"))
            members.append((name, name.removeprefix(EXTRA), made))
        predicates = []
        for filename, called, member in members:
            (bill,) = sbom.bills(
                workspace.source, called, [member], workspace.store, epoch=self._epoch, emit=workspace.emit
            )
            content = msgspec.json.decode(bill.to_spdx())
            predicates.append(Prepared(type=attestation.SPDX, content=content, filename=f"{filename}.spdx.json"))
        return predicates

    def _unstored(self, platform: Platform, layers: "Sequence[Layer]", created: object) -> "CheckedMember":
        """These layers as an image that has a digest, but is not in the store."""
        from polyarch.images.check.collect import CheckedMember

        blobs = [self._assembler.blob(layer).as_blob() for layer in layers]
        config = configs.empty(platform).with_layers(tuple(layer.diff_id for layer in blobs), ())
        config = config.with_fields(created=created)
        raw = config.encode()
        about = Descriptor(media_type=media_types.OCI_CONFIG, digest=digests.of(raw), size=len(raw))
        manifest = manifests.create(about, [layer.blob for layer in blobs])
        return CheckedMember(
            descriptor=manifest.descriptor(platform), entry=None, platform=platform, manifest=manifest, config=config
        )


def _stored(store: "Store", image: BuiltImage) -> "CheckedMember":
    from polyarch.images.check.collect import CheckedMember

    manifest = store.load(image.descriptor)
    assert isinstance(manifest, Manifest)
    with store.open_blob(manifest.config) as reader:
        config = configs.load(reader.read())
    return CheckedMember(
        descriptor=image.descriptor, entry=None, platform=image.platform, manifest=manifest, config=config
    )
