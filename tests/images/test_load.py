"""Loading: what enters the store when part of it fails, and which names it gets."""

from pathlib import Path

import pytest

from polyarch.errors import NotFoundError
from polyarch.images import load as loading
from polyarch.store import Store
from polyarch.transfer.layout import OciLayout, open_layout
from tests.oci.examples import AMD64, ARM64, image


@pytest.fixture
def layout(tmp_path: Path) -> OciLayout:
    return OciLayout.create(tmp_path / "layout")


def test_names_are_written_once_for_all_images(layout: OciLayout, store_root: Path) -> None:
    one, two = (image(layout, platform, name=f"a.test/x:{platform.architecture}") for platform in (AMD64, ARM64))
    written: list[str] = []
    with Store.open(store_root, trace=written.append) as store:
        loaded = loading.load(store, layout)
        assert [found.name for found in loaded] == ["a.test/x:amd64", "a.test/x:arm64"]
        assert [store.resolve(found.name).digest for found in loaded] == [one.digest, two.digest]
    assert written.count("tag:after-replace") == 1


def test_images_that_came_before_the_one_that_failed_have_their_names(
    layout: OciLayout, store: Store, tmp_path: Path
) -> None:
    image(layout, AMD64, name="a.test/good:1")
    bad = image(layout, ARM64, {"bad": "x"}, name="a.test/bad:1")
    image(layout, AMD64, {"last": "x"}, name="a.test/last:1")
    document = open_layout(tmp_path / "layout").read_manifest(bad).decode()
    (tmp_path / "layout" / "blobs" / "sha256" / document.rpartition("sha256:")[2][:64]).unlink()
    with pytest.raises(NotFoundError, match="not complete"):
        loading.load(store, layout)
    assert store.tags() == ("a.test/good:1",)
