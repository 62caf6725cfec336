"""Parsing the location of an image: store, registry, layout or archive."""

from pathlib import Path
from typing import cast

import pytest

from polyarch.errors import NotFoundError, UsageError
from polyarch.oci import reference as references
from polyarch.registry import Credentials, Hosts, Registry
from polyarch.store.store import Store
from polyarch.transfer import locate
from polyarch.transfer.layout import OciLayout
from polyarch.transfer.locate import ImageLocation, Places
from tests.oci.examples import AMD64, image

SHA = "sha256:" + "0123456789abcdef" * 4

TABLE = f"""
oci-layout://dir                       | layout   | dir          |
oci-layout://./a/b:1.0                 | layout   | ./a/b        | 1.0
oci-layout:///abs/dir@{SHA}            | layout   | /abs/dir     | {SHA}
oci:dir:x.y/app:1                      | layout   | dir          | x.y/app:1
oci-archive:f.tar                      | archive  | f.tar        |
oci-archive:/a/f.tar:1.0               | archive  | /a/f.tar     | 1.0
docker-archive:f.tar:localhost:5000/a:1 | archive | f.tar        | localhost:5000/a:1
"""


@pytest.mark.parametrize(
    ("text", "kind", "path", "name"),
    [[cell.strip() for cell in line.split("|")] for line in TABLE.strip().splitlines()],
)
def test_a_layout_or_an_archive_is_known_by_its_prefix(text: str, kind: locate.Kind, path: str, name: str) -> None:
    assert locate.parse(text) == ImageLocation(kind=kind, path=path, name=name)


@pytest.mark.parametrize(
    ("text", "kind", "reference"),
    [
        ("app", "any", "docker.io/library/app:latest"),
        ("localhost:5000/app:1", "any", "localhost:5000/app:1"),
        (f"app@{SHA}", "any", f"docker.io/library/app@{SHA}"),
        ("docker://app", "registry", "docker.io/library/app:latest"),
    ],
)
def test_a_reference_may_say_where_it_is_looked_for(text: str, kind: locate.Kind, reference: str) -> None:
    assert locate.parse(text) == ImageLocation(kind=kind, reference=references.parse(reference))


@pytest.mark.parametrize("text", ["", "oci-layout://", "oci-archive:", "oci-layout://:tag", "docker://App", "a b"])
def test_what_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        locate.parse(text)


def test_a_name_is_looked_for_in_the_store_first(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store, Registry(Hosts(), Credentials(None), "test") as client:
        places = Places(store, client, lambda: (tmp_path / "spool").open("w+b"))
        descriptor = image(store, AMD64, name="127.0.0.1:1/app:1")
        with locate.opened(locate.parse("127.0.0.1:1/app:1"), places) as found:
            assert found.source.resolve(found.name).digest == descriptor.digest


def test_a_path_alone_is_a_layout_or_an_archive(tmp_path: Path) -> None:
    OciLayout.create(tmp_path / "layout")
    assert locate.of_path(str(tmp_path / "layout")).kind == "layout"
    assert locate.of_path(str(tmp_path / "file.tar")).kind == "archive"
    places = cast(Places, None)
    with pytest.raises(NotFoundError), locate.opened(locate.parse(f"oci-layout://{tmp_path}"), places):
        pass
