"""The steps of a build as JSON for provenance with mode=max. docs/reference/provenance.md describes them.

They are the vertices of the graph, as they were done. The file system of a stage is not a step, but the result of the
step on top of it, unless layers were put on a file system that they do not depend on (`COPY --link`).
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import msgspec

from polyarch.attest.provenance import Steps
from polyarch.builder import solve
from polyarch.builder.vertices import (
    NOTHING,
    BuildGraph,
    Context,
    CopyFiles,
    Git,
    Http,
    ImageLayers,
    Inline,
    LinkedLayers,
    MakeDirectory,
    RunCommand,
    RunMount,
    Stacked,
    Vertex,
    VertexId,
    inputs,
)
from polyarch.contents.layer import Layer
from polyarch.oci import descriptor as descriptors
from polyarch.oci import digest as digests
from polyarch.oci import text
from polyarch.oci.redaction import hidden, without_credentials


class SourceText(msgspec.Struct, frozen=True):
    """The Dockerfile that steps come from.

    `renamed` are words that only this machine understands, such as the path of a layout, with what is said instead.
    """

    name: str
    text: str
    renamed: Mapping[str, str] = {}

    def shown(self, name: str) -> str:
        """The name of a step without words of this machine."""
        for word, other in self.renamed.items():
            name = name.replace(word, other)
        return name


def describe(
    graph: BuildGraph,
    stack: VertexId,
    source: SourceText,
    layers: Mapping[VertexId, tuple[Layer, ...]],
    usage: Mapping[str, Mapping[str, Any]],
) -> Steps:
    """The steps that made the file system `stack`. `layers` are those of the image by the vertices that added them.

    `usage` is what steps used, by the id of the vertex; empty if that is not asked for.
    """
    numbering = _Numbering(graph, stack)
    steps = [_step(numbering, key, source, usage) for key in numbering.keys]
    lines = {numbering.name(key): graph.labels[key].lines for key in numbering.keys if key in graph.labels}
    data = without_credentials(source.text).encode("utf-8", "surrogateescape")
    return Steps(
        steps=_safe(steps),
        sources=[{"filename": source.name, "language": "Dockerfile", "data": b64encode(data).decode()}],
        locations={
            name: {"locations": [{"ranges": [{"start": {"line": first}, "end": {"line": last}}]}]}
            for name, (first, last) in lines.items()
            if first
        },
        layers={
            f"{numbering.name(key)}:0": [
                [descriptors.to_dict(layer.blob) for layer in layers[key] if layer.blob is not None]
            ]
            for key in numbering.keys
            if layers.get(key)
        },
    )


class _Numbering:
    """The steps below a file system, inputs first, and their names: step0, step1 …"""

    def __init__(self, graph: BuildGraph, stack: VertexId) -> None:
        self.graph = graph
        order = solve.topological([stack] if stack else [], lambda key: inputs(graph.vertices[key]))
        self.keys = [key for key in order if not self._is_result(key)]
        self._numbers = {key: number for number, key in enumerate(self.keys)}

    def name(self, key: VertexId) -> str:
        """The name of a step, or of the step whose result a file system is."""
        vertex = self.graph.vertices[key]
        if isinstance(vertex, Stacked) and key not in self._numbers:
            key = vertex.layers
        return f"step{self._numbers[key]}"

    def _is_result(self, key: VertexId) -> bool:
        """Whether a vertex is the file system that the step on top of it had as its result."""
        vertex = self.graph.vertices[key]
        if not isinstance(vertex, Stacked):
            return False
        top = self.graph.vertices[vertex.layers]
        return getattr(top, "base", NOTHING) == vertex.below


def _step(
    numbering: _Numbering, key: VertexId, source: SourceText, usage: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    vertex = numbering.graph.vertices[key]
    label = numbering.graph.labels.get(key)
    step: dict[str, Any] = {"id": numbering.name(key)}
    if label is not None:
        step["name"] = source.shown(label.name)
    step["op"] = _operation(numbering, vertex)
    needed = [f"{numbering.name(one)}:0" for one in inputs(vertex)]
    if needed:
        step["inputs"] = list(dict.fromkeys(needed))
    if key in usage:
        step["resourceUsage"] = dict(usage[key])
    return step


def _operation(numbering: _Numbering, vertex: Vertex) -> dict[str, Any]:
    """What a step does, without its inputs. URLs have no passwords."""

    def source(key: VertexId) -> str:
        return f"{numbering.name(key)}:0" if key else ""

    match vertex:
        case ImageLayers():
            return {"image": {"manifest": vertex.manifest}}
        case LinkedLayers():
            return {"target": {"name": vertex.build}}
        case Context():
            return {"context": {"name": vertex.name or "context"}}
        case Stacked():
            return {"stack": {"base": source(vertex.below), "layers": source(vertex.layers)}}
        case Inline():
            files = [
                {"name": name, "digest": digests.of(content.encode("utf-8", "surrogateescape"))}
                for name, content in vertex.files
            ]
            return {"inline": {"files": files}}
        case Http():
            return {"http": _filled(vertex) | {"url": hidden(vertex.url)}}
        case Git():
            return {"git": _filled(vertex)}
        case CopyFiles():
            parts = [_filled(part) | {"source": source(part.source)} for part in vertex.parts]
            places = {"base": source(vertex.base), "accounts": source(vertex.accounts), "parts": parts}
            return {"copy": _filled(vertex) | {key: value for key, value in places.items() if value}}
        case MakeDirectory():
            return {"directory": _filled(vertex) | ({"base": source(vertex.base)} if vertex.base else {})}
        case RunCommand():
            mounts = [_mount(mount, source(mount.source)) for mount in vertex.mounts]
            places = {"base": source(vertex.base), "mounts": mounts, "platform": str(vertex.platform)}
            return {"run": _filled(vertex) | {key: value for key, value in places.items() if value}}


def _mount(mount: RunMount, source: str) -> dict[str, Any]:
    return _filled(mount) | ({"source": source} if source else {})


def _filled(value: Any) -> dict[str, Any]:
    """The fields of a struct that are not at their defaults, apart from the ids of vertices."""
    plain: dict[str, Any] = msgspec.to_builtins(value)
    defaults = {
        field.name: field.default for field in msgspec.structs.fields(value) if field.default is not msgspec.NODEFAULT
    }
    hidden = ("type", "source", "base", "accounts", "parts", "mounts")
    return {
        key: item
        for key, item in plain.items()
        if key not in hidden
        and getattr(value, key, None) != defaults.get(key, msgspec.NODEFAULT)
        and item not in ({}, [], ())
    }


def _safe(value: Any) -> Any:
    """The same JSON without passwords in URLs, and with replacement characters for bytes that are not UTF-8."""
    if isinstance(value, str):
        return without_credentials(text.shown(value))
    if isinstance(value, dict):
        return {key: _safe(item) for key, item in value.items()}
    return [_safe(item) for item in value] if isinstance(value, list | tuple) else value
