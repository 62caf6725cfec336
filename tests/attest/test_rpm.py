"""rpm's database in its three formats: as rpm writes it, and damaged."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyarch.contents.inventory import rpm, rpm_databases
from polyarch.store import Store
from tests.attest import making
from tests.attest.billing import bill_of, purls
from tests.images.layered import file
from tests.needs import need
from tests.program import run

Made = Callable[[Sequence[bytes]], bytes]

FORMATS: dict[str, Made] = {
    "sqlite": making.sqlite_database,
    "ndb": making.ndb_database,
    "hash": making.hash_database,
    "hash of the other byte order": lambda headers: making.hash_database(headers, order=">"),
}
BASH = making.rpm_header(
    name="bash",
    version="5.1.8",
    release="6.el9",
    license="GPLv3+",
    vendor="Rocky",
    url="https://www.gnu.org/software/bash",
    arch="x86_64",
    sourcerpm="bash-5.1.8-6.el9.src.rpm",
)
SHADOW = making.rpm_header(name="shadow-utils", version="4.9", release="8.el9", epoch=2, arch="x86_64", license="BSD")
KEY = making.rpm_header(name="gpg-pubkey", version="1234", release="5678")
FEDORA = file("etc/os-release", "ID=rhel\nVERSION_ID=9.4\n")


@pytest.mark.parametrize("made", FORMATS.values(), ids=FORMATS)
def test_the_packages_of_each_format_are_found(store: Store, made: Made) -> None:
    bill = bill_of(store, [FEDORA, file("var/lib/rpm/Packages", made([BASH, SHADOW, KEY]))])
    assert bill.notes == ()
    assert purls(bill) == [
        "pkg:rpm/redhat/bash@5.1.8-6.el9?arch=x86_64&distro=rhel-9.4&upstream=bash-5.1.8-6.el9.src.rpm",
        "pkg:rpm/redhat/gpg-pubkey@1234-5678?distro=rhel-9.4",
        "pkg:rpm/redhat/shadow-utils@4.9-8.el9?arch=x86_64&distro=rhel-9.4&epoch=2",
    ]
    assert [package.version for package in bill.packages] == ["5.1.8-6.el9", "1234-5678", "2:4.9-8.el9"]
    assert bill.licenses == {"LicenseRef-GPLv3-b9220b055438": "GPLv3+", "LicenseRef-BSD": "BSD"}


def test_a_database_that_rpm_wrote_is_read(tmp_path: Path) -> None:
    need("rpmbuild")
    for name, version, release, epoch, license_ in (
        ("alpha", "1.0", "2", "", "MIT"),
        ("beta", "2~rc1", "1", "Epoch: 7\n", "GPLv2+ and BSD"),
    ):
        (tmp_path / f"{name}.spec").write_text(
            f"Name: {name}\nVersion: {version}\nRelease: {release}\n{epoch}License: {license_}\nSummary: x\n"
            "BuildArch: noarch\n%description\nx\n%files\n"
        )
    # Debian's rpm has no other format than SQLite's.
    database = ("--dbpath", tmp_path / "database")
    define = ("--define", f"_topdir {tmp_path}", "--define", "_db_backend sqlite", *database)
    # rpm makes a database in the home directory, too.
    env = {**os.environ, "HOME": str(tmp_path)}
    run(["rpmbuild", "-bb", "--quiet", *define, *sorted(tmp_path.glob("*.spec"))], env=env)
    packages = sorted(tmp_path.glob("RPMS/noarch/*.rpm"))
    install = ("--justdb", "--nodeps", "--nosignature", "-i")
    run(["rpm", *define, *install, *packages], env=env)
    found = rpm.read((tmp_path / "database/rpmdb.sqlite").read_bytes())
    assert found.notes == ()
    assert sorted((one.name, one.version, one.architecture, one.source, one.licenses) for one in found.components) == [
        ("alpha", "1.0-2", "noarch", "alpha-1.0-2.src.rpm", ("MIT",)),
        ("beta", "7:2~rc1-1", "noarch", "beta-2~rc1-1.src.rpm", ("GPLv2+ and BSD",)),
    ]


def test_a_hash_that_berkeley_db_wrote_is_read(tmp_path: Path) -> None:
    need("db5.3_load")
    headers = [making.rpm_header(name=f"package{number}", version="1", url="x" * 3000) for number in range(50)]
    records = {bytes(4): b"\2\0\0\0"} | {number.to_bytes(4, "little"): raw for number, raw in enumerate(headers, 1)}
    lines = [f" {data.hex()}" for record in records.items() for data in record]
    text = "\n".join(("VERSION=3", "format=bytevalue", "type=hash", "HEADER=END", *lines, "DATA=END", ""))
    run(["db5.3_load", tmp_path / "Packages"], stdin=text)
    found = rpm.read((tmp_path / "Packages").read_bytes())
    assert found.notes == ()
    assert sorted(one.name for one in found.components) == sorted(f"package{number}" for number in range(50))


def test_the_list_of_an_image_without_a_database_is_read(store: Store) -> None:
    lines = (
        "bash\t5.1.8-4.cm2\t1\t1\tMicrosoft Corporation\t(none)\t9\tx86_64\t0\tbash-5.1.8-4.cm2.src.rpm",
        "shadow\t4.9-13.cm2\t1\t1\tMicrosoft Corporation\t2\t9\tx86_64\t2\t(none)",
        "cut\t1-1",
    )
    system = file("etc/os-release", "ID=mariner\nVERSION_ID=2.0\n")
    bill = bill_of(store, [system, file("var/lib/rpmmanifest/container-manifest-2", "\n".join(lines))])
    assert purls(bill) == [
        "pkg:rpm/mariner/bash@5.1.8-4.cm2?arch=x86_64&distro=mariner-2.0&upstream=bash-5.1.8-4.cm2.src.rpm",
        "pkg:rpm/mariner/shadow@4.9-13.cm2?arch=x86_64&distro=mariner-2.0&epoch=2",
    ]
    assert [package.version for package in bill.packages] == ["5.1.8-4.cm2", "2:4.9-13.cm2"]
    assert bill.notes == ("/var/lib/rpmmanifest/container-manifest-2: line 3 has 2 columns; the file may be cut off",)


def test_an_unfinished_log_is_a_note_and_an_empty_one_is_not(store: Store) -> None:
    database = file("usr/lib/sysimage/rpm/rpmdb.sqlite", making.sqlite_database([BASH], wal=False))
    for log, notes in ((b"", 0), (b"changes", 1)):
        bill = bill_of(store, [database, file("usr/lib/sysimage/rpm/rpmdb.sqlite-wal", log)])
        assert len(bill.packages) == 1
        assert len(bill.notes) == notes


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "no format that rpm has had"),
        (b"something else altogether", "no format that rpm has had"),
        (making.sqlite_database([], schema="CREATE TABLE Other(x)"), "no table Packages"),
        (
            making.sqlite_database(
                [],
                schema="CREATE VIEW Packages(blob) AS WITH RECURSIVE c(x) AS "
                "(SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c",
            ),
            "no table Packages",
        ),
        (
            making.sqlite_database([BASH])[:2048],
            "SQLite cannot read it",
        ),
        (making.ndb_database([BASH])[:20], "ends in its header"),
        (making.ndb_database([BASH])[:3000], "claims 1 pages"),
        (making.ndb_database([BASH])[:4200], "is not where its slot says"),
        (making.ndb_database([BASH]).replace(b"Slot", b"slot"), "does not begin as a slot does"),
        (making.ndb_database([BASH]).replace(b"BlbS", b"blbs"), "is not where its slot says"),
        (making.hash_database([BASH])[:20], "ends in its first page"),
        (making.hash_database([BASH])[:1024], "page 2, where a package continues, is not there"),
        (making.hash_database([BASH])[:1300], "page 2, where a package continues, is not there"),
    ],
)
def test_a_damaged_database_is_a_note_with_the_reason(raw: bytes, reason: str) -> None:
    (note,) = rpm.read(raw).notes
    assert reason in note


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (BASH[:4], "has 4 bytes"),
        (BASH[:40], "claims 8 tags"),
        (making.rpm_header(name="only"), "no version"),
        (making.rpm_header(version="1"), "no name"),
        (BASH[:-1] + b"x", "has no end"),
    ],
)
def test_a_damaged_package_is_a_note_and_the_others_are_found(header: bytes, reason: str) -> None:
    result = rpm.read(making.sqlite_database([SHADOW, header, BASH]))
    assert [one.name for one in result.components] == ["shadow-utils", "bash"]
    (note,) = result.notes
    assert note.startswith("package 2 cannot be read: ")
    assert reason in note


def test_pages_that_name_each_other_in_a_circle_end(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = bytearray(making.hash_database([BASH * 10]))
    raw[3 * 512 + 16] = 2
    assert len(rpm.read(bytes(raw)).notes) <= 1
    monkeypatch.setattr(rpm_databases, "_MOST_PACKAGES", 2)
    assert "it has more than 2 packages" in rpm.read(making.ndb_database([BASH] * 3)).notes[0]


@pytest.mark.parametrize("made", FORMATS.values(), ids=FORMATS)
@settings(max_examples=60)
@given(data=st.data())
def test_no_damage_to_a_database_makes_its_reader_fail(made: Made, data: st.DataObject) -> None:
    raw = bytearray(made([BASH, SHADOW]))
    for _ in range(data.draw(st.integers(0, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    size = data.draw(st.integers(0, len(raw)))
    for damaged in (bytes(raw), bytes(raw[:size])):
        assert all(one.name and one.version for one in rpm.read(damaged).components)
