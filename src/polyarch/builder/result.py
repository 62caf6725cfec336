"""What a build made."""

from typing import Any

import msgspec

from polyarch.builder.export.assemble import BuiltImage
from polyarch.builder.failures import Failure
from polyarch.builder.request.output import Output
from polyarch.dockerfile.rules import LintFinding
from polyarch.oci.descriptor import Descriptor
from polyarch.transfer.copy import Sent


class BuildResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a build made. `descriptor` is what its names point to, None if only files were exported.

    `provenance` has the provenance of each platform if it was asked for, as a predicate of SLSA 0.2, which is the form
    in metadata files.

    `outputs` are where it went: the store in place of an engine that does not run. `failures` are the platforms that a
    build with `on_failure="keep"` left out. `reference` is BUILDER/NODE/ID, by which `buildx history` finds the build.
    `findings` are those of the build checks, in the Dockerfile that `source` names, with its text.
    """

    descriptor: Descriptor | None
    images: tuple[BuiltImage, ...]
    sent: tuple[Sent, ...] = ()
    outputs: tuple[Output, ...] = ()
    warnings: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    provenance: dict[str, dict[str, Any]] = {}
    reference: str = ""
    findings: tuple[LintFinding, ...] = ()
    source: tuple[str, str] = ("", "")

    @property
    def is_alone(self) -> bool:
        """Whether the result is one image, not an index."""
        root = self.descriptor
        return len(self.images) == 1 and root is not None and root.digest == self.images[0].descriptor.digest

    @property
    def image_id(self) -> str:
        """The id as buildx prints it: the digest of the config of one image, else of the index; empty for files."""
        if self.descriptor is None or all(output.is_files for output in self.outputs):
            return ""
        return self.images[0].config if self.is_alone else self.descriptor.digest
