"""What the names of a result point to."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from polyarch.builder.export.assemble import Assembler, BuiltImage
from polyarch.builder.request.request import BuildRequest
from polyarch.oci.descriptor import Descriptor

if TYPE_CHECKING:
    from polyarch.builder.attestations.attester import AttestedImages

_TRUE = ("1", "t", "true")


def roots_of(
    assembler: Assembler, request: BuildRequest, images: Sequence[BuiltImage], attested: "AttestedImages | None"
) -> dict[bool, Descriptor]:
    """The root for outputs that get attestations with `inline-only` (True), and for those that do not (False).

    Only what an output needs is made. The images are the same in both.
    """
    # As in BuildKit: the result is an index even for one platform.
    multi = request.plan.arguments.get("BUILDKIT_MULTI_PLATFORM", "").lower() in _TRUE
    kinds = {output.is_inline for output in request.export.outputs if not output.is_files}
    return {
        inline: assembler.root(
            images, attested.entries(inline=inline) if attested is not None else (), always_index=multi
        )
        for inline in kinds
    }
