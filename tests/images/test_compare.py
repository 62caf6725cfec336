"""`drift` and `diff`: images beside each other."""

from collections.abc import Callable
from pathlib import Path

import pytest

from polyarch.images.check.collect import CheckedMember
from polyarch.images.compare import drift as drifting
from polyarch.images.compare.naming import neutral
from polyarch.images.compare.views import members, views
from polyarch.oci.descriptor import Descriptor
from polyarch.store import Store
from tests.attest import making
from tests.images.layered import directory, entry, file, image, index, link

NAME = "docker.io/library/image:latest"
AMD64, ARM64 = "linux/amd64", "linux/arm64"

STATUS = """Package: bash
Status: install ok installed
Version: {bash}

Package: gone
Status: deinstall ok config-files
Version: 1

Package: extra
Status: install ok installed
Version: 2
"""
APK = "P:musl\nV:1.2.5-r0\n\nP:busybox\nV:1.36.1-r2\n"


def drift(
    store: Store, *images: tuple[str, Descriptor], ignore: tuple[str, ...] = ()
) -> dict[str, tuple[str | None, ...]]:
    """Each thing that differs, as `kind name`, with its values."""
    root = index(store, NAME, *(entry(descriptor, platform) for platform, descriptor in images))
    found: list[CheckedMember] = members(store, root)
    compared = drifting.compare(views(store, found, store), "image", ignore)
    return {f"{row.kind} {row.name}": row.values for row in compared.rows}


def pair(store: Store, mine: list, theirs: list, **run: object) -> dict[str, tuple[str | None, ...]]:  # type: ignore[type-arg]
    """The drift between amd64 and arm64 of these files."""
    one, two = image(store, AMD64, mine, **run), image(store, ARM64, theirs, **run)  # type: ignore[arg-type]
    return drift(store, (AMD64, one), (ARM64, two))


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ("usr/lib/x86_64-linux-gnu/libc.so.6", "usr/lib/aarch64-linux-gnu/libc.so.6"),
        ("lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1"),
        ("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1"),
        ("lib/ld-musl-x86_64.so.1", "lib/ld-musl-aarch64.so.1"),
        ("app/_x.cpython-311-x86_64-linux-gnu.so", "app/_x.cpython-311-aarch64-linux-gnu.so"),
        ("app/node_modules/@esbuild/linux-x64/x", "app/node_modules/@esbuild/linux-arm64/x"),
    ],
)
def test_paths_that_differ_by_the_name_of_the_architecture_alone_are_one(mine: str, theirs: str) -> None:
    assert neutral(mine, "amd64") == neutral(theirs, "arm64") != ""


@pytest.mark.parametrize(
    ("mine", "theirs", "differing"),
    [
        (["opt/tool-arm64"], ["opt/tool-arm64"], []),
        (["opt/tool-arm64", "opt/tool-amd64"], ["opt/tool-arm64", "opt/tool-amd64"], []),
        (["opt/tool-amd64"], ["opt/tool-arm64"], []),
        (["opt/tool-amd64", "opt/tool-arm64"], ["opt/tool-arm64"], ["file /opt/tool-amd64"]),
        (["opt/tool-s390x"], ["opt/tool-s390x"], []),
        (["tool-arm64"], [], ["file /tool-arm64"]),
        (["opt/arm64/tool", "opt/x"], ["opt/arm64/tool", "opt/x"], []),
        # A compiler for arm64 on amd64, which has arm64's libraries, but for one.
        (
            ["usr/x86_64-linux-gnu/c.so", "usr/x86_64-linux-gnu/d.so", "usr/aarch64-linux-gnu/c.so"],
            ["usr/aarch64-linux-gnu/c.so", "usr/aarch64-linux-gnu/d.so"],
            ["file /usr/x86_64-linux-gnu"],
        ),
    ],
)
def test_a_file_that_is_there_on_all_does_not_drift_whatever_its_name(
    store: Store, mine: list[str], theirs: list[str], differing: list[str]
) -> None:
    assert list(pair(store, [file("a"), *map(file, mine)], [file("a"), *map(file, theirs)])) == differing


def test_a_value_that_is_the_same_on_all_does_not_drift_though_it_names_an_architecture(store: Store) -> None:
    assert pair(store, [file("a")], [file("a")], Env=["TOOL=arm64"], Labels={"for": "linux/amd64"}) == {}


def test_of_three_platforms_the_one_without_a_file_is_named(store: Store) -> None:
    made = [(name, image(store, name, [file("a"), file("t-arm64")])) for name in (AMD64, ARM64)]
    s390x = ("linux/s390x", image(store, "linux/s390x", [file("a")]))
    assert drift(store, *made, s390x) == {"file /t-arm64": ("file", "file", None)}


def test_paths_that_mean_something_else_are_left_as_they_are() -> None:
    for path in ("usr/bin/charm", "usr/share/x86_64x", "usr/lib/aarch64-linux-gnu/libc.so.6"):
        assert neutral(path, "amd64") == path
    assert neutral("usr/bin/alarm", "arm") == "usr/bin/alarm"
    assert neutral("usr/lib/arm-linux-gnueabihf/libc.so.6", "arm") == neutral(
        "usr/lib/x86_64-linux-gnu/libc.so.6", "amd64"
    )


def test_platforms_that_are_alike_do_not_drift(store: Store) -> None:
    mine = [file("usr/lib/x86_64-linux-gnu/libc.so.6", "1"), link("lib64", "usr/lib64"), file("etc/motd", "a")]
    theirs = [file("usr/lib/aarch64-linux-gnu/libc.so.6", "2"), file("etc/motd", "b")]
    assert pair(store, mine, theirs, Env=["PATH=/bin"]) == {}


def test_files_of_one_platform_alone_are_named_and_below_a_missing_directory_counted(store: Store) -> None:
    mine = [file("etc/only"), directory("opt/d"), file("opt/d/a"), file("opt/d/b"), link("x", "etc"), directory("opt")]
    theirs = [directory("etc"), directory("opt"), directory("x")]
    assert pair(store, mine, theirs) == {
        "file /etc/only": ("file", None),
        "file /opt/d": ("directory, 2 entries", None),
        "file /x": ("symlink", "directory"),
    }


def test_ignored_paths_do_not_drift(store: Store) -> None:
    one, two = image(store, AMD64, [file("a/b/c"), file("d")]), image(store, ARM64, [file("e")])
    assert drift(store, (AMD64, one), (ARM64, two), ignore=("/a", "[de]")) == {}


def test_the_config_drifts_by_field_and_by_name(store: Store) -> None:
    one = image(
        store,
        AMD64,
        [file("x")],
        Env=["A=1", "B=2", "P=/usr/lib/x86_64-linux-gnu/p.so"],
        Labels={"v": "1"},
        Entrypoint=["/a"],
        ExposedPorts={"80/tcp": {}},
    )
    two = image(store, ARM64, [file("x")], Env=["A=1", "B=3", "P=/usr/lib/aarch64-linux-gnu/p.so"], Entrypoint=["/b"])
    assert drift(store, (AMD64, one), (ARM64, two)) == {
        "config Entrypoint": ('["/a"]', '["/b"]'),
        "env B": ("2", "3"),
        "label v": ("1", None),
        "port 80/tcp": ("exposed", None),
    }


def test_packages_of_dpkg_apk_and_pip_drift_by_version(store: Store) -> None:
    mine = [file("var/lib/dpkg/status", STATUS.format(bash="5.2-1+b2")), directory("app/Foo_bar-1.0.dist-info")]
    theirs = [
        file("var/lib/dpkg/status", STATUS.format(bash="5.2-1+b7")),
        directory("app/foo.bar-1.1.dist-info"),
        file("lib/apk/db/installed", APK),
        file("var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 2025a\n"),
    ]
    found = {key: values for key, values in pair(store, mine, theirs).items() if key.startswith("package")}
    assert found == {
        "package apk busybox": (None, "1.36.1-r2"),
        "package apk musl": (None, "1.2.5-r0"),
        "package dpkg tzdata": (None, "2025a"),
        "package pip foo-bar": ("1.0", "1.1"),
    }


def test_packages_of_rpm_and_gems_are_compared_too(store: Store) -> None:
    def database(version: str) -> bytes:
        return making.sqlite_database([making.rpm_header(name="bash", version=version, release="1", epoch=2)])

    mine = [
        file("var/lib/rpm/rpmdb.sqlite", database("5.1")),
        file("var/lib/gems/3.1.0/specifications/nokogiri-1.15.0-x86_64-linux.gemspec", ""),
    ]
    theirs = [
        file("var/lib/rpm/rpmdb.sqlite", database("5.2")),
        file("var/lib/gems/3.1.0/specifications/nokogiri-1.16.0-aarch64-linux.gemspec", ""),
    ]
    found = {key: values for key, values in pair(store, mine, theirs).items() if key.startswith("package")}
    assert found == {
        "package gem nokogiri": ("1.15.0", "1.16.0"),
        "package rpm bash": ("2:5.1-1", "2:5.2-1"),
    }


def test_a_database_of_packages_that_cannot_be_read_is_named(store: Store) -> None:
    one = image(store, AMD64, [file("var/lib/rpm/rpmdb.sqlite", "SQLite")])
    two = image(store, ARM64, [file("x")])
    root = index(store, NAME, entry(one, AMD64), entry(two, ARM64))
    (said,) = drifting.compare(views(store, members(store, root), store), "image").unread
    assert said.startswith("linux/amd64: /var/lib/rpm/rpmdb.sqlite: it is not a database of rpm")


def test_more_than_two_platforms_have_a_value_each(store: Store) -> None:
    only = {AMD64: "x", ARM64: "only-arm64", "linux/s390x": "x"}
    made = [(name, image(store, name, [file(path)])) for name, path in only.items()]
    assert drift(store, *made)["file /only-arm64"] == (None, "file", None)


def test_the_platforms_of_a_debian_have_one_set_of_essential_packages(
    store: Store, debian_tar: Callable[[str], Path]
) -> None:
    from polyarch.images import import_ as importing
    from polyarch.oci import platform as platforms
    from polyarch.oci import reference as references

    for wanted in (AMD64, ARM64):
        with debian_tar(wanted).open("rb") as tar:
            importing.import_image(
                store, tar, references.parse(NAME), platforms.parse(wanted), importing.Settings(created="")
            )
    compared = drifting.compare(views(store, members(store, store.resolve(NAME)), store), "debian")
    names = {row.name for row in compared.rows if row.kind == "package"}
    assert not {"dpkg bash", "dpkg libc6", "dpkg coreutils", "dpkg perl-base"} & names
    libraries = {row.name for row in compared.rows if row.kind == "file" and "libc.so" in row.name}
    assert libraries == set()
