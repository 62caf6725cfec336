"""Attestations of a build: what was done, what is in the result, and how both are attached to it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyarch.builder.attestations.attester import Attester
    from polyarch.builder.export.assemble import Assembler
    from polyarch.builder.linked import LinkedImages
    from polyarch.builder.request.request import BuildRequest
    from polyarch.builder.vertices import BuildGraph
    from polyarch.builder.workspace import Workspace


def opened(
    request: "BuildRequest",
    graph: "BuildGraph",
    workspace: "Workspace",
    links: "LinkedImages",
    assembler: "Assembler",
) -> "Attester | None":
    """What makes the attestations of a build that uses the images of `links`; None if none are asked for."""
    if not request.export.attestations:
        return None
    from polyarch.builder.attestations.attester import Attester, scanner

    return Attester(request, graph, workspace, links, scanner(request, graph, workspace, assembler))
