"""A layer that was pulled with its table of contents: entered in the middle, if the table is right."""

import io
import random
from collections.abc import Callable

import msgspec
import pytest

from polyarch.contents import listings
from polyarch.contents.layer import LayerBlob
from polyarch.contents.unpack import Unpacker
from polyarch.layers import toc
from polyarch.layers.compression import Compression
from polyarch.layers.entry import Item
from polyarch.layers.listing import Listing
from polyarch.layers.pack import Packed, pack
from polyarch.oci.layer_table import ANNOTATION
from polyarch.store import Store
from tests.layers.making import file

ITEMS: list[Item] = [
    file("etc/passwd", b"root:x:0:0::/:/bin/sh\n"),
    *(file(f"f{n}", random.Random(n).randbytes(9000)) for n in range(200)),
    file("large", random.Random(9).randbytes((2 << 20) + 9)),
]


def _pulled(
    store: Store, kind: str, change: Callable[[Listing], Listing] = lambda listing: listing
) -> tuple[Packed, LayerBlob]:
    """The layer in the store as a pull leaves it: its blob and its table, which `change` has changed."""
    output = io.BytesIO()
    made = pack(ITEMS, output, Compression(kind))  # type: ignore[arg-type]
    table = toc.encode(change(made.listing).encode(), made.size)
    for content in (output.getvalue(), table):
        with store.new_blob() as writer:
            writer.write(content)
            writer.commit()
    blob = msgspec.structs.replace(made.descriptor(), annotations={ANNOTATION: toc.name(table)})
    return made, LayerBlob(made.diff_id, blob)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_its_listing_says_where_it_can_be_entered(store: Store, kind: str) -> None:
    made, layer = _pulled(store, kind)
    unpacker = Unpacker(store, store)
    assert unpacker.listing(layer) == made.listing
    assert listings.find(store, layer.diff_id) == made.listing
    with unpacker.files(layer) as files:
        found = {entry.path: files.read(entry) for entry in made.listing.entries}
    assert found == {entry.path: content for entry, content in ITEMS}


def _shifted(listing: Listing) -> Listing:
    (one, two), *others = listing.blocks[1:]
    return msgspec.structs.replace(listing, blocks=(listing.blocks[0], (one + 1, two), *others))


@pytest.mark.parametrize(
    "change",
    [
        _shifted,
        lambda listing: msgspec.structs.replace(listing, checksums=(1,) * len(listing.checksums)),
        lambda listing: msgspec.structs.replace(listing, blocks=listing.blocks[:1], checksums=listing.checksums[:1]),
        lambda listing: msgspec.structs.replace(listing, size=1 << 40),
        lambda listing: msgspec.structs.replace(listing, size=listing.size - 512),
        lambda listing: msgspec.structs.replace(listing, blocks=tuple((0, 0) for _ in listing.blocks)),
    ],
    ids=["a shifted block", "other checksums", "one block", "a huge size", "a smaller size", "no places"],
)
def test_a_wrong_table_is_not_believed(store: Store, change: Callable[[Listing], Listing]) -> None:
    made, layer = _pulled(store, "gzip", change)
    listing = Unpacker(store, store).listing(layer)
    assert (listing.entries, listing.texts, listing.size) == (
        made.listing.entries,
        made.listing.texts,
        made.listing.size,
    )
    assert listing.blocks == ()
