"""Whether the attestations of an image hold: that they are about it, that their statements can be read, and on request
that what they were made from still exists.

Problems are values. A hostile attestation is a problem, too, and never an error of the program.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

from polyarch.errors import CorruptError, NotFoundError, RegistryError
from polyarch.indexes import attestations, materials, statements
from polyarch.indexes.attestations import Attestation, Listed
from polyarch.indexes.materials import ClaimedMaterial, ProvenanceClaims
from polyarch.indexes.statements import RawStatement
from polyarch.oci import platform as platforms
from polyarch.oci.attestation import (
    ARTIFACT_TYPE,
    ATTESTATION_MANIFEST,
    CYCLONEDX,
    PREDICATE_TYPE,
    PROVENANCE,
    SPDX,
    STATEMENTS,
)
from polyarch.oci.descriptor import REFERENCE_DIGEST, REFERENCE_TYPE, Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.oci.place import Source
from polyarch.oci.platform import Platform
from polyarch.transfer import graph as graphs
from polyarch.transfer.select import Leaf

Severity = Literal["error", "warning", "note"]
# Asks whether a material still exists. Returns a note if that cannot be known.
Resolve = Callable[[ClaimedMaterial], str]


class AttestationProblem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong: the rule that is broken, how bad that is, and the platform, the attestation and the statement."""

    rule: str
    severity: Severity
    message: str
    platform: str = ""
    attestation: Digest = Digest("")
    statement: Digest = Digest("")


class VerifiedStatement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement: the digest and size of its layer, what kind of predicate it has, and what it says it is about."""

    digest: Digest
    size: int
    predicate_type: str
    subjects: tuple[str, ...] = ()
    materials: int = 0


class VerifiedAttestation(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest about an image: of `image`, for `platform`, found in the index or as a referrer.

    `artifact_type` is empty for BuildKit's older form, a manifest like an image's. `signatures` are the digests of
    the manifests about it.
    """

    platform: str
    image: Digest
    digest: Digest
    size: int
    listed: Listed
    artifact_type: str = ""
    statements: tuple[VerifiedStatement, ...] = ()
    signatures: tuple[Digest, ...] = ()


class AttestationReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result: every manifest about the image, and every problem."""

    name: str
    digest: Digest
    attestations: tuple[VerifiedAttestation, ...]
    problems: tuple[AttestationProblem, ...]

    def is_good(self, *, strict: bool = False) -> bool:
        """Whether there is no error, and with `strict`, no warning either."""
        bad = ("error", "warning") if strict else ("error",)
        return all(problem.severity not in bad for problem in self.problems)


def verify(
    source: Source,
    root: Descriptor,
    name: str,
    *,
    wanted: Sequence[Platform] = (),
    resolve: Resolve | None = None,
) -> AttestationReport:
    """Verify everything about the images below `root` for the platforms `wanted`, all if there are none.

    `resolve` is asked about each material. Raises NotFoundError for the root or a platform, CorruptError for the root;
    RegistryError.
    """
    document = graphs.read_node(source, root).document
    verified: list[VerifiedAttestation] = []
    problems: list[AttestationProblem] = []
    if isinstance(document, Index):
        problems += _dangling(document)
    asked: set[str] = set()
    for found in attestations.find(source, root, wanted):
        one = _Verifier(source, found, resolve, asked)
        verified.append(one.run())
        problems += one.problems
    problems += _missing(attestations.images(source, root, document, wanted), verified)
    return AttestationReport(name=name, digest=root.digest, attestations=tuple(verified), problems=tuple(problems))


def _dangling(index: Index) -> Iterator[AttestationProblem]:
    for entry in attestations.dangling(index):
        about = entry.annotations.get(REFERENCE_DIGEST) or "nothing"
        message = f"the entry {entry.digest} is an attestation about {about}, which the index does not have"
        yield AttestationProblem(
            rule="attestation-dangling", severity="error", message=message, attestation=entry.digest
        )


def _missing(images: Sequence[Leaf], verified: list[VerifiedAttestation]) -> Iterator[AttestationProblem]:
    """The images without a statement about them."""
    attested = {one.image for one in verified if one.statements}
    if not attested:
        yield AttestationProblem(rule="attestation-missing", severity="error", message="the image has no attestations")
        return
    for entry in (leaf.entry for leaf in images if leaf.entry.digest not in attested):
        platform = str(platforms.normalize(entry.platform)) if entry.platform is not None else ""
        message = f"the image {entry.digest} has no attestations, but others have"
        yield AttestationProblem(rule="attestation-missing", severity="warning", message=message, platform=platform)


class _Verifier:
    """The checks of one manifest about an image; `problems` is what they found.

    `asked` are the materials that were asked about already.
    """

    def __init__(self, source: Source, found: Attestation, resolve: Resolve | None, asked: set[str]) -> None:
        self.problems: list[AttestationProblem] = []
        self._source = source
        self._found = found
        self._image = found.image
        self._resolve = resolve
        self._asked = asked
        # The statement that is being checked.
        self._statement_digest = Digest("")
        self._platform = platforms.normalize(found.platform) if found.platform is not None else None
        self._layers = self._image_layers()

    def run(self) -> VerifiedAttestation:
        """Check it, and return what it is."""
        found, manifest = self._found, self._found.manifest
        if found.listed == "index":
            self._entry(found.descriptor)
        if found.unreachable:
            self._add("blob-missing", "warning", f"{found.descriptor.digest} could not be read: {found.problem}")
        elif manifest is None:
            self._add("blob-missing" if found.absent else "damaged", "error", found.problem)
        elif found.is_attestation:
            self._manifest(manifest)
        elif manifest.subject != self._image.digest:
            self._wrong_subject(manifest.digest, manifest.subject)
        read = [self._statement(layer) for layer in found.statements] if found.is_attestation else []
        return VerifiedAttestation(
            platform=str(self._platform or ""),
            image=self._image.digest,
            digest=found.descriptor.digest,
            size=found.descriptor.size,
            listed=found.listed,
            artifact_type=manifest.artifact_type if manifest is not None else found.descriptor.artifact_type,
            statements=tuple(read),
            signatures=tuple(entry.digest for entry in found.about),
        )

    def _add(self, rule: str, severity: Severity, message: str) -> None:
        self.problems.append(
            AttestationProblem(
                rule=rule,
                severity=severity,
                message=message,
                platform=str(self._platform or ""),
                attestation=self._found.descriptor.digest,
                statement=self._statement_digest,
            )
        )

    def _wrong_subject(self, what: str, subject: object) -> None:
        self._add(
            "attestation-subject", "error", f"{what} is about {subject or 'nothing'}, not about {self._image.digest}"
        )

    def _entry(self, entry: Descriptor) -> None:
        """The entry of the index: runtimes must not take it for an image."""
        if entry.platform is None or not entry.platform.is_unknown:
            message = f"the entry {entry.digest} is an attestation, but its platform is {entry.platform or 'missing'}"
            self._add("attestation-platform", "error", f"{message}: runtimes may run it; it should be unknown/unknown")
        if entry.annotations.get(REFERENCE_TYPE) != ATTESTATION_MANIFEST:
            kind = entry.annotations.get(REFERENCE_TYPE) or "missing"
            message = f"the annotation {REFERENCE_TYPE} of the entry {entry.digest} is {kind}"
            self._add("attestation-type", "warning", f"{message}; it should be {ATTESTATION_MANIFEST}")

    def _manifest(self, manifest: Manifest) -> None:
        """The manifest, in one of BuildKit's two forms: an artifact with a subject, or like an image's."""
        if manifest.artifact_type not in ("", ARTIFACT_TYPE):
            message = f"the artifact type of {manifest.digest} is {manifest.artifact_type}"
            self._add("attestation-type", "warning", f"{message}; it should be {ARTIFACT_TYPE}")
        subject = manifest.decode().get("subject")
        if subject is not None:
            self._subject(manifest, subject)
        for layer in manifest.layers:
            if not statements.is_statement(layer):
                message = f"the layer {layer.digest} of the attestation is of type {layer.media_type}"
                self._add("attestation-type", "error", f"{message}, which is not a statement")
        if not manifest.layers:
            self._add("attestation-type", "error", f"the attestation {manifest.digest} has no statement")

    def _subject(self, manifest: Manifest, plain: object) -> None:
        if manifest.subject != self._image.digest:
            self._wrong_subject(f"the attestation {manifest.digest}", manifest.subject or "something malformed")
            return
        assert isinstance(plain, dict)
        if plain.get("size") != self._image.size:
            message = f"the attestation {manifest.digest} says that {self._image.digest} has {plain.get('size')} bytes"
            self._add("size-mismatch", "error", f"{message}; it has {self._image.size}")
        if plain.get("mediaType") != self._image.media_type:
            message = f"the attestation {manifest.digest} says that its subject is of type {plain.get('mediaType')}"
            self._add("attestation-type", "warning", f"{message}; it is of type {self._image.media_type}")

    def _statement(self, layer: Descriptor) -> VerifiedStatement:
        annotated = layer.annotations.get(PREDICATE_TYPE, "")
        self._statement_digest = layer.digest
        shown = VerifiedStatement(digest=layer.digest, size=layer.size, predicate_type=annotated)
        try:
            statement = statements.read(self._source, layer)
        except NotFoundError as error:
            self._add("blob-missing", "error", error.message)
            return shown
        except RegistryError as error:
            self._add("blob-missing", "warning", f"the statement {layer.digest} could not be read: {error.message}")
            return shown
        except CorruptError as error:
            self._add("damaged", "error", error.message)
            return shown
        what = f"the statement {layer.digest}"
        if statement.type not in STATEMENTS:
            self._add("attestation-type", "error", f"{what} is of type {statement.type or '(none)'}, not in-toto's")
        if statement.predicate_type != annotated:
            message = f"{what} has a predicate of type {statement.predicate_type or '(none)'}"
            self._add("attestation-type", "error", f"{message}, but its layer says {annotated or '(none)'}")
        self._subjects(what, statement)
        count = self._predicate(what, statement)
        return VerifiedStatement(
            digest=layer.digest,
            size=layer.size,
            predicate_type=statement.predicate_type or annotated,
            subjects=tuple(subject.name for subject in statement.subject),
            materials=count,
        )

    def _subjects(self, what: str, statement: RawStatement) -> None:
        """A statement names this image, or nothing if the image had no name; a scanner's own subjects may be others."""
        digest = self._image.digest.partition(":")
        matched = False
        for subject in statement.subject:
            same = subject.digest.get(digest[0]) == digest[2]
            matched |= same
            try:
                purl = materials.image(subject.name)
            except CorruptError as error:
                self._add("attestation-subject", "error", f"{what}: {error.message}")
                continue
            if purl is None:
                continue
            if not same:
                about = f"{subject.name} ({', '.join(f'{key}:{value}' for key, value in subject.digest.items())})"
                self._wrong_subject(what, about)
                return
            if purl.platform and self._platform is not None and not platforms.same(purl.platform, self._platform):
                message = f"{what} says that the image is for {purl.platform}; it is for {self._platform}"
                self._add("attestation-platform", "error", message)
        if statement.subject and not matched:
            severity: Severity = "error" if statement.predicate_type.startswith(PROVENANCE) else "warning"
            names = ", ".join(subject.name or "(no name)" for subject in statement.subject[:3])
            self._add("attestation-subject", severity, f"{what} is about {names}, not about {self._image.digest}")

    def _predicate(self, what: str, statement: RawStatement) -> int:
        """Check what is known of the kind of predicate. Returns the number of materials."""
        try:
            if statement.predicate_type.startswith(PROVENANCE):
                return self._provenance(what, materials.provenance(statement))
            if statement.predicate_type in (SPDX, CYCLONEDX):
                self._bill(what, statement)
        except CorruptError as error:
            self._add("damaged", "error", f"{what}: {error.message}")
        return 0

    def _bill(self, what: str, statement: RawStatement) -> None:
        key = "spdxVersion" if statement.predicate_type == SPDX else "bomFormat"
        try:
            head = msgspec.json.decode(statement.predicate, type=dict[str, msgspec.Raw])
        except msgspec.DecodeError as error:
            raise CorruptError(f"the SBOM cannot be read: {error}") from error
        if key not in head:
            self._add("attestation-type", "error", f"{what} should be a bill of materials, but it has no {key}")

    def _provenance(self, what: str, provenance: ProvenanceClaims) -> int:
        if not provenance.build_type:
            self._add("attestation-type", "warning", f"{what} does not say how the image was built: no buildType")
        for material in provenance.materials:
            for message in materials.malformed(material):
                self._add("attestation-material", "error", f"{what}: {message}")
            if self._resolve is not None:
                self._material(material)
        for layer in provenance.layers:
            size = self._layers.get(layer.digest)
            if size is not None and layer.size not in (-1, size):
                message = f"{what} says that the layer {layer.digest} has {layer.size} bytes; it has {size}"
                self._add("size-mismatch", "error", message)
        if provenance.layers and self._layers and not any(layer.digest in self._layers for layer in provenance.layers):
            message = f"{what} lists the layers that its steps made, and the image has none of them"
            self._add("attestation-material", "error", message)
        return len(provenance.materials)

    def _material(self, material: ClaimedMaterial) -> None:
        """Ask whether the material still exists, once for all platforms."""
        assert self._resolve is not None
        key = f"{material.uri} {material.digest.get('sha256', '')}"
        if key in self._asked:
            return
        severity: Severity = "note"
        try:
            note = self._resolve(material)
        except (NotFoundError, CorruptError) as error:
            note, severity = error.message, "error"
        except RegistryError as error:
            note, severity = f"the material {material.uri} could not be verified: {error.message}", "warning"
        if note:
            self._add("attestation-material", severity, note)
        self._asked.add(key)

    def _image_layers(self) -> dict[str, int]:
        """The digests and sizes of the image's layers; empty if it cannot be read."""
        try:
            document = graphs.read_node(self._source, self._image).document
        except (NotFoundError, CorruptError):
            return {}
        return {layer.digest: layer.size for layer in document.layers} if isinstance(document, Manifest) else {}
