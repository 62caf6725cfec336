"""`check` on indexes that contradict their images, lack content, or describe it wrongly."""

import tarfile
from pathlib import Path

import msgspec
import pytest

from polyarch.errors import NotFoundError
from polyarch.images.check.check import CheckOptions, check_source
from polyarch.images.check.findings import Report
from polyarch.oci import platform as platforms
from polyarch.oci.descriptor import Descriptor
from polyarch.store import Store
from tests.images import elves
from tests.images.checking import NAME, checked, only, rules
from tests.images.layered import entry, file, image, index, program


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


def test_an_image_that_podman_added_in_zstd_is_not_a_second_one(store: Store) -> None:
    note = {"io.github.containers.compression.zstd": "true"}
    made = [image(store, "linux/amd64", [file(name)]) for name in "xyz"]
    plain, zstd, other = (entry(one, "linux/amd64") for one in made)
    zstd, other = (msgspec.structs.replace(one, annotations=note) for one in (zstd, other))
    index(store, NAME, plain, zstd)
    assert check_source(store, NAME, store).findings == ()
    index(store, NAME, plain, zstd, other)
    assert only(check_source(store, NAME, store)).rule == "platform-twice"


def test_a_variant_before_its_baseline_is_a_warning(store: Store) -> None:
    baseline, v2, v3, arm = (
        image(store, name, [file("x")]) for name in ("linux/amd64", "linux/amd64/v2", "linux/amd64/v3", "linux/arm/v6")
    )
    right = (("linux/amd64", baseline), ("linux/arm/v6", arm), ("linux/amd64/v2", v2), ("linux/amd64/v3", v3))
    assert checked(store, *right).findings == ()
    wrong = checked(store, ("linux/amd64/v3", v3), ("linux/arm/v6", arm), ("linux/amd64", baseline))
    assert (only(wrong).rule, only(wrong).severity, only(wrong).platform) == ("variant-order", "warning", "linux/amd64")
    assert "comes after that for linux/amd64/v3" in only(wrong).message


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
    """The report on the store's own layout, read like any other layout."""
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
