"""Check that the attestations of an image are about it and can be read. An image needs none."""

from collections.abc import Iterator

from polyarch.errors import RegistryError
from polyarch.images.check.findings import Finding
from polyarch.indexes import verify
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.place import Source


def findings(source: Source, root: Descriptor) -> Iterator[Finding]:
    """Findings about the manifests about the images below `root`."""
    try:
        report = verify.verify(source, root, root.digest)
    except RegistryError as error:
        message = f"signatures and attestations could not be listed: {error.message}"
        yield Finding(rule="blob-missing", severity="warning", message=message)
        return
    for problem in report.problems:
        if problem.rule != "attestation-missing":
            yield Finding(
                rule=problem.rule, severity=problem.severity, message=problem.message, platform=problem.platform
            )
