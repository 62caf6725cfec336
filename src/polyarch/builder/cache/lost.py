"""Layers that a cache named and does not have any more.

A hit downloads nothing, so that a layer is gone shows only when something reads it: in a step, or in an export. Then
the build is done again, and the step counts as one that no cache has. What the first attempt did is in the store, so
only that step and those that need its layer are done.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from polyarch import progress
from polyarch.errors import PolyarchError

if TYPE_CHECKING:
    from polyarch.oci.digest import Digest

_T = TypeVar("_T")


class LostLayers:
    """What a command knows of lost layers. It is used by all attempts.

    `hits` says in which cache each layer was found that this attempt uses, and `missing` which blobs could not be read.
    """

    def __init__(self) -> None:
        self._known: set[Digest] = set()
        self.hits: dict[Digest, str] = {}
        self.missing: set[Digest] = set()

    def __contains__(self, digest: object) -> bool:
        return digest in self._known

    def found(self, emit: progress.Emit) -> bool:
        """Whether something failed because layers were lost. They are reported, and not used any more."""
        new = {digest: where for digest, where in self.hits.items() if digest in self.missing}
        self.hits.clear()
        self.missing.clear()
        self._known.update(new)
        for digest, where in new.items():
            emit(progress.Warned(f"{where} has lost the layer {digest}, which it names: its step is done again"))
        return bool(new)


def attempt(once: Callable[[LostLayers], _T], failed: Callable[[_T], object], emit: progress.Emit) -> _T:
    """What `once` returns, called again as long as it fails because caches have lost layers: each time, it takes one
    fewer from them. `failed` says whether a result has failures.
    """
    lost = LostLayers()
    while True:
        try:
            result = once(lost)
        except PolyarchError:
            if not lost.found(emit):
                raise
        else:
            if not failed(result) or not lost.found(emit):
                return result
