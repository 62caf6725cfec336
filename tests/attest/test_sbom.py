"""Which packages an image has, layer by layer, and that each layer is read once."""

import msgspec
import pytest

from polyarch.attest.sbom import bills
from polyarch.images.compare.views import members
from polyarch.oci import manifest as manifests
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.place import BlobReader
from polyarch.store import Store
from tests.attest.billing import OS_RELEASE, bill_at, bill_of, names, paragraph, purls, status
from tests.images.layered import entry, file, image, index, link

MUSL = "P:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\no:musl\nm:Timo <t@example.org>\nF:lib\nR:ld.so\na:0:0:755\n\n"
WHEEL = "Metadata-Version: 2.1\nName: Typing_Extensions\nVersion: 4.1\nLicense: MIT\n\nP: not a field\n"


class CountedSource:
    """A source that counts the blobs that are opened."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.opened: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        self.opened.append(descriptor.digest)
        return self.store.open_blob(descriptor)


def test_a_debian_package_has_the_purl_that_other_tools_give_it(store: Store) -> None:
    found = bill_of(
        store,
        [
            OS_RELEASE,
            status(
                paragraph("bash", "5.2.15-2+b13", Source="bash (5.2.15-2)"),
                paragraph("bsdutils", "1:2.38.1-5+deb12u3", Source="util-linux (2.38.1-5+deb12u3)"),
                paragraph("debianutils", "5.7-0.5~deb12u1"),
                paragraph("libstdc++6", "12.2.0-14", Source="gcc-12"),
                paragraph("gone", "1", Status="deinstall ok config-files"),
            ),
            file("var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 2024a\nArchitecture: all\n"),
            file("var/lib/dpkg/status.d/tzdata.md5sums", "0 usr/share\n"),
        ],
    )
    assert purls(found) == [
        "pkg:deb/debian/bash@5.2.15-2%2Bb13?arch=amd64&distro=debian-12&upstream=bash%405.2.15-2",
        "pkg:deb/debian/bsdutils@1:2.38.1-5%2Bdeb12u3?arch=amd64&distro=debian-12&upstream=util-linux%402.38.1-5%2Bdeb12u3",
        "pkg:deb/debian/debianutils@5.7-0.5~deb12u1?arch=amd64&distro=debian-12",
        "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=amd64&distro=debian-12&upstream=gcc-12",
        "pkg:deb/debian/tzdata@2024a?arch=all&distro=debian-12",
    ]


def test_packages_of_apk_python_and_npm_are_found(store: Store) -> None:
    found = bill_of(
        store,
        [
            file("usr/lib/os-release", "ID=alpine\nVERSION_ID=3.20.1\n"),
            link("etc/os-release", "../usr/lib/os-release"),
            file("lib/apk/db/installed", MUSL + "P:libstdc++\nV:13-r0\nA:x86_64\nL:custom\no:gcc\n\n"),
            file("usr/lib/python3/site-packages/typing_extensions-4.1.dist-info/METADATA", WHEEL),
            file("usr/lib/python3/old.egg-info", "Name: old\nVersion: 1.0+x\n"),
            file("usr/lib/python3/zip-2.egg/EGG-INFO/PKG-INFO", "Name: zip\nVersion: 2\n"),
            file("usr/lib/python2.7/lib-dynload/Python-2.7.egg-info", "Name: Python\nVersion: 2.7.18\n"),
            file("app/package.json", '{"name": "app", "version": "1.0.0", "license": {"type": "ISC"}}'),
            file("app/node_modules/@a/b/package.json", '{"name": "@a/b", "version": "2.0.0-rc.1", "license": "MIT"}'),
            file("app/node_modules/c/package.json", '\ufeff{"name": "c", "version": "3.0.0"}'),
            file("app/node_modules/c/test/package.json", '{"name": "fixture", "version": "0"}'),
            file("app/node_modules/c/esm/package.json", '{"type": "module"}'),
            file("app/package-lock.json", '{"packages": {"node_modules/never": {"version": "1.0.0"}}}'),
        ],
    )
    assert purls(found) == [
        "pkg:apk/alpine/libstdc%2B%2B@13-r0?arch=x86_64&distro=alpine-3.20.1&upstream=gcc",
        "pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64&distro=alpine-3.20.1",
        "pkg:npm/%40a/b@2.0.0-rc.1",
        "pkg:npm/app@1.0.0",
        "pkg:npm/c@3.0.0",
        "pkg:pypi/old@1.0%2Bx",
        "pkg:pypi/typing-extensions@4.1",
        "pkg:pypi/zip@2",
    ]
    assert [package.license for package in found.packages] == [
        "LicenseRef-custom",
        "MIT",
        "MIT",
        "ISC",
        "NOASSERTION",
        "NOASSERTION",
        "MIT",
        "NOASSERTION",
    ]
    assert found.licenses == {"LicenseRef-custom": "custom"}


LOCK = """{"packages": {
  "": {"version": "9"}, "node_modules/a": {"version": "1.0.0"},
  "node_modules/a/node_modules/@s/b": {"version": "2.0.0"}, "node_modules/d": {"version": "1", "dev": true}
}}"""
OLD_LOCK = """{"dependencies": {
  "a": {"version": "1.0.0", "dependencies": {"@s/b": {"version": "2.0.0"}}}, "d": {"version": "1", "dev": true}
}}"""


@pytest.mark.parametrize("lock", [LOCK, OLD_LOCK])
def test_a_lock_file_counts_where_nothing_is_installed(store: Store, lock: str) -> None:
    assert purls(bill_of(store, [file("app/package-lock.json", lock)])) == ["pkg:npm/%40s/b@2.0.0", "pkg:npm/a@1.0.0"]


def test_what_a_later_layer_removes_is_not_listed(store: Store) -> None:
    found = bill_of(
        store,
        [
            status(paragraph("kept", "1"), paragraph("removed", "1")),
            file("lib/python/gone-1.dist-info/METADATA", "Name: gone\nVersion: 1\n"),
            file("app/node_modules/hidden/package.json", '{"name": "hidden", "version": "1.0.0"}'),
        ],
        [
            status(paragraph("kept", "1")),
            file("lib/python/.wh.gone-1.dist-info"),
            file("app/.wh..wh..opq"),
        ],
    )
    assert names(found) == ["kept 1"]


def test_each_package_names_the_layer_that_added_it(store: Store) -> None:
    old, new = paragraph("old", "1"), paragraph("new", "1")
    descriptor = image(
        store,
        "linux/amd64",
        [status(old, paragraph("upgraded", "1"))],
        [file("else", "1")],
        [status(old, new, paragraph("upgraded", "2"))],
        [status(old, new, paragraph("upgraded", "2"), paragraph("last", "1"))],
    )
    (member,) = members(store, descriptor)
    diff_ids = member.config.diff_ids
    found = {package.name: diff_ids.index(package.layer) for package in bill_at(store, descriptor).packages}
    assert found == {"old": 0, "new": 2, "upgraded": 2, "last": 3}


def test_a_package_at_two_paths_is_one_package(store: Store) -> None:
    package = '{"name": "a", "version": "1.0.0"}'
    found = bill_of(store, [file(f"{app}/node_modules/a/package.json", package) for app in ("x", "y")])
    assert [package.paths for package in found.packages] == [
        ("/x/node_modules/a/package.json", "/y/node_modules/a/package.json")
    ]


def test_the_license_of_a_debian_package_is_in_its_copyright_file(store: Store) -> None:
    machine = (
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"
        "Files: *\nCopyright: 1\nLicense: GPL-2+\n full text\n\nFiles: a\nLicense: Expat or Artistic\n\n"
        "Files: b\nLicense: public-domain\n\nLicense: BSD-3-clause\n text of a license that no file has here\n"
    )
    found = bill_of(
        store,
        [
            status(paragraph("one", "1"), paragraph("linked", "1"), paragraph("prose", "1"), paragraph("none", "1")),
            file("usr/share/doc/one/copyright", machine),
            link("usr/share/doc/linked", "one"),
            file("usr/share/doc/prose/copyright", "This is free.\n\nFiles: *\nLicense: MIT\n"),
        ],
    )
    mixed = "(MIT OR Artistic-1.0) AND GPL-2.0-or-later AND LicenseRef-public-domain"
    assert {package.name: package.license for package in found.packages} == {
        "one": mixed,
        "linked": mixed,
        "prose": "NOASSERTION",
        "none": "NOASSERTION",
    }


def test_a_base_is_read_once_for_all_images_on_it(store: Store) -> None:
    base = [OS_RELEASE, status(paragraph("bash", "1"))]
    source = CountedSource(store)
    for number in (1, 2):
        descriptor = image(store, "linux/amd64", base, [file(f"app/{number}", str(number))])
        bills(source, "app", members(source, descriptor), store)  # type: ignore[arg-type]
    assert len(source.opened) == len(set(source.opened))


def test_every_platform_has_a_bill_of_its_own(store: Store) -> None:
    made = [
        entry(image(store, platform, [status(paragraph("bash", "1", Architecture=debian))]), platform)
        for platform, debian in (("linux/amd64", "amd64"), ("linux/arm64", "arm64"))
    ]
    root = index(store, "docker.io/library/app:1", *made)
    found = bills(store, "app", members(store, root), store)
    assert [(str(bill.platform), *purls(bill)) for bill in found] == [
        ("linux/amd64", "pkg:deb/debian/bash@1?arch=amd64"),
        ("linux/arm64", "pkg:deb/debian/bash@1?arch=arm64"),
    ]


def test_a_layer_that_is_not_the_one_of_its_diff_id_says_nothing_about_that_layer(store: Store) -> None:
    real = members(store, image(store, "linux/amd64", [status(paragraph("bash", "1"))]))
    other = members(store, image(store, "linux/amd64", [status(paragraph("evil", "1"))]))
    lying = msgspec.structs.replace(other[0], config=real[0].config)
    assert names(bills(store, "lying", [lying], store)[0]) == ["evil 1"]
    assert names(bills(store, "real", real, store)[0]) == ["bash 1"]
    # Both are remembered.
    assert names(bills(store, "lying", [lying], store)[0]) == ["evil 1"]


def test_two_blobs_under_one_diff_id_are_both_read(store: Store) -> None:
    one = members(store, image(store, "linux/amd64", [status(paragraph("bash", "1"))]))[0]
    two = members(store, image(store, "linux/amd64", [file("lib/apk/db/installed", MUSL)]))[0]
    manifest = manifests.create(one.manifest.config, [*one.manifest.layers, *two.manifest.layers])
    config = one.config.with_layers(one.config.diff_ids * 2, ())
    lying = msgspec.structs.replace(one, config=config, manifest=manifest)
    assert sorted(names(bills(store, "app", [lying], store)[0])) == ["bash 1", "musl 1.2.5-r0"]
