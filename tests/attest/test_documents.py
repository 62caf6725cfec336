"""The documents are valid for the libraries of SPDX and CycloneDX, equal for equal images, and survive bad input."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packageurl import PackageURL

from polyarch.attest.bill import Distribution
from polyarch.attest.licenses import declared
from polyarch.attest.purl import purl
from polyarch.contents.inventory import apk, dpkg, npm, python
from polyarch.contents.inventory import inventory as inventories
from polyarch.contents.inventory.component import Component, InventoryFile
from polyarch.store import Store
from tests.attest.billing import (
    OS_RELEASE,
    bill_of,
    cyclonedx_problems,
    names,
    paragraph,
    spdx_problems,
    status,
)
from tests.images.layered import file

HOSTILE = [
    OS_RELEASE,
    status(
        paragraph("ok", "1", Maintainer="Jane Doe <jane@example.org>", Homepage="https://example.org/"),
        paragraph("odd", "1 2/\t%", Maintainer="no address", Homepage="not a url"),
        "Package: cut\nStatus: install ok installed\nArch",
    ),
    file("lib/apk/db/installed", b"P:latin\xe9\nV:1\nL:GPL2 LGPL\n\nV:2\n\n"),
    file("a/b-1.dist-info/METADATA", f"Name: b\nVersion: 1\nLicense: {'long text ' * 900}\n"),
    file("a/c-1.dist-info/METADATA", ""),
    file("a/d-1.dist-info/METADATA", b"\xff\xfe\x00N"),
    file("n/node_modules/x/package.json", '{"name": "x", "version": "1", "license": "SEE LICENSE IN LICENSE.md"}'),
    file("n/node_modules/y/package.json", '{"name": "y", "vers'),
    file("n/node_modules/z/package.json", "[" * 100_000),
    file("n/node_modules/w/package.json", '{"name": 7, "version": []}'),
    file("bad\udcff/node_modules/v/package.json", '{"name": "v", "version": "1", "license": "(MIT OR"}'),
]


def test_both_documents_are_valid_even_where_metadata_is_not(store: Store) -> None:
    bill = bill_of(store, HOSTILE)
    assert names(bill) == ["latin\ufffd 1", "odd 1 2/\t%", "ok 1", "v 1", "x 1", "b 1"]
    assert spdx_problems(bill.to_spdx()) == []
    assert cyclonedx_problems(bill.to_cyclonedx()) == []


@pytest.mark.parametrize(
    ("read", "raw", "notes"),
    [
        (dpkg.read, b"Package: a\nStatus: install ok installed\nVersion: 1\nDescription: ab", 1),
        (dpkg.read, b"Package: a\nStatus: install ok installed\nVersion: 1\n", 0),
        (dpkg.read, b"Package: a\nVersion: 1", 0),
        (apk.read, b"P:a\nV:1\nL:MI", 1),
        (apk.read, b"P:a\nV:1\n\n", 0),
    ],
)
def test_a_database_that_ends_within_a_line_is_a_note(
    read: Callable[[bytes], InventoryFile], raw: bytes, notes: int
) -> None:
    found = read(raw)
    assert [one.name for one in found.components] == ["a"]
    assert found.notes == ("its last line has no end; the file may be cut off",) * notes


def test_what_cannot_be_read_is_a_note_with_the_reason(store: Store) -> None:
    bill = bill_of(store, HOSTILE)
    assert [note.partition(": ")[0] for note in bill.notes] == [
        "/a/d-1.dist-info/METADATA",
        "/a/d-1.dist-info/METADATA",
        "/lib/apk/db/installed",
        "/lib/apk/db/installed",
        "/n/node_modules/y/package.json",
        "/n/node_modules/z/package.json",
        "/var/lib/dpkg/status",
    ]
    assert "/var/lib/dpkg/status: the package cut has no Version; the file may be cut off" in bill.notes
    assert "/lib/apk/db/installed: it is not UTF-8 at byte 7; such bytes are shown as U+FFFD" in bill.notes
    assert "the package cut has no Version" in json.loads(bill.to_spdx())["creationInfo"]["comment"]
    properties = json.loads(bill.to_cyclonedx())["metadata"]["properties"]
    assert [one["value"] for one in properties if one["name"] == "polyarch:note"] == list(bill.notes)


def test_a_huge_file_is_not_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    readers = [reader._replace(limit=100) for reader in inventories._READERS]
    monkeypatch.setattr(inventories, "_READERS", tuple(readers))
    bill = bill_of(store, [status(paragraph("bash", "1"), paragraph("dash", "1"))])
    assert bill.packages == ()
    assert bill.notes == ("/var/lib/dpkg/status: it has 150 bytes, more than the 100 that are read",)


def test_equal_images_give_equal_bytes_and_the_time_of_the_image_or_of_the_request(store: Store) -> None:
    one, two = (bill_of(store, HOSTILE) for _ in range(2))
    assert one.to_spdx() == two.to_spdx()
    assert one.to_cyclonedx() == two.to_cyclonedx()
    dated = bill_of(store, HOSTILE, epoch=1_700_000_000)
    assert json.loads(dated.to_spdx())["creationInfo"]["created"] == "2023-11-14T22:13:20Z"
    assert json.loads(dated.to_cyclonedx())["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"
    assert str(dated.digest) in json.loads(dated.to_spdx())["documentNamespace"]


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("MIT", "MIT"),
        ("mit or apache-2.0", "MIT OR Apache-2.0"),
        ("(MIT AND (BSD-3-Clause OR ISC))", "(MIT AND (BSD-3-Clause OR ISC))"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("Apache-2.0+", "Apache-2.0+"),
        ("UNKNOWN", "NOASSERTION"),
        ("", "NOASSERTION"),
        ("BSD", "LicenseRef-BSD"),
        ("MIT WITH luck", "LicenseRef-MIT-WITH-luck-3a02bc3e586c"),
        ("MIT OR", "LicenseRef-MIT-OR-"),
        ("(" * 400 + "MIT" + ")" * 400, "LicenseRef-"),
        ("MIT\nPermission is hereby granted", "LicenseRef-MIT-Permission-"),
    ],
)
def test_a_license_is_an_expression_only_if_it_is_valid(text: str, expression: str) -> None:
    found = declared([text]).expression
    assert found.startswith(expression) if expression.endswith("-") else found == expression
    assert bool(declared([text]).references) == found.startswith("LicenseRef")


LOCK = b'{"packages": {"node_modules/a": {"version": "1"}}, "name": "a"}'
NAMES = st.text(min_size=1, max_size=20)


@settings(max_examples=40)
@given(NAMES, NAMES, st.text(max_size=10), st.sampled_from(["deb", "apk", "pypi"]))
def test_a_purl_reads_back_as_what_it_names(name: str, version: str, source: str, ecosystem: str) -> None:
    name, version, source = (
        text.encode("utf-8", "replace").decode().strip().strip("/").lower() for text in (name, version, source)
    )
    if not name or not version:
        return
    component = Component(ecosystem, name, version, source=source)
    read = PackageURL.from_string(purl(component, Distribution("debian", "12")))
    assert read.version == version
    if ecosystem != "pypi" and "/" not in name:
        assert read.name == name
        expected = {"distro": "debian-12"} | ({"upstream": source} if source not in ("", name) else {})
        assert read.qualifiers == expected


@pytest.mark.parametrize(
    "read", [dpkg.read, dpkg.read_copyright, apk.read, python.read, npm.read_package, npm.read_lock]
)
@settings(max_examples=50)
@given(
    raw=st.binary(max_size=200)
    | st.text(alphabet='{}[]":,PVa1\n dev\r:', max_size=200).map(str.encode)
    | st.builds(lambda size: LOCK[:size], st.integers(0, 70))
)
def test_no_bytes_make_a_reader_fail(read: Callable[[bytes], InventoryFile], raw: bytes) -> None:
    found = read(raw)
    assert all(component.name and component.version for component in found.components)
