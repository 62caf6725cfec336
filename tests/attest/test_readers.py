"""What the readers of programs, archives and gems find, and that hostile files give a note with the reason."""

import io
import itertools
import shutil
import struct
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyarch.contents.inventory import executables, golang, inventory, java, java_names, ruby
from polyarch.contents.inventory.component import InventoryFile
from polyarch.contents.inventory.scattered import Scattered
from polyarch.layers.listing import ListedEntry
from polyarch.store import Store
from tests.attest import making
from tests.attest.billing import OS_RELEASE, bill_of, cyclonedx_problems, purls, spdx_problems
from tests.images.layered import file, program
from tests.needs import need

RPM_FILES = ("Packages", "Packages.db", "rpmdb.sqlite", "rpmdb.sqlite-wal")
MODULES = """path\tgithub.com/acme/app/cmd/app
mod\tgithub.com/acme/app\t(devel)\t
dep\tgithub.com/BurntSushi/toml\tv1.4.0\th1:aaa=
dep\tgithub.com/old/name\tv1.0.0
=>\tgithub.com/new/name\tv1.1.0\th1:bbb=
dep\texample.org/local\tv0.0.0
=>\t../local\t(devel)
build\t-ldflags="-s -w -X github.com/acme/app/internal.Version=2.3.4"
build\tvcs.revision=0123456789abcdef0123456789abcdef01234567
build\tvcs.time=2024-05-06T07:08:09Z
"""


def read_program(raw: bytes) -> InventoryFile:
    return executables.read(io.BytesIO(raw))


def found(file_: InventoryFile) -> list[str]:
    assert file_.notes == ()
    return [f"{one.group}:{one.name} {one.version}".lstrip(":") for one in file_.components]


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("little", [True, False])
def test_a_program_of_go_says_its_modules_and_the_version_of_go(wide: bool, little: bool) -> None:
    raw = making.elf(wide=wide, little=little, go_buildinfo=making.go_info("go1.22.1 X:boringcrypto", MODULES))
    expected = [
        "github.com/acme/app v2.3.4",
        "github.com/BurntSushi/toml v1.4.0",
        "github.com/new/name v1.1.0",
        "example.org/local ",
        "stdlib go1.22.1",
    ]
    assert found(read_program(raw)) == expected
    old = making.old_go_info("go1.17", MODULES, wide=wide, little=little, at=128 if wide else 96)
    assert found(read_program(making.elf(wide=wide, little=little, data=old))) == [*expected[:-1], "stdlib go1.17"]


def test_a_stripped_program_of_go_has_its_modules_in_the_first_writable_segment() -> None:
    info = making.go_info("go1.21", "path\tcommand-line-arguments\ndep\texample.org/a\t(devel)\t\n")
    # Go itself contains the mark as a text that is not aligned.
    raw = making.elf(data=b"some data \xff Go buildinf:".ljust(48, b"\0") + info)
    assert found(read_program(raw)) == ["example.org/a ", "stdlib go1.21"]


def test_a_version_of_a_main_module_comes_from_its_commit_if_it_has_no_other() -> None:
    lines = [line for line in MODULES.splitlines() if "ldflags" not in line]
    raw = making.elf(go_buildinfo=making.go_info("devel +abc", "\n".join((*lines, ""))))
    assert found(read_program(raw))[0] == "github.com/acme/app v0.0.0-20240506070809-0123456789ab"
    assert "stdlib" not in str(found(read_program(raw)))


def test_the_programs_of_go_on_this_machine_are_read() -> None:
    need("skopeo")
    path = shutil.which("skopeo")
    assert path is not None
    with open(path, "rb") as opened:
        names = [one.partition(" ")[0] for one in found(executables.read(opened))]
    assert "stdlib" in names
    assert any("skopeo" in name for name in names)


def test_a_program_of_rust_says_the_crates_that_are_linked_into_it() -> None:
    section = making.crates(
        {"name": "app", "version": "0.1.0", "source": "local", "root": True, "dependencies": [1]},
        {"name": "serde", "version": "1.0.203", "source": "registry"},
        {"name": "cc", "version": "1.0.0", "source": "registry", "kind": "build"},
    )
    raw = making.elf(**{"dep-v0": section})
    assert found(read_program(raw)) == ["app 0.1.0", "serde 1.0.203"]


@pytest.mark.parametrize(
    ("section", "note"),
    [
        (b"", "is cut off"),
        (zlib.compress(b"{}" * 100)[:-4], "is cut off"),
        (zlib.compress(b"[1]"), "cannot be read"),
        (zlib.compress(b" " * (9 << 20) + b"{}"), "has more than 8388608 bytes"),
        (b"not compressed", "cannot be read"),
        (zlib.compress(b"[" * 100_000), "cannot be read"),
    ],
)
def test_a_damaged_section_of_rust_is_a_note(section: bytes, note: str) -> None:
    (found_note,) = read_program(making.elf(**{"dep-v0": section})).notes
    assert note in found_note


@pytest.mark.parametrize(
    "raw",
    [
        making.go_info("go1.22.1", MODULES)[:60],
        making.go_info("go1.22.1", MODULES)[:32] + b"\xff" * 40,
        making.go_info("1.22.1", MODULES),
    ],
)
def test_damaged_build_information_of_go_is_a_note(raw: bytes) -> None:
    assert len(read_program(making.elf(go_buildinfo=raw)).notes) == 1


def test_a_pointer_out_of_the_program_is_a_note() -> None:
    info = bytearray(making.old_go_info("go1.17", MODULES))
    struct.pack_into("<Q", info, 16, 1 << 63)
    assert read_program(making.elf(data=bytes(info))).notes == ("its Go build information is cut off",)


PROGRAM = making.elf(go_buildinfo=making.go_info("go1.22.1", MODULES), **{"dep-v0x": b""})


@settings(max_examples=150)
@given(
    st.integers(0, len(PROGRAM)), st.lists(st.tuples(st.integers(0, len(PROGRAM) - 1), st.integers(0, 255)), max_size=6)
)
def test_no_damage_to_a_program_makes_its_reader_fail(size: int, changes: list[tuple[int, int]]) -> None:
    raw = bytearray(PROGRAM)
    for at, byte in changes:
        raw[at] = byte
    read_program(bytes(raw))
    read_program(bytes(raw[:size]))


@settings(max_examples=50)
@given(st.text(max_size=20), st.text(alphabet="moddep=>buildpath\t\n .1v", max_size=200))
def test_no_build_information_of_go_makes_its_reader_fail(go: str, modules: str) -> None:
    read_program(making.elf(go_buildinfo=making.go_info(go, modules)))
    golang.parse(go, modules)


LIBRARY = making.jar({"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\r\n"} | making.pom("org.acme", "lib", "1.2"))


def read_jar(raw: bytes, name: str = "opt/app-3.1.jar") -> InventoryFile:
    return java.read(name, io.BytesIO(raw))


def test_a_jar_is_what_its_pom_says_and_a_shaded_jar_is_several() -> None:
    assert found(read_jar(LIBRARY, "usr/share/lib-9.jar")) == ["org.acme:lib 1.2"]
    shaded = (
        {"META-INF/MANIFEST.MF": ""} | making.pom("org.acme", "app", "3.1") | making.pom("io.netty", "netty", "4.1")
    )
    assert found(read_jar(making.jar(shaded))) == ["org.acme:app 3.1", "io.netty:netty 4.1"]


def test_a_jar_without_a_pom_is_named_by_its_file_and_its_manifest() -> None:
    manifest = (
        "Manifest-Version: 1.0\r\nBundle-SymbolicName: org.acme.util;singleton:=t\r\n rue\r\n"
        "Implementation-Version: 7\r\nBundle-License: MIT\r\n\r\nName: org/acme/\r\nSpecification-Version: 8\r\n"
    )
    raw = making.jar({"META-INF/MANIFEST.MF": manifest})
    (component,) = read_jar(raw, "lib/util-2.0-SNAPSHOT.jar").components
    assert (component.group, component.name, component.version) == ("org.acme.util", "util", "2.0-SNAPSHOT")
    assert component.licenses == ("MIT",)
    assert found(read_jar(raw, "lib/com.acme.util.jar")) == ["org.acme.util:util 7"]
    assert found(read_jar(making.jar({"a.class": b""}))) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("spring-core-5.3.1.jar", ("spring-core", "5.3.1")),
        ("my-http2-server-5.war", ("my-http2-server", "5")),
        ("jetpack-build235-rc5.jar", ("jetpack", "build235-rc5")),
        ("lib_1.2.jar", ("lib", "1.2")),
        ("jrt-fs.jar", ("jrt-fs", "")),
        ("1.jar", ("", "")),
        (".jar", ("", "")),
    ],
)
def test_names_of_files_have_versions(name: str, expected: tuple[str, str]) -> None:
    assert java_names.of_file(name) == expected


def test_jars_inside_a_war_or_a_fat_jar_are_read_to_a_limit() -> None:
    raw = making.jar(
        {"META-INF/MANIFEST.MF": "", "BOOT-INF/lib/lib-1.2.jar": LIBRARY, "BOOT-INF/lib/cut.jar": LIBRARY[:-30]}
    )
    result = read_jar(raw)
    assert [one.name for one in result.components] == ["app", "lib"]
    assert result.notes == ("cut.jar in it: it is not a zip file, or it is cut off",)
    for _ in range(8):
        raw = making.jar({"inner-1.jar": raw})
    assert read_jar(raw).notes == ("inner-1.jar in it: 1 archives in it are not read: they are too deep or too large",)


def test_a_jar_that_would_inflate_to_very_much_is_not_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "_LARGEST_CONTENTS", 100_000)
    raw = making.jar({"a.jar": LIBRARY, "b.jar": bytes(1_000_000), "c.jar": LIBRARY})
    result = read_jar(raw)
    assert found(InventoryFile(result.components)) == ["a:a ", "org.acme:lib 1.2"]
    assert result.notes == ("2 archives in it are not read: they are too deep or too large",)
    monkeypatch.setattr(java, "_LARGEST_DIRECTORY", 100)
    assert "its directory has" in read_jar(raw).notes[0]


def test_a_jar_with_a_manifest_that_lies_about_its_size_or_method_is_a_note() -> None:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
    assert "which jars do not use" in read_jar(output.getvalue()).notes[0]
    huge = making.jar({"META-INF/MANIFEST.MF": bytes(2 << 20)})
    assert "has 2097152 bytes" in read_jar(huge).notes[0]
    assert read_jar(b"RAR", "x.rar").notes == ()


@settings(max_examples=100)
@given(
    st.integers(0, len(LIBRARY)), st.lists(st.tuples(st.integers(0, len(LIBRARY) - 1), st.integers(0, 255)), max_size=6)
)
def test_no_damage_to_a_jar_makes_its_reader_fail(size: int, changes: list[tuple[int, int]]) -> None:
    raw = bytearray(LIBRARY)
    for at, byte in changes:
        raw[at] = byte
    read_jar(bytes(raw))
    read_jar(bytes(raw[:size]))


@settings(max_examples=50)
@given(st.text(max_size=80), st.text(alphabet="Name: =x\r\n.#!;", max_size=200))
def test_no_manifest_and_no_name_makes_their_readers_fail(name: str, text: str) -> None:
    manifest = java_names.parse_manifest(text)
    java_names.parse_properties(text)
    java_names.artifact(manifest, java_names.of_file(name)[0])
    java_names.group(manifest)


GEM = """# -*- encoding: utf-8 -*-
Gem::Specification.new do |s|
  s.name = "rack".freeze
  s.version = "2.2.8"
  s.authors = ["Leah Neukirchen".freeze, "Andr\\u00E9 Arko".freeze]
  s.homepage = 'https://github.com/rack/#{s.name}'
  s.licenses = ["MIT".freeze, "Ruby"]
  s.description = "s.name = not this"
end
"""


def test_a_gem_is_what_its_specification_says() -> None:
    (gem,) = ruby.read(GEM.encode()).components
    assert (gem.name, gem.version, gem.licenses) == ("rack", "2.2.8", ("MIT", "Ruby"))
    assert gem.supplier == "Leah Neukirchen, André Arko"
    assert gem.homepage == ""


@pytest.mark.parametrize("raw", [b"", b"\xff\xfe", GEM.replace('"2.2.8"', "Rack::VERSION").encode(), GEM[:70].encode()])
def test_a_gem_whose_version_would_have_to_be_computed_is_a_note(raw: bytes) -> None:
    assert any("without running it" in note for note in ruby.read(raw).notes)


@settings(max_examples=50)
@given(st.text(alphabet="s.name= \"'\\u{d800}version[],\n#licenses", max_size=200))
def test_no_specification_of_a_gem_makes_its_reader_fail(text: str) -> None:
    ruby.read(text.encode())


def test_an_image_with_all_of_them_has_valid_documents(store: Store) -> None:
    go = making.elf(go_buildinfo=making.go_info("go1.22.1", MODULES))
    bill = bill_of(
        store,
        [
            OS_RELEASE,
            program("usr/bin/go-program", go),
            program(
                "usr/bin/rust-program", making.elf(**{"dep-v0": making.crates({"name": "serde", "version": "1.0.1"})})
            ),
            program("usr/bin/script", "#!/bin/sh\n"),
            file("usr/lib/libplain.so.1", making.elf()),
            file("opt/app.war", making.jar({"META-INF/MANIFEST.MF": "", "WEB-INF/lib/lib-1.2.jar": LIBRARY})),
            file("var/lib/gems/3.1.0/specifications/rack-2.2.8.gemspec", GEM),
            file("var/lib/rpm/rpmdb.sqlite", making.sqlite_database([making.rpm_header(name="bash", version="5")])),
            file("srv/not-executable", go),
        ],
    )
    assert purls(bill) == [
        "pkg:cargo/serde@1.0.1",
        "pkg:gem/rack@2.2.8",
        "pkg:golang/example.org/local",
        "pkg:golang/github.com/BurntSushi/toml@v1.4.0",
        "pkg:golang/github.com/acme/app@v2.3.4",
        "pkg:golang/github.com/new/name@v1.1.0",
        "pkg:golang/stdlib@1.22.1",
        "pkg:maven/app/app",
        "pkg:maven/org.acme/lib@1.2",
        "pkg:rpm/debian/bash@5?distro=debian-12",
    ]
    assert bill.packages[6].license == "BSD-3-Clause"
    assert spdx_problems(bill.to_spdx()) == []
    assert cyclonedx_problems(bill.to_cyclonedx()) == []


def test_a_large_file_is_on_disk_while_it_is_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from polyarch.contents.inventory import inventory

    monkeypatch.setattr(inventory, "_IN_MEMORY", 100)
    assert purls(bill_of(store, [file("lib.jar", LIBRARY)])) == ["pkg:maven/org.acme/lib@1.2"]
    monkeypatch.setattr(inventory, "_LARGE", 100)
    bill = bill_of(store, [file("other.jar", LIBRARY), program("bin/x", PROGRAM)])
    assert [note.partition(": ")[0] for note in bill.notes] == ["/bin/x", "/other.jar"]


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6), st.integers(0, 250), st.integers(0, 250))
def test_scattered_pieces_are_read_as_one_file(raw: bytes, cuts: list[int], offset: int, size: int) -> None:
    ends = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    pieces = [memoryview(raw)[start:end] for start, end in itertools.pairwise(ends)]
    for scattered in (Scattered(pieces), Scattered([b"", *map(bytes, pieces), b""])):
        scattered.seek(offset)
        assert scattered.read(size) == raw[offset : offset + size]
        assert scattered.read(size) == raw[offset + size : offset + 2 * size]


@pytest.mark.parametrize(
    "path",
    [
        "var/lib/dpkg/status",
        "var/lib/dpkg/status.d/base-files",
        "usr/share/doc/bash/copyright",
        "lib/apk/db/installed",
        "usr/lib/apk/db/installed",
        *(f"{path}/{name}" for path in ("var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm") for name in RPM_FILES),
        "var/lib/rpmmanifest/container-manifest-2",
        "usr/lib/python3/dist-packages/x-1.dist-info/METADATA",
        "usr/lib/python3/dist-packages/x-1.egg-info",
        "usr/lib/python3/dist-packages/x-1.egg-info/PKG-INFO",
        "package.json",
        "package-lock.json",
        "app/node_modules/x/package.json",
        "usr/share/gems/specifications/x-1.gemspec",
        "app.jar",
        "opt/app.war",
    ],
)
def test_every_file_of_a_package_manager_is_read_wherever_it_may_be(path: str) -> None:
    assert inventory.is_read(ListedEntry(path=path, kind="file", mode=0o644, size=10))
