"""Polyarch: one container image for many platforms, as a library.

    from polyarch import Polyarch

    with Polyarch() as client:
        client.build(".", platforms="linux/amd64,linux/arm64", tags="app:1")

The names are loaded when they are first used: `import polyarch` costs next to nothing, and a program pays for what
it calls. Type checkers read __init__.pyi.
"""

from polyarch.version import VERSION

__version__ = VERSION

# Where each public name is defined.
_HOMES = {
    "attest.bill": "BillPackage Distribution",
    "attest.document": "Sbom",
    "attest.signing.sign": "SignedImage",
    "attest.signing.signatures": "ImageSignature",
    "attest.signing.trust": "Signer",
    "attest.signing.verify": "VerifiedImage",
    "builder.export.assemble": "BuiltImage",
    "builder.failures": "Failure",
    "builder.history.record": "BuildRecord StepRecord StepRun",
    "builder.lint": "Checked",
    "builder.request.output": "Output",
    "builder.result": "BuildResult",
    "buildcache.contents": "CacheContents CacheItem",
    "buildflags.run": "RunFlags",
    "client.arguments": "Name Names Platforms StrPath",
    "client.building": "BuildKeywords CacheSettings OnFailure PlatformOverride Secret TimeSettings VerifyPlatforms",
    "client.caches": "RemoteCaches",
    "client.farm_settings": "FarmSettings",
    "client.images": "Images Sink",
    "client.indexes": "Indexes",
    "client.polyarch": "Polyarch",
    "client.values": "CompletedRun EntryDifference Image ImageDetails ImageIndex ImagePlatform "
    "IndexDifference PruneResult PushResult",
    "contents.layer": "Layer",
    "doctor.diagnosis": "Diagnosis",
    "dockerfile.outline": "Argument Needed Outline TargetStage",
    "dockerfile.rules": "LintFinding LintRule",
    "dockerfile.source": "DockerfileError Location",
    "errors": "BuildError CancelledError ConflictError CorruptError MachineError NotFoundError "
    "PolyarchError RegistryError SignatureError UnsupportedError UsageError",
    "images.check.findings": "CheckedImage Finding Report",
    "images.remove": "Removed",
    "indexes.verify": "AttestationProblem AttestationReport VerifiedAttestation VerifiedStatement",
    "oci.descriptor": "Descriptor",
    "oci.digest": "Digest",
    "oci.platform": "Platform",
    "oci.reference": "Reference",
    "progress": "Event Finished OutputChunk Started Transferred Warned",
    "registry.credentials": "Credential",
    "sandbox.starting": "StartError",
    "transfer.copy": "Sent",
}

__all__ = sorted(["__version__", *" ".join(_HOMES.values()).split()])


# Not with `polyarch.lazy`, which each start would import.
def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names.split():
            import importlib

            value: object = getattr(importlib.import_module(f"polyarch.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'polyarch' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
