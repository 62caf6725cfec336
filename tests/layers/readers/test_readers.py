"""Every reader reads our layers whole. Those that need more packages are run by `make readers` (`__main__.py`)."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.layers.readers import browsers, running
from tests.layers.readers.layer import RealLayer, make
from tests.layers.readers.readers import GZIP, ZSTD, Reader
from tests.needs import need

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("readers")]


@pytest.fixture(scope="module")
def layer(debian_tar: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> RealLayer:
    """The real layer, packed once."""
    made = make(debian_tar("linux/amd64"), tmp_path_factory.mktemp("layer"))
    assert len(made.listing.entries) > 20_000
    return made


def _cases() -> list[object]:
    found = [("gzip", reader) for reader in GZIP] + [("zstd", reader) for reader in ZSTD]
    return [pytest.param(kind, one, id=f"{kind} {one.name}") for kind, one in found if one.needs == "system"]


@pytest.mark.parametrize(("kind", "reader"), _cases())
def test_a_reader_reads_the_whole_layer(layer: RealLayer, kind: str, reader: Reader) -> None:
    need(reader.command[0])
    assert running.read(reader, layer.blobs[kind], {}) == layer.expected[reader.output]


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_chromium_reads_the_whole_layer(layer: RealLayer, kind: str, tmp_path: Path) -> None:
    assert browsers.digest("Chromium", layer.blobs[kind], kind, tmp_path) == layer.expected["tar"]


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_skopeo_reads_the_whole_layer(layer: RealLayer, kind: str, tmp_path: Path) -> None:
    need("skopeo")
    diff_id = f"sha256:{layer.expected['tar']}"
    found = running.by_skopeo(layer.descriptors[kind], layer.blobs[kind], diff_id, tmp_path)
    assert found == layer.expected["tar"]


def test_a_reader_that_stops_after_the_first_member_is_noticed(layer: RealLayer, tmp_path: Path) -> None:
    """What the layers of Polyarch were before, and why the tests above compare all of it."""
    plain = gzip.decompress(layer.blobs["gzip"].read_bytes())
    path = tmp_path / "members.tar.gz"
    path.write_bytes(gzip.compress(plain[: 1 << 20], 1) + gzip.compress(plain[1 << 20 :], 1))
    reader = next(one for one in GZIP if "zlib.decompressobj" in one.name)
    assert running.read(reader, path, {}) != layer.expected["tar"]
