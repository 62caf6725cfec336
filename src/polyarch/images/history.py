"""`history`: how an image came to be, newest step first."""

import msgspec

from polyarch.oci.digest import Digest
from polyarch.transfer.choose import ChosenImage


class HistoryStep(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the history. `size` is of its layer's blob in bytes, 0 for a step without one."""

    created: str
    created_by: str
    comment: str
    size: int
    layer: Digest
    diff_id: Digest


def history(image: ChosenImage) -> tuple[HistoryStep, ...]:
    """The steps of an image, newest first. Layers that no line of the history speaks of come as lines of their own."""
    layers = list(zip(image.manifest.layers, image.config.diff_ids, strict=False))
    steps: list[HistoryStep] = []
    for line in image.config.history:
        layer, diff_id = (None, Digest("")) if line.empty_layer or not layers else layers.pop(0)
        steps.append(
            HistoryStep(
                created=line.created,
                created_by=line.created_by,
                comment=line.comment,
                size=layer.size if layer else 0,
                layer=layer.digest if layer else Digest(""),
                diff_id=diff_id,
            )
        )
    for layer, diff_id in layers:
        steps.append(
            HistoryStep(created="", created_by="", comment="", size=layer.size, layer=layer.digest, diff_id=diff_id)
        )
    return tuple(reversed(steps))
