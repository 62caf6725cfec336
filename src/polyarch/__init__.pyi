from collections.abc import Mapping

from polyarch.attest.bill import BillPackage, Distribution
from polyarch.attest.document import Sbom
from polyarch.attest.signing.sign import SignedImage
from polyarch.attest.signing.signatures import ImageSignature
from polyarch.attest.signing.trust import Signer
from polyarch.attest.signing.verify import VerifiedImage
from polyarch.buildcache.contents import CacheContents, CacheItem
from polyarch.builder.export.assemble import BuiltImage
from polyarch.builder.failures import Failure
from polyarch.builder.history.record import BuildRecord, StepRecord, StepRun
from polyarch.builder.lint import Checked
from polyarch.builder.request.output import Output
from polyarch.builder.result import BuildResult
from polyarch.buildflags.run import RunFlags
from polyarch.client.arguments import Name, Names, Platforms, StrPath
from polyarch.client.building import (
    BuildKeywords,
    CacheSettings,
    OnFailure,
    PlatformOverride,
    Secret,
    TimeSettings,
    VerifyPlatforms,
)
from polyarch.client.caches import RemoteCaches
from polyarch.client.farm_settings import FarmSettings
from polyarch.client.images import Images, Sink
from polyarch.client.indexes import Indexes
from polyarch.client.polyarch import Polyarch
from polyarch.client.values import (
    CompletedRun,
    EntryDifference,
    Image,
    ImageDetails,
    ImageIndex,
    ImagePlatform,
    IndexDifference,
    PruneResult,
    PushResult,
)
from polyarch.contents.layer import Layer
from polyarch.dockerfile.outline import Argument, Needed, Outline, TargetStage
from polyarch.dockerfile.rules import LintFinding, LintRule
from polyarch.dockerfile.source import DockerfileError, Location
from polyarch.doctor.diagnosis import Diagnosis
from polyarch.errors import (
    BuildError,
    CancelledError,
    ConflictError,
    CorruptError,
    MachineError,
    NotFoundError,
    PolyarchError,
    RegistryError,
    SignatureError,
    UnsupportedError,
    UsageError,
)
from polyarch.images.check.findings import CheckedImage, Finding, Report
from polyarch.images.remove import Removed
from polyarch.indexes.verify import AttestationProblem, AttestationReport, VerifiedAttestation, VerifiedStatement
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform
from polyarch.oci.reference import Reference
from polyarch.progress import Event, Finished, OutputChunk, Started, Transferred, Warned
from polyarch.registry.credentials import Credential
from polyarch.sandbox.starting import StartError
from polyarch.transfer.copy import Sent

__version__: str
_HOMES: Mapping[str, str]

__all__ = [
    "Argument",
    "AttestationProblem",
    "AttestationReport",
    "BillPackage",
    "BuildError",
    "BuildKeywords",
    "BuildRecord",
    "BuildResult",
    "BuiltImage",
    "CacheContents",
    "CacheItem",
    "CacheSettings",
    "CancelledError",
    "Checked",
    "CheckedImage",
    "CompletedRun",
    "ConflictError",
    "CorruptError",
    "Credential",
    "Descriptor",
    "Diagnosis",
    "Digest",
    "Distribution",
    "DockerfileError",
    "EntryDifference",
    "Event",
    "Failure",
    "FarmSettings",
    "Finding",
    "Finished",
    "Image",
    "ImageDetails",
    "ImageIndex",
    "ImagePlatform",
    "ImageSignature",
    "Images",
    "IndexDifference",
    "Indexes",
    "Layer",
    "LintFinding",
    "LintRule",
    "Location",
    "MachineError",
    "Name",
    "Names",
    "Needed",
    "NotFoundError",
    "OnFailure",
    "Outline",
    "Output",
    "OutputChunk",
    "Platform",
    "PlatformOverride",
    "Platforms",
    "Polyarch",
    "PolyarchError",
    "PruneResult",
    "PushResult",
    "Reference",
    "RegistryError",
    "RemoteCaches",
    "Removed",
    "Report",
    "RunFlags",
    "Sbom",
    "Secret",
    "Sent",
    "SignatureError",
    "SignedImage",
    "Signer",
    "Sink",
    "StartError",
    "Started",
    "StepRecord",
    "StepRun",
    "StrPath",
    "TargetStage",
    "TimeSettings",
    "Transferred",
    "UnsupportedError",
    "UsageError",
    "VerifiedAttestation",
    "VerifiedImage",
    "VerifiedStatement",
    "VerifyPlatforms",
    "Warned",
    "__version__",
]
