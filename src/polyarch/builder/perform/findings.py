"""The lint findings that steps leave with their layers, collected while a build takes or makes these layers."""

import threading

from polyarch.builder.vertices import BuildGraph, VertexId
from polyarch.contents.layer import Layer
from polyarch.dockerfile import rules
from polyarch.dockerfile.rules import LintFinding
from polyarch.dockerfile.source import Location


class StepFindings:
    """Collects the notes of layers, each once; safe from many threads. It owns nothing."""

    def __init__(self, graph: BuildGraph) -> None:
        self._graph = graph
        self._lock = threading.Lock()
        # A dictionary keeps the order.
        self._notes: dict[tuple[VertexId, str, str], None] = {}

    def add(self, vertex: VertexId, layer: Layer) -> None:
        """Add the warnings that this layer of `vertex` carries, each time that it is used."""
        with self._lock:
            # A cached layer may name a rule that only another version has.
            self._notes.update({(vertex, *note): None for note in layer.notes if note[0] in rules.BY_NAME})

    def all(self) -> tuple[LintFinding, ...]:
        """The findings so far, with the lines of their steps."""
        with self._lock:
            notes = tuple(self._notes)
        labels = self._graph.labels
        return tuple(
            LintFinding(rules.BY_NAME[rule], message, Location(*labels[vertex].lines))
            for vertex, rule, message in notes
        )
