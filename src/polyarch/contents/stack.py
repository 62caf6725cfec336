"""The layers of a stage as a value: a stack is another stack, which it shares, and a layer on top.

So thousands of steps cost no more memory than their layers, and no list of layers is copied.
"""

from collections.abc import Iterable, Iterator, Sequence

from polyarch.contents.layer import Layer
from polyarch.oci import digest as digests


class Stack:
    """One or more layers. `layer` is the topmost, `below` the rest, `depth` their number; equal keys are equal stacks.

    It does not change. A plain class, because it nests as deep as there are layers, and comparing and printing a
    Struct would follow that.
    """

    __slots__ = ("_far", "below", "depth", "key", "layer")
    depth: int
    key: str

    def __init__(self, below: "Stack | None", layer: Layer) -> None:
        self.below = below
        self.layer = layer
        self.depth = 1 if below is None else below.depth + 1
        before = "" if below is None else below.key
        self.key = digests.sha256(f"{before} {layer.key}".encode())
        # A skip pointer: with it, a layer is found in a number of steps that is logarithmic in the depth.
        self._far = below
        if below is not None and below._far is not None and below._far._far is not None:
            first, second = below.depth - below._far.depth, below._far.depth - below._far._far.depth
            if first == second:
                self._far = below._far._far

    def at(self, number: int) -> Layer:
        """The layer of this number, 0 for the lowest."""
        here: Stack | None = self
        while here is not None and here.depth != number + 1:
            far = here._far
            here = far if far is not None and far.depth > number else here.below
        assert here is not None, number
        return here.layer

    def __iter__(self) -> Iterator[Layer]:
        """The layers, lowest first."""
        found: list[Layer] = []
        here: Stack | None = self
        while here is not None:
            found.append(here.layer)
            here = here.below
        return reversed(found)


def on(below: Stack | None, layers: Iterable[Layer]) -> Stack | None:
    """`below` with these layers on top, lowest first; None if there are no layers."""
    for layer in layers:
        below = Stack(below, layer)
    return below


def layers_of(stack: Stack | None) -> Sequence[Layer]:
    """The layers of a stack, lowest first."""
    return () if stack is None else tuple(stack)
