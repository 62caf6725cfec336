"""`check` on images that are right, and on images that are wrong in each way there is a rule for."""

import contextlib
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from polyarch.errors import NotFoundError
from polyarch.images.check.check import CheckOptions, check_source
from polyarch.images.check.findings import RULES, Finding, Report, grouped
from polyarch.layers.entry import Entry
from polyarch.oci import platform as platforms
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.place import BlobReader
from polyarch.store import Store
from tests.images import elves
from tests.images.layered import directory, entry, file, image, index, layer, link, program

NAME = "docker.io/library/image:latest"
LOADER = "/lib64/ld-linux-x86-64.so.2"
GLIBC = [
    file("lib/x86_64-linux-gnu/libc.so.6", elves.elf(soname="libc.so.6", interpreter=LOADER), 0o755),
    program("lib64/ld-linux-x86-64.so.2", elves.elf(soname="ld-linux-x86-64.so.2")),
]

CONFIGURED = [
    file("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf"),
    file("etc/ld.so.conf.d/z.conf", "# z\n/opt/z\n"),
]


def checked(store: Store, *images: tuple[str, Descriptor], allow: tuple[str, ...] = ()) -> Report:
    """The report on an index of these images."""
    index(store, NAME, *(entry(descriptor, platform) for platform, descriptor in images))
    return check_source(store, NAME, store, CheckOptions(allow=allow))


def amd64(store: Store, *layers: list, allow: tuple[str, ...] = (), **run: object) -> Report:  # type: ignore[type-arg]
    """The report on one image for amd64 of these layers."""
    return checked(store, ("linux/amd64", image(store, "linux/amd64", *layers, **run)), allow=allow)  # type: ignore[arg-type]


def rules(report: Report) -> list[str]:
    return [finding.rule for finding in report.findings]


def only(report: Report) -> Finding:
    assert len(report.findings) == 1, report.findings
    assert report.findings[0].rule in RULES
    return report.findings[0]


def test_an_image_that_is_right_has_no_findings(store: Store) -> None:
    app = program("app", elves.program(interpreter=LOADER, needed=["libc.so.6"]))
    report = amd64(store, [*GLIBC, app], Entrypoint=["/app"])
    assert report.findings == ()
    assert report.is_good(strict=True)
    assert [(str(one.platform), one.binaries) for one in report.images] == [("linux/amd64", 3)]


def test_a_foreign_binary_is_an_error_with_the_layer_and_the_step_that_brought_it(store: Store) -> None:
    wrong = image(
        store,
        "linux/arm64",
        [program("bin/good", elves.program("arm64"))],
        [program("bin/bad", elves.program("amd64")), program("bin/worse", elves.program("amd64"))],
        steps=["ADD base", "COPY tools /bin"],
    )
    report = checked(store, ("linux/arm64", wrong))
    assert [finding.path for finding in report.findings] == ["/bin/bad", "/bin/worse"]
    (group,) = grouped(report.findings)
    assert group.paths == ("/bin/bad", "/bin/worse")
    first = group.first
    assert (first.rule, first.severity, first.platform) == ("foreign-binary", "error", "linux/arm64")
    assert "amd64" in first.message
    assert first.step == "COPY tools /bin"
    assert first.layer == store.load(wrong).layers[1].digest  # type: ignore[union-attr]
    assert not report.is_good()


def test_a_foreign_binary_that_a_later_layer_replaced_or_deleted_is_not_in_the_image(store: Store) -> None:
    report = amd64(
        store,
        [program("a", elves.program("arm64")), program("b", elves.program("arm64"))],
        [program("a", elves.program("amd64")), file(".wh.b")],
    )
    assert report.findings == ()


def test_a_pattern_or_a_label_allows_files_and_directories_but_no_others(store: Store) -> None:
    layers = [program(path, elves.program("arm64")) for path in ("opt/cross/gcc", "opt/cross/bin/ld", "srv/x")]
    assert only(amd64(store, layers, allow=("/opt/cross",))).path == "/srv/x"
    assert only(amd64(store, layers, Labels={"org.polyarch.check.allow": "/srv/*, opt/cross/bin"})).path == (
        "/opt/cross/gcc"
    )
    assert amd64(store, layers, allow=("/opt/*", "/srv/x")).is_good(strict=True)


def test_the_second_kind_of_a_processor_is_a_warning_only(store: Store) -> None:
    found = only(amd64(store, [file("usr/lib/i386-linux-gnu/libx.so", elves.elf("386"))]))
    assert (found.rule, found.severity) == ("foreign-binary", "warning")
    armed = image(store, "linux/arm64", [program("bin/x", elves.program("arm"))])
    report = checked(store, ("linux/arm64", armed))
    assert only(report).severity == "warning"
    assert report.is_good()
    assert not report.is_good(strict=True)


def test_files_of_other_systems_are_notes_that_no_strictness_minds(store: Store) -> None:
    report = amd64(store, [program("usr/lib/python3/distlib/t64.exe", elves.pe())])
    assert (only(report).rule, only(report).severity) == ("foreign-system", "note")
    assert report.is_good(strict=True)


def test_soft_float_among_hard_float_is_a_warning(store: Store) -> None:
    made = image(
        store,
        "linux/arm/v7",
        [
            program("lib/ld-linux-armhf.so.3", elves.elf("arm", soname="ld-linux-armhf.so.3")),
            file("lib/libold.so", elves.elf("arm", soname="libold.so", flags=0x05000200)),
        ],
    )
    found = only(checked(store, ("linux/arm/v7", made)))
    assert (found.rule, found.path) == ("float-abi", "/lib/libold.so")


# What is started


def test_a_command_that_is_not_there_is_an_error(store: Store) -> None:
    assert only(amd64(store, [file("x")], Cmd=["/bin/sh", "-c", "true"])).rule == "command-missing"
    found = only(amd64(store, [file("x")], Entrypoint=["serve"], Env=["PATH=/opt/bin"]))
    assert found.rule == "command-missing"
    assert "/opt/bin" in found.message
    assert only(amd64(store, [link("app", "app")], Cmd=["/app"])).rule == "command-missing"


def test_a_command_is_found_on_path_through_links_and_relative_to_the_working_directory(store: Store) -> None:
    files = [program("usr/bin/serve", elves.program()), link("bin", "usr/bin"), link("usr/bin/s", "/bin/serve")]
    for run in (
        {"Entrypoint": ["serve"]},
        {"Cmd": ["/bin/s"]},
        {"Cmd": ["./serve"], "WorkingDir": "/usr/bin"},
        {"Cmd": ["bin/s"], "WorkingDir": "/usr"},
    ):
        assert amd64(store, files, **run).findings == ()


def test_a_command_that_may_not_be_executed_or_is_a_directory_is_an_error(store: Store) -> None:
    found = only(amd64(store, [file("app", elves.program())], Entrypoint=["/app"]))
    assert found.rule == "command-not-executable"
    assert "0644" in found.message
    assert only(amd64(store, [directory("app")], Entrypoint=["/app"])).rule == "command-not-executable"


def test_a_foreign_command_is_said_to_be_the_command(store: Store) -> None:
    report = amd64(store, [program("app", elves.program("arm64"))], Entrypoint=["/app"])
    assert sorted(rules(report)) == ["command-foreign", "foreign-binary"]
    windows = amd64(store, [program("app.exe", elves.pe())], Entrypoint=["/app.exe"])
    assert sorted(rules(windows)) == ["command-foreign", "foreign-system"]
    # A pattern lets it lie there; nothing lets it run.
    allowed = amd64(store, [program("app", elves.program("arm64"))], Entrypoint=["/app"], allow=("*",))
    assert rules(allowed) == ["command-foreign"]


def test_a_script_needs_its_interpreter_for_the_platform_and_a_line_without_a_carriage_return(store: Store) -> None:
    shell = program("bin/sh", elves.program())
    assert amd64(store, [shell, program("run", "#! /bin/sh -e\n")], Cmd=["/run"]).findings == ()
    assert only(amd64(store, [program("run", "#!/bin/sh\n")], Cmd=["/run"])).rule == "interpreter-missing"
    assert rules(amd64(store, [shell, program("run", "#!/bin/sh\r\n")], Cmd=["/run"])) == ["command-crlf"]
    foreign = amd64(
        store,
        [program("opt/sh", elves.program("arm64")), program("run", "#!/opt/sh\n")],
        Cmd=["/run"],
        allow=("/opt",),
    )
    assert only(foreign).rule == "command-foreign"


def test_env_of_a_first_line_is_asked_what_it_would_run(store: Store) -> None:
    env = program("usr/bin/env", elves.program())
    script = program("run", "#!/usr/bin/env -S A=1 python3 -u\n")
    found = only(amd64(store, [env, script], Cmd=["/run"]))
    assert found.rule == "interpreter-missing"
    assert "python3" in found.message
    assert amd64(store, [env, script, program("usr/bin/python3", elves.program())], Cmd=["/run"]).findings == ()


def test_scripts_that_interpret_each_other_for_ever_come_to_an_end(store: Store) -> None:
    assert amd64(store, [program("a", "#!/b\n"), program("b", "#!/a\n")], Cmd=["/a"]).findings == ()


# Loaders and libraries


def test_a_missing_loader_is_an_error_and_says_when_the_other_libc_is_there(store: Store) -> None:
    app = program("app", elves.program(interpreter=LOADER, needed=["libc.so.6"]))
    assert only(amd64(store, [app])).rule == "loader-missing"
    musl = program("lib/ld-musl-x86_64.so.1", elves.elf(soname="libc.musl-x86_64.so.1"))
    assert "musl" in only(amd64(store, [app, musl])).message


def test_a_missing_library_is_an_error_for_a_program_and_a_warning_for_a_plugin(store: Store) -> None:
    app = program("app", elves.program(interpreter=LOADER, needed=["libz.so.1", "libc.so.6"]))
    found = only(amd64(store, [*GLIBC, app]))
    assert (found.rule, found.severity) == ("library-missing", "error")
    assert "libz.so.1" in found.message
    plugin = file("usr/lib/p/plugin.so", elves.elf(needed=["libtk.so"]))
    assert only(amd64(store, [*GLIBC, plugin])).severity == "warning"


def test_a_library_of_another_architecture_does_not_help(store: Store) -> None:
    app = program("app", elves.program(interpreter=LOADER, needed=["libz.so.1"]))
    wrong = file("usr/lib/libz.so.1", elves.elf("arm64", soname="libz.so.1"))
    assert only(amd64(store, [*GLIBC, app, wrong], allow=("/usr/lib",))).rule == "library-missing"


@pytest.mark.parametrize(
    ("where", "fields", "extra"),
    [
        ("usr/lib/x86_64-linux-gnu", {}, []),
        ("app/lib", {"runpath": "$ORIGIN/../lib"}, []),
        ("app/lib", {"rpath": "/nowhere:/app/bin/../lib"}, []),
        ("opt/z", {}, CONFIGURED),
    ],
)
def test_libraries_are_looked_for_where_the_loader_looks(
    store: Store, where: str, fields: dict[str, str], extra: list[tuple[Entry, bytes]]
) -> None:
    app = program("app/bin/app", elves.program(interpreter=LOADER, needed=["libz.so.1"], **fields))
    files = [*GLIBC, *extra, app, link(f"{where}/libz.so.1", "libz.so.1.3"), file(f"{where}/libz.so.1.3", elves.elf())]
    assert amd64(store, files).findings == ()  # type: ignore[arg-type]


def test_a_library_where_nobody_looks_is_a_warning_that_names_it_unless_the_environment_leads_there(
    store: Store,
) -> None:
    app = program("app", elves.program(interpreter=LOADER, needed=["libz.so.1"]))
    files = [*GLIBC, app, file("srv/libz.so.1", elves.elf())]
    found = only(amd64(store, files))
    assert found.severity == "warning"
    assert "/srv/libz.so.1" in found.message
    assert amd64(store, files, Env=["LD_LIBRARY_PATH=/srv"]).findings == ()


def test_musl_is_told_its_directories_and_brings_what_glibc_has_apart(store: Store) -> None:
    loader = "/lib/ld-musl-x86_64.so.1"
    app = program("app", elves.program(interpreter=loader, needed=["libc.so", "libm.so.6", "libz.so.1"]))
    files = [app, program(loader[1:], elves.elf(soname="libc.so")), file("srv/libz.so.1", elves.elf())]
    assert only(amd64(store, files)).rule == "library-missing"
    assert amd64(store, [*files, file("etc/ld-musl-x86_64.path", "/lib:/srv\n")]).findings == ()


# Indexes


def test_an_entry_that_contradicts_its_config_is_an_error(store: Store) -> None:
    built = image(store, "linux/amd64", [file("x")])
    found = only(checked(store, ("linux/arm64", built)))
    assert (found.rule, found.severity, found.platform) == ("platform-mismatch", "error", "linux/arm64")
    older = image(store, "linux/arm/v6", [file("x")])
    assert only(checked(store, ("linux/arm/v7", older))).rule == "platform-mismatch"


def test_spellings_of_one_platform_do_not_contradict(store: Store) -> None:
    built = image(store, "linux/arm64", [file("x")], config={"variant": "v8"})
    index(store, NAME, entry(built, platforms.Platform(architecture="aarch64", os="linux")))
    assert check_source(store, NAME, store).findings == ()


def test_two_entries_for_one_platform_are_an_error(store: Store) -> None:
    one, two = image(store, "linux/arm64", [file("x")]), image(store, "linux/arm64", [file("y")])
    assert "platform-twice" in rules(checked(store, ("linux/arm64", one), ("linux/arm64/v8", two)))


def test_a_variant_before_its_baseline_is_a_warning(store: Store) -> None:
    baseline, v2, v3, arm = (
        image(store, name, [file("x")]) for name in ("linux/amd64", "linux/amd64/v2", "linux/amd64/v3", "linux/arm/v6")
    )
    right = (("linux/amd64", baseline), ("linux/arm/v6", arm), ("linux/amd64/v2", v2), ("linux/amd64/v3", v3))
    assert checked(store, *right).findings == ()
    wrong = checked(store, ("linux/amd64/v3", v3), ("linux/arm/v6", arm), ("linux/amd64", baseline))
    assert (only(wrong).rule, only(wrong).severity, only(wrong).platform) == ("variant-order", "warning", "linux/amd64")
    assert "stands behind that for linux/amd64/v3" in only(wrong).message


def test_arm_without_a_variant_is_a_warning_and_an_impossible_one_an_error(store: Store) -> None:
    bare = platforms.Platform(architecture="arm", os="linux")
    made = image(store, "linux/arm/v7", [file("x")])
    index(store, NAME, entry(made, bare))
    assert {(f.rule, f.severity) for f in check_source(store, NAME, store).findings} == {("variant-missing", "warning")}
    strange = image(store, "linux/amd64", [file("x")], config={"variant": "v9"})
    index(store, NAME, entry(strange, platforms.Platform(architecture="amd64", os="linux", variant="v9")))
    assert only(check_source(store, NAME, store)).rule == "variant-impossible"


def test_an_image_that_does_not_say_for_which_platform_it_is_is_an_error(store: Store) -> None:
    made = image(store, "linux/amd64", [file("x")], config={"architecture": ""})
    assert only(checked(store, ("linux/amd64", made))).rule == "platform-unknown"
    known = image(store, "linux/amd64", [file("x")])
    index(store, NAME, entry(known, None))
    assert only(check_source(store, NAME, store)).rule == "platform-unknown"


def test_what_is_missing_is_named_and_the_other_platforms_are_checked_all_the_same(store: Store) -> None:
    good = image(store, "linux/amd64", [program("bad", elves.program("arm64"))])
    gone = image(store, "linux/arm64", [file("y")])
    store.blob_path(store.load(gone).layers[0].digest).unlink()  # type: ignore[union-attr]
    report = checked(store, ("linux/amd64", good), ("linux/arm64", gone))
    assert [(f.rule, f.platform) for f in report.findings] == [
        ("foreign-binary", "linux/amd64"),
        ("blob-missing", "linux/arm64"),
    ]
    store.blob_path(gone.digest).unlink()
    assert ("blob-missing", "linux/arm64") in [
        (f.rule, f.platform) for f in checked(store, ("linux/amd64", good), ("linux/arm64", gone)).findings
    ]


def test_sizes_that_lie_are_errors(store: Store) -> None:
    made = image(store, "linux/amd64", [file("x")])
    index(store, NAME, entry(made, "linux/amd64", size=made.size + 1))
    assert "size-mismatch" in rules(check_source(store, NAME, store))
    blob = store.blob_path(store.load(made).layers[0].digest)  # type: ignore[union-attr]
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes() + b"\0")
    assert "size-mismatch" in rules(_layout(store, made))


def _layout(store: Store, made: Descriptor) -> Report:
    """The report on the store's own layout, read as anybody's."""
    from polyarch.transfer.layout import open_layout

    index(store, NAME, entry(made, "linux/amd64"))
    return check_source(open_layout(Path(store.layout.root) / "oci"), NAME, None)


def test_a_layer_that_is_not_what_the_config_says_is_an_error(store: Store) -> None:
    other = "sha256:" + "0" * 64
    made = image(store, "linux/amd64", [file("x")], config={"rootfs": {"type": "layers", "diff_ids": [other]}})
    assert only(checked(store, ("linux/amd64", made))).rule == "damaged"
    fewer = image(store, "linux/amd64", [file("x")], config={"rootfs": {"type": "layers", "diff_ids": []}})
    assert only(checked(store, ("linux/amd64", fewer))).rule == "damaged"


def test_only_the_platforms_that_are_asked_for_are_checked(store: Store) -> None:
    bad = image(store, "linux/arm64", [program("x", elves.program("amd64"))])
    good = image(store, "linux/amd64", [program("x", elves.program("amd64"))])
    index(store, NAME, entry(good, "linux/amd64"), entry(bad, "linux/arm64"))
    asked = CheckOptions(platforms=(platforms.parse("linux/amd64"),))
    assert check_source(store, NAME, store, asked).findings == ()
    with pytest.raises(NotFoundError, match="linux/s390x"):
        check_source(store, NAME, store, CheckOptions(platforms=(platforms.parse("linux/s390x"),)))


# Hostile layers


def test_a_name_that_leads_upwards_is_reported(store: Store) -> None:
    import gzip
    import hashlib
    import io

    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../../etc/passwd"))
    raw = gzip.compress(output.getvalue())
    made = image(store, "linux/amd64", [file("x")])
    diff_id = f"sha256:{hashlib.sha256(output.getvalue()).hexdigest()}"
    report = checked(store, ("linux/amd64", _with_layer(store, made, raw, diff_id)))
    assert only(report).rule == "damaged"
    assert "leads out of the image" in only(report).message


def _with_layer(store: Store, like: Descriptor, raw: bytes, diff_id: str) -> Descriptor:
    from polyarch.oci import manifest as manifests
    from polyarch.oci import media_types
    from polyarch.transfer import choose

    manifest = store.load(like)
    config = choose.read_config(store, manifest).with_fields(  # type: ignore[arg-type]
        rootfs={"type": "layers", "diff_ids": [diff_id]}
    )
    blob = store.put_bytes(media_types.OCI_CONFIG, config.encode())
    made = manifests.create(blob, [store.put_bytes(media_types.OCI_LAYER_GZIP, raw)])
    store.write_manifest(made.descriptor(), made.raw)
    return made.descriptor()


def test_ten_thousand_links_and_a_thousand_directories_are_no_trouble(store: Store) -> None:
    links = [link(f"l{n}", f"l{n + 1}") for n in range(10_000)]
    report = amd64(store, [*links, program("l10000", elves.program())], Cmd=["/l0"])
    assert only(report).rule == "command-missing"
    assert "symbolic links" in only(report).message
    deep = "/".join(["d"] * 1000)
    assert amd64(store, [program(f"{deep}/app", elves.program())], Cmd=[f"/{deep}/app"]).findings == ()


def test_links_in_circles_are_where_a_library_is_not(store: Store) -> None:
    app = program("app", elves.program(interpreter=LOADER, needed=["libz.so"]))
    files = [*GLIBC, app, link("lib/libz.so", "libz.so"), link("usr/lib", "../usr/lib")]
    assert only(amd64(store, files)).rule == "library-missing"


# What is remembered


class Counting:
    """A source that notes the blobs that are opened, and how much of them is read in pieces."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.opened: list[str] = []
        self.pieces: list[int] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        self.opened.append(descriptor.digest)
        return self.store.open_blob(descriptor)

    def read_range(self, descriptor: Descriptor, offset: int, size: int) -> bytes:
        self.pieces.append(size)
        return self.store.read_range(descriptor, offset, size)


def test_a_second_check_reads_no_layer(store: Store) -> None:
    made = image(store, "linux/amd64", [program("bin/x", elves.program("arm64"))])
    first = checked(store, ("linux/amd64", made))
    source = Counting(store)
    assert check_source(source, NAME, store) == first  # type: ignore[arg-type]
    config = store.load(made).config.digest  # type: ignore[union-attr]
    assert set(source.opened) == {config}


def test_a_layer_in_blocks_with_a_known_listing_is_entered_only_where_candidates_are(store: Store) -> None:
    from polyarch.contents.unpack import Unpacker, layers_of
    from polyarch.transfer import choose

    ballast = [file(f"data/{n}", bytes(range(256)) * 4096) for n in range(16)]
    made = image(store, "linux/amd64", [*ballast, program("z", elves.program("arm64"))])
    index(store, NAME, entry(made, "linux/amd64"))
    manifest = store.load(made)
    config = choose.read_config(store, manifest)  # type: ignore[arg-type]
    (one,) = layers_of(manifest, config)  # type: ignore[arg-type]
    Unpacker(store, store).listing(one)

    source = Counting(store)
    assert rules(check_source(source, NAME, store)) == ["foreign-binary"]  # type: ignore[arg-type]
    assert one.blob.digest not in source.opened
    assert 0 < sum(source.pieces) < one.blob.size / 8


@pytest.mark.parametrize("kind", ["none", "gzip", "zstd"])
def test_a_sweep_gives_what_a_scan_gives(store: Store, kind: str) -> None:
    from polyarch.contents.facts import Learner
    from polyarch.contents.unpack import LayerBlob
    from polyarch.oci.digest import Digest

    items = [program("a", elves.program("arm64")), *(file(f"d{n}", bytes(700_000)) for n in range(6))]
    items += [program("b", elves.elf(needed=["x"])), file("etc/ld.so.conf", "/opt\n"), program("c", "#!/a\n")]
    blob, diff_id = layer(store, items, kind)
    scanned = Learner(store, None).learn(LayerBlob(Digest(diff_id), blob))
    store.cache.put("listing", diff_id, scanned[0].encode())
    assert Learner(store, store).learn(LayerBlob(Digest(diff_id), blob)) == scanned
    assert len(scanned[1].binaries) == 3
    assert set(scanned[1].texts.values()) == {"/opt\n"}


# Real input


def of_tar(tar: Path, *names: str) -> list[tuple[Entry, bytes]]:
    """Files of a root filesystem, as programs."""
    with tarfile.open(tar) as archive:
        found = []
        for name in names:
            with contextlib.suppress(KeyError):
                found.append(program(name, archive.extractfile(f"./{name}").read()))  # type: ignore[union-attr]
                continue
            found.append(program(name, archive.extractfile(name).read()))  # type: ignore[union-attr]
    return found  # type: ignore[return-value]


@pytest.fixture
def debian_store(store: Store, debian_tar: Callable[[str], Path]) -> Store:
    """A store with `NAME`, a Debian for amd64 and arm64."""
    from polyarch.images import import_ as importing
    from polyarch.oci import reference as references

    for wanted in ("linux/amd64", "linux/arm64"):
        with debian_tar(wanted).open("rb") as tar:
            importing.import_image(
                store, tar, references.parse(NAME), platforms.parse(wanted), importing.Settings(created="")
            )
    return store


def test_a_debian_for_two_platforms_raises_no_false_alarm_and_is_quick(debian_store: Store) -> None:
    import time

    for kind in (None, "elf"):
        debian_store.cache.clear(kind)
        begun = time.process_time()
        report = check_source(debian_store, NAME, debian_store)
        spent = time.process_time() - begun
        assert report.findings == ()
        assert all(image.binaries > 500 for image in report.images)
        # On all threads together; it is less by the clock, and other work on this machine does not count.
        assert spent < 2


def test_a_glibc_binary_on_busybox_and_a_foreign_one_are_found_among_real_ones(
    store: Store, busybox_tars: dict[str, Path], debian_tar: Callable[[str], Path]
) -> None:
    (busybox,) = of_tar(busybox_tars["linux/amd64"], "bin/busybox")
    (foreign,) = of_tar(busybox_tars["linux/s390x"], "bin/busybox")
    (dynamic,) = of_tar(debian_tar("linux/amd64"), "usr/bin/dash")
    moved = (Entry(path="bin/other", kind="file", mode=0o755, size=foreign[0].size), foreign[1])
    report = amd64(store, [busybox], [dynamic], [moved], Cmd=["/bin/busybox"])
    assert sorted((f.rule, f.path) for f in report.findings) == [
        ("foreign-binary", "/bin/other"),
        ("loader-missing", "/usr/bin/dash"),
    ]
    assert "s390x" in next(f.message for f in report.findings if f.rule == "foreign-binary")


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"])
def test_a_static_busybox_of_each_platform_is_right_for_its_own_only(
    store: Store, busybox_tars: dict[str, Path], platform: str
) -> None:
    (busybox,) = of_tar(busybox_tars[platform], "bin/busybox")
    for claimed in busybox_tars:
        made = image(store, claimed, [busybox], Cmd=["/bin/busybox"])
        report = checked(store, (claimed, made))
        assert report.is_good(strict=True) == (claimed == platform)
        assert report.is_good() == (claimed == platform)


def test_the_reference_page_has_every_rule_and_no_other() -> None:
    import re

    page = (Path(__file__).parents[2] / "docs" / "reference" / "check.md").read_text()
    assert set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)) == set(RULES)
