"""Where the table of contents of a layer is: the value of an annotation of the layer's descriptor.

The table is a blob of its own that no manifest lists, so it is optional for every reader. `layers/toc.py` makes and
reads it. Whoever copies, keeps or removes the blobs of an image does the same with the tables of its layers.
"""

import re
from collections.abc import Iterable

import msgspec

from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest

ANNOTATION = "org.polyarch.layer.toc"
MEDIA_TYPE = "application/vnd.polyarch.layer.toc.v1+gzip"
# The annotation of layers with a table of another form: eStargz (layers/stargz.py).
STARGZ_TOC_DIGEST = "containerd.io/snapshot/stargz/toc.digest"
# In bytes. A larger table saves nothing.
LARGEST_TABLE = 16 << 20

_GRAMMAR = r"(?:([1-9][0-9]{0,17})\+)?([1-9][0-9]{0,9}) (sha256:[0-9a-f]{64})"


class TablePlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a table is: its size in bytes, its digest, and in the old form its offset in the layer's blob."""

    size: int
    digest: Digest
    offset: int | None = None

    def __str__(self) -> str:
        """What the annotation says."""
        return f"{'' if self.offset is None else f'{self.offset}+'}{self.size} {self.digest}"

    def within(self, layer: Descriptor) -> tuple[Descriptor, int]:
        """The blob in which the table of `layer` is, and the offset there."""
        if self.offset is not None:
            return layer, self.offset
        return Descriptor(media_type=MEDIA_TYPE, digest=self.digest, size=self.size), 0


def parse(text: str) -> TablePlace | None:
    """The place that an annotation names; None where it is none that can be understood."""
    match = re.fullmatch(_GRAMMAR, text)
    if match is None or int(match[2]) > LARGEST_TABLE:
        return None
    return TablePlace(offset=int(match[1]) if match[1] else None, size=int(match[2]), digest=Digest(match[3]))


def find(layer: Descriptor) -> TablePlace | None:
    """Where the table of a layer is; None where its descriptor names none."""
    text = layer.annotations.get(ANNOTATION)
    return parse(text) if text else None


def tables_of(document: Manifest | Index) -> tuple[Descriptor, ...]:
    """The tables of a manifest's layers that are blobs of their own."""
    layers: Iterable[Descriptor] = document.layers if isinstance(document, Manifest) else ()
    found = (place for layer in layers if (place := find(layer)) is not None and place.offset is None)
    return tuple(Descriptor(media_type=MEDIA_TYPE, digest=place.digest, size=place.size) for place in found)
