"""The attestations of one build: what is recorded while it runs, and the predicates for each image."""

import os
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from polyarch import progress
from polyarch.attest import provenance as provenances
from polyarch.attest.provenance import Provenance
from polyarch.builder.attestations import capture, scan, steps
from polyarch.builder.attestations.capture import ImageRecorder
from polyarch.builder.attestations.git_facts import GitDirectory
from polyarch.builder.attestations.prepared import Prepared, attach, subjects
from polyarch.builder.attestations.scan import BuiltinScanner, Scanner, ScanTargets
from polyarch.builder.attestations.steps import SourceText
from polyarch.builder.export.assemble import Assembler, BuiltImage
from polyarch.builder.export.rootfs import StatementFiles
from polyarch.builder.linked import LinkedImages
from polyarch.builder.perform.environment import Result
from polyarch.builder.plan.options import Resolver
from polyarch.builder.plan.planner import Plan
from polyarch.builder.request.attestation import ProvenanceRequest
from polyarch.builder.request.input import DirectoryContext
from polyarch.builder.request.output import Output
from polyarch.builder.request.request import BuildRequest
from polyarch.builder.vertices import BuildGraph, VertexId
from polyarch.builder.workspace import Workspace
from polyarch.contents.layer import Layer
from polyarch.errors import BuildError
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.platform import Platform
from polyarch.version import VERSION

if TYPE_CHECKING:
    from polyarch.builder.history.record import StepRecord
    from polyarch.store import Store


class AttestedImages(msgspec.Struct, frozen=True):
    """The attestations of the images of one build."""

    store: "Store"
    request: BuildRequest
    images: tuple[BuiltImage, ...]
    predicates: Mapping[Platform, tuple[Prepared, ...]]
    provenance: dict[str, dict[str, Any]]

    def entries(self, inline: bool) -> tuple[Descriptor, ...]:
        """The entries of an index after those of the images; their manifests and statements are stored.

        Without `inline`, attestations with `inline-only` are left out.
        """
        export = self.request.export
        tagged = any(not (output.is_files or output.by_digest) for output in export.outputs)
        names = [name.tagged() if tagged else name for name in export.names]
        return tuple(
            attach(
                self.store,
                image.descriptor,
                chosen,
                subjects(names, image.platform, image.descriptor.digest),
                artifact=export.attestation_artifacts is not False,
            )
            for image in self.images
            if (chosen := self._chosen(image.platform, inline))
        )

    def files(self, output: Output) -> StatementFiles:
        """The attestations that an output writes as files."""
        predicates = {image.platform: self._chosen(image.platform, output.is_inline) for image in self.images}
        return StatementFiles(predicates=predicates, prefix=output.attestation_prefix, time=int(self.request.created))

    def _chosen(self, platform: Platform, inline: bool) -> tuple[Prepared, ...]:
        return tuple(one for one in self.predicates[platform] if inline or not one.inline_only)


def scanner(request: BuildRequest, graph: BuildGraph, workspace: Workspace, assembler: Assembler) -> "Scanner | None":
    """What makes the SBOMs of a build; None if none are asked for."""
    asked = request.export.attestations.sbom
    if asked is None:
        return None
    if asked.generator:
        from polyarch.builder.attestations.generator import GeneratorScanner

        return GeneratorScanner(asked, request, graph, assembler.filesystems)
    return BuiltinScanner(graph, workspace, assembler, request)


class Attester:
    """Makes the attestations of one build. It owns nothing. The request asks for at least one.

    First `resolver` and `planned` are called for each platform, finally `attest` for all images.
    """

    def __init__(
        self,
        request: BuildRequest,
        graph: BuildGraph,
        workspace: Workspace,
        links: LinkedImages,
        scanner: Scanner | None,
    ) -> None:
        self._links = links
        self._request = request
        self._graph = graph
        self._workspace = workspace
        self._scanner = scanner
        self._wanted = request.export.attestations
        self._invocation = os.urandom(16).hex()
        self._start = time.monotonic()
        self._images: dict[Platform, ImageRecorder] = {}
        self._targets: dict[Platform, ScanTargets] = {}
        self._scanned: dict[Platform, tuple[VertexId, ...]] = {}
        self._vcs = self._git() if self._wanted.provenance is not None else {}
        self._provenances: dict[str, dict[str, Any]] = {}

    def resolver(self, platform: Platform, resolver: Resolver) -> Resolver:
        """The resolver for the plan of a platform: what it finds becomes a material."""
        recorder = self._images[platform] = ImageRecorder(resolver)
        return recorder

    def planned(self, plan: Plan) -> None:
        """Prepare the scan of a platform. The image of a generator is a material, as in BuildKit.

        Raises BuildError if complete materials are required and will not be, and what the scanner raises.
        """
        if self._wanted.provenance is not None and self._wanted.provenance.complete_materials:
            local = capture.local_inputs(self._request, plan, self._graph)
            if local:
                raise BuildError(
                    f"the provenance cannot name every material: {', '.join(local)} "
                    f"{'comes' if len(local) == 1 else 'come'} from this machine",
                    "build from a git repository or an archive at a URL, or leave out complete-materials",
                )
        if self._scanner is not None:
            targets = self._targets[plan.platform] = scan.targets(plan, self._graph)
            self._scanned[plan.platform] = self._scanner.plan(targets, self._images[plan.platform])

    def scanned(self, plan: Plan) -> tuple[VertexId, ...]:
        """The vertices that the scan of a platform needs."""
        return self._scanned.get(plan.platform, ())

    def attest(
        self,
        plans: Sequence[Plan],
        images: Sequence[BuiltImage],
        results: Mapping[VertexId, Result],
        records: "Sequence[StepRecord]",
    ) -> AttestedImages:
        """The attestations of these images, of which there is one for each plan. `records` are those of the steps.

        Raises PolyarchError if a scan fails.
        """
        self._warn_of_docker_hub()
        predicates: dict[Platform, tuple[Prepared, ...]] = {}
        with progress.reported(
            self._workspace.emit, "attest", "making attestations", [plan.platform for plan in plans]
        ):
            for plan, image in zip(plans, images, strict=True):
                predicates[plan.platform] = tuple(self._predicates(plan, image, results, records))
        return AttestedImages(self._workspace.store, self._request, tuple(images), predicates, self._provenances)

    def _warn_of_docker_hub(self) -> None:
        export = self._request.export
        pushed = any(output.kind == "registry" for output in export.outputs)
        if pushed and export.attestation_artifacts is None and any(name.domain == "docker.io" for name in export.names):
            self._workspace.emit(
                progress.Warned(
                    "Docker Hub does not show attestations that are artifacts, the default; "
                    "-o type=registry,oci-artifact=false writes the form that it shows"
                )
            )

    def _predicates(
        self, plan: Plan, image: BuiltImage, results: Mapping[VertexId, Result], records: "Sequence[StepRecord]"
    ) -> Iterator[Prepared]:
        """The predicates about an image, those of SBOMs first."""
        if self._scanner is not None:
            yield from self._scanner.scan(self._targets[plan.platform], image, results)
        asked = self._wanted.provenance
        if asked is not None:
            found = self._provenance(asked, plan, image, results, records)
            kind, content = provenances.predicate(found, asked.version, asked.mode)
            yield Prepared(type=kind, content=content, filename=asked.filename, inline_only=asked.inline_only)
            _, self._provenances[str(plan.platform)] = provenances.predicate(found, "v0.2", asked.mode)

    def _provenance(
        self,
        asked: ProvenanceRequest,
        plan: Plan,
        image: BuiltImage,
        results: Mapping[VertexId, Result],
        records: "Sequence[StepRecord]",
    ) -> Provenance:
        request = self._request
        images = self._images[plan.platform]
        used = capture.capture(request, plan, self._graph, images, self._links, lambda: self._workspace.remotes)
        described = None
        if asked.mode == "max":
            usage = {one.id: found for one in records if asked.capture_usage and (found := _usage_of(one))}
            layers = _by_vertex(plan, image, results)
            source = SourceText(used.config.path, self._workspace.dockerfile.text, capture.renamed(request))
            described = steps.describe(self._graph, plan.stack, source, layers, usage)
        return Provenance(
            config=used.config,
            parameters=used.parameters,
            builder_platform=str(request.plan.build_platform),
            materials=used.materials,
            invocation=self._invocation,
            started=request.created,
            finished=request.created + time.monotonic() - self._start,
            complete=used.is_complete,
            hermetic=used.is_complete and not used.has_network,
            version=VERSION,
            builder_id=asked.builder_id,
            reproducible=asked.reproducible,
            vcs=self._vcs,
            steps=described,
            usage=_usage() if asked.capture_usage else {},
        )

    def _git(self) -> dict[str, str]:
        """What git says of the context, if that is a directory of this machine."""
        asked, given = self._wanted.provenance, self._request.input
        assert asked is not None
        if not asked.git_info or not isinstance(given.context, DirectoryContext):
            return {}
        context = given.context.path
        directories = {"context": context}
        if given.dockerfile is None:
            directories["dockerfile"] = (context / (given.file or "Dockerfile")).parent
        host = self._request.host
        git = GitDirectory(context, host.search_path, host.variables)
        return git.facts(directories, check_dirty=asked.git_check_dirty)


def _by_vertex(plan: Plan, image: BuiltImage, results: Mapping[VertexId, Result]) -> dict[VertexId, tuple[Layer, ...]]:
    """The layers of an image by the vertices that added them."""
    found: dict[VertexId, tuple[Layer, ...]] = {}
    start = 0
    for vertex in plan.layers:
        layers = results[vertex]
        assert isinstance(layers, tuple), vertex
        found[vertex] = image.layers[start : start + len(layers)]
        start += len(layers)
    return found


def _usage_of(record: "StepRecord") -> dict[str, Any]:
    """What a step used: whether it was cached, how long it took and waited, and whether it was emulated."""
    if record.cached:
        return {"cached": True}
    found = {"seconds": record.seconds, "waited": record.waited, "how": record.how}
    return {key: value for key, value in found.items() if value}


def _usage() -> dict[str, Any]:
    """What this process and the programs that it started used of the machine."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "userSeconds": round(own.ru_utime + children.ru_utime, 3),
        "systemSeconds": round(own.ru_stime + children.ru_stime, 3),
        "maxResidentBytes": max(own.ru_maxrss, children.ru_maxrss) << 10,
    }
