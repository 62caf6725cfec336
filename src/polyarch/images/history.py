"""`history`: the steps that an image was built with, newest first."""

import msgspec

from polyarch.oci.digest import Digest
from polyarch.transfer.choose import ChosenImage


class HistoryStep(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the history. `size` is that of the layer's blob in bytes, 0 for a step without a layer."""

    created: str
    created_by: str
    comment: str
    size: int
    layer: Digest
    diff_id: Digest


def history(image: ChosenImage) -> tuple[HistoryStep, ...]:
    """The steps of an image, newest first. A layer that has no entry in the history becomes a step of its own."""
    layers = list(zip(image.manifest.layers, image.config.diff_ids, strict=False))
    steps: list[HistoryStep] = []
    for entry in image.config.history:
        layer, diff_id = (None, Digest("")) if entry.empty_layer or not layers else layers.pop(0)
        steps.append(
            HistoryStep(
                created=entry.created,
                created_by=entry.created_by,
                comment=entry.comment,
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
