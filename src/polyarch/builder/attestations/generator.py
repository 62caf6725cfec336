"""SBOMs by an image that implements BuildKit's protocol of scanners (docs/attestations/sbom-protocol.md).

The scan is a step of the build: a RUN in the image of the generator, for the platform of this machine, with what is
scanned mounted read-only. So it is cached, shown and cancelled as other steps are. Its layer has the statements.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from polyarch.attest import statement as statements
from polyarch.attest.statement import Statement
from polyarch.builder.attestations.prepared import Prepared
from polyarch.builder.attestations.scan import CORE, ScanTargets
from polyarch.builder.export.assemble import BuiltImage
from polyarch.builder.perform.environment import Result
from polyarch.builder.plan.options import Resolver
from polyarch.builder.request.attestation import SbomRequest
from polyarch.builder.request.request import BuildRequest
from polyarch.builder.vertices import NOTHING, BuildGraph, ImageLayers, MakeDirectory, RunCommand, RunMount, VertexId
from polyarch.contents import stack as stacks
from polyarch.contents.filesystem import Filesystems
from polyarch.contents.layer import Layer
from polyarch.errors import BuildError, ConflictError, CorruptError, UsageError
from polyarch.layers.content import open_content
from polyarch.layers.tree import Flattened
from polyarch.oci import attestation
from polyarch.oci.config import DEFAULT_PATH
from polyarch.oci.platform import Platform
from polyarch.version import VERSION

_DESTINATION, _SOURCE, _EXTRAS = "/run/out", f"/run/src/core/{CORE}", "/run/src/extras"
_VARIABLES = "BUILDKIT_SCAN_"
_MOST_STATEMENTS = 1000


class GeneratorScanner:
    """Implements `Scanner` with a generator image. It owns nothing."""

    def __init__(self, asked: SbomRequest, request: BuildRequest, graph: BuildGraph, filesystems: Filesystems) -> None:
        self._asked = asked
        self._platform = request.plan.build_platform
        self._epoch = request.plan.epoch
        self._graph = graph
        self._filesystems = filesystems
        self._scans: dict[Platform, VertexId] = {}

    def plan(self, targets: ScanTargets, resolver: Resolver) -> tuple[VertexId, ...]:
        """Implements `Scanner`. Raises UsageError if the image of the generator has no command."""
        name, platform = self._asked.generator, targets.plan.platform
        image = resolver.image(name, self._platform)
        run = image.config.run
        argv = (*(run.get("Entrypoint") or ()), *(run.get("Cmd") or ()))
        if not argv:
            raise UsageError(f"the SBOM generator {name} has neither an entrypoint nor a command")
        base = NOTHING
        if image.config.diff_ids:
            base = self._graph.stack(NOTHING, self._graph.add(ImageLayers(image.manifest), f"[sbom] {image.name}"))
        output = MakeDirectory(base=base, path=_DESTINATION, epoch=self._epoch)
        base = self._graph.stack(base, self._graph.add(output, f"[sbom] make {_DESTINATION}"))
        mounts = [RunMount(kind="tmpfs", target="/tmp"), _mount(_SOURCE, targets.core)]
        mounts += [_mount(f"{_EXTRAS}/{extra}", stack) for extra, stack in targets.extras.items()]
        vertex = RunCommand(
            base=base,
            # That of the image, which may be another one if foreign base images are allowed.
            platform=image.config.platform,
            argv=argv,
            env=tuple(self._environment(image.config.env, extras=bool(targets.extras))),
            cwd=run.get("WorkingDir") or "/",
            mounts=tuple(mounts),
            epoch=self._epoch,
        )
        scan = self._graph.add(vertex, f"[sbom] generate with {name}", platform)
        self._scans[platform] = scan
        return (scan,)

    def _environment(self, image: Mapping[str, str], *, extras: bool) -> Iterator[str]:
        found = {"PATH": DEFAULT_PATH, **image}
        found |= {f"{_VARIABLES}{key}": value for key, value in self._asked.parameters.items()}
        found |= {f"{_VARIABLES}DESTINATION": f"{_DESTINATION}/", f"{_VARIABLES}SOURCE": _SOURCE}
        if extras:
            found[f"{_VARIABLES}SOURCE_EXTRAS"] = f"{_EXTRAS}/"
        return (f"{key}={value}" for key, value in found.items())

    def scan(self, targets: ScanTargets, image: BuiltImage, results: Mapping[VertexId, Result]) -> Sequence[Prepared]:
        """Implements `Scanner`. Raises BuildError if the generator wrote no SBOM, or something else."""
        layers = results[self._scans[targets.plan.platform]]
        assert isinstance(layers, tuple)
        found = dict(self._statements(layers))
        if not found:
            raise BuildError(
                f"the SBOM generator {self._asked.generator} wrote nothing to {_DESTINATION}",
                f"it must write an in-toto statement to ${_VARIABLES}DESTINATION/{CORE}.spdx.json",
            )
        # That of the image is first, for readers that know only one.
        names = sorted(found, key=lambda name: (name.partition(".")[0] != CORE, name))
        predicates = []
        for name in names:
            statement = found[name]
            if name is names[0]:
                _supplement(statement.predicate, self._filesystems.tree(stacks.on(None, image.layers)), image.layers)
            predicates.append(
                Prepared(
                    type=statement.predicate_type,
                    content=statement.predicate,
                    filename=name,
                    subjects=statement.subject,
                )
            )
        return predicates

    def _statements(self, layers: Sequence[Layer]) -> Iterator[tuple[str, Statement]]:
        """The statements in the layers of a scan, by the names of their files. Links are not followed."""
        directory = _DESTINATION.lstrip("/")
        for layer in layers:
            entries = self._filesystems.listing(layer).entries
            files = [one for one in entries if one.kind == "file" and one.path.rpartition("/")[0] == directory]
            if len(files) > _MOST_STATEMENTS:
                raise BuildError(f"the SBOM generator {self._asked.generator} wrote {len(files)} files")
            for entry in files:
                name = entry.path.rpartition("/")[2]
                if entry.size > attestation.LARGEST_STATEMENT:
                    raise self._unusable(
                        name, f"it has {entry.size} bytes, more than the {attestation.LARGEST_STATEMENT} allowed"
                    )
                with open_content(entry, self._filesystems.content(layer, entry)) as reader:
                    yield name, self._statement(name, reader.read())

    def _statement(self, name: str, raw: bytes) -> Statement:
        try:
            found = statements.decode(raw)
        except CorruptError as error:
            raise self._unusable(name, error.message) from error
        if found.predicate_type != attestation.SPDX:
            raise self._unusable(name, f"its predicateType is {found.predicate_type!r}, not {attestation.SPDX!r}")
        if not isinstance(found.predicate, dict):
            raise self._unusable(name, "its predicate is not a JSON object")
        return found

    def _unusable(self, name: str, reason: str) -> BuildError:
        return BuildError(f"the SBOM generator {self._asked.generator} wrote {_DESTINATION}/{name}: {reason}")


def _mount(target: str, stack: VertexId) -> RunMount:
    return RunMount(kind="bind", target=target, source=stack, read_only=True)


def _supplement(document: dict[str, Any], tree: Flattened, layers: Sequence[Layer]) -> None:
    """Add to an SPDX document which layer each file is from, and this program as a creator, as BuildKit does."""
    creation = document.get("creationInfo")
    if isinstance(creation, dict) and isinstance(creation.get("creators"), list):
        creation["creators"].append(f"Tool: polyarch-{VERSION}")
    files = document.get("files")
    for file in files if isinstance(files, list) else ():
        name = file.get("fileName") if isinstance(file, dict) else None
        if isinstance(name, str) and not file.get("comment"):
            layer = _layer_of(tree, name, layers)
            if layer is not None and layer.blob is not None:
                file["comment"] = f"layerID: {layer.blob.digest}"


def _layer_of(tree: Flattened, name: str, layers: Sequence[Layer]) -> Layer | None:
    try:
        node = tree.lookup(tree.resolve(name))
    except ConflictError:
        return None
    return layers[node.layer] if node is not None and node.layer >= 0 else None
