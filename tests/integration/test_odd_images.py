"""Unusual images of other tools: whatever docker, containerd and skopeo accept is accepted."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from polyarch.oci import digest as digests
from polyarch.oci import document as documents
from polyarch.oci import media_types
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.platform import Platform
from polyarch.registry import Credentials, Hosts, Registry, Repository
from scripts.local_registry import LocalRegistry
from tests import bases
from tests.integration.conftest import Skopeo
from tests.oci import examples
from tests.oci.examples import AMD64, ARM64
from tests.program import Program
from tests.registry.faults import Answer, Asked, serving


@pytest.fixture
def odd(registry: LocalRegistry) -> Iterator[Repository]:
    """A repository of a real registry, for unusual content."""
    with Registry(Hosts(), Credentials(None), "test") as client:
        yield client.repository(references.parse(f"{registry.address}/odd"))


def busybox(target: Repository, wanted: Platform, **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The busybox of a platform, its layer written; the documents of its manifest and config, to be changed."""
    tar = bases.busybox_tars([str(wanted)])[str(wanted)].read_bytes()
    layer = examples.blob(target, gzip.compress(tar, 1, mtime=0), media_types.OCI_LAYER_GZIP)
    config = {
        "architecture": wanted.architecture,
        "os": wanted.os,
        "config": {"Env": ["PATH=/bin:/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [digests.of(tar)]},
        **changes,
    }
    return {"layers": [msgspec.to_builtins(layer)]}, config


def put(target: Repository, manifest: dict[str, Any], config: dict[str, Any], tag: str | None = None) -> dict[str, Any]:
    """Write an image; its entry for an index, without a platform."""
    written = examples.blob(target, json.dumps(config).encode(), media_types.OCI_CONFIG)
    return put_document(target, {"config": msgspec.to_builtins(written), **manifest}, media_types.OCI_MANIFEST, tag)


def put_document(target: Repository, document: dict[str, Any], kind: str, tag: str | None = None) -> dict[str, Any]:
    raw = json.dumps({"schemaVersion": 2, "mediaType": kind, **document}).encode()
    descriptor = documents.Document(raw, kind).descriptor()
    target.write_manifest(descriptor, raw, tag)
    return {"mediaType": kind, "digest": descriptor.digest, "size": descriptor.size}


def name(target: Repository, tag: str) -> str:
    return f"{target.reference}:{tag}"


def listed(polyarch: Program, image: str) -> list[tuple[str, bool]]:
    """The platforms that `inspect` tells of an image, and whether each is here."""
    (shown,) = polyarch("inspect", image).json()
    return [(entry["Platform"], entry["Available"]) for entry in shown["Platforms"]]


@pytest.mark.parametrize("labelled", [True, False])
def test_an_index_of_indexes_is_an_image(
    polyarch: Program, fresh: Program, odd: Repository, skopeo: Skopeo, labelled: bool, registry: LocalRegistry
) -> None:
    members = []
    for platform in (AMD64, ARM64):
        entry = put(odd, *busybox(odd, platform))
        inner = put_document(odd, {"manifests": [entry]}, media_types.OCI_INDEX)
        label = {"platform": {"os": "linux", "architecture": platform.architecture}}
        members.append(inner | label if labelled else inner)
    put_document(odd, {"manifests": members}, media_types.OCI_INDEX, "nested")
    nested = name(odd, "nested")
    polyarch("pull", "-q", "--platform", "linux/amd64", nested)
    if labelled:
        assert listed(polyarch, nested) == [("linux/amd64", True), ("linux/arm64", False)]
    assert polyarch("run", "--rm", "--platform", "linux/amd64", nested, "echo", "hi").stdout == "hi\n"
    built = polyarch(
        "build", "-q", "--platform=linux/arm64", "-", stdin=f"FROM {nested}\nRUN uname -m | grep aarch64\n"
    )
    assert built.stdout.startswith("sha256:")
    polyarch("pull", "-q", "--all-platforms", nested)
    assert listed(polyarch, nested) == [("linux/amd64", True), ("linux/arm64", True)]
    polyarch("rmi", "--platform", "linux/arm64", nested)
    failed = fresh.fails("pull", "--platform", "linux/s390x", nested)
    assert "it has linux/amd64, linux/arm64" in failed.stderr
    # docker-registry takes no index without all that it names, so one of just this platform is sent.
    copy = f"{registry.address}/copy:1"
    polyarch("tag", nested, copy)
    polyarch("push", "-q", "--platform", "linux/amd64", copy)
    (entry,) = skopeo.raw(f"docker://{copy}")["manifests"]
    assert entry["platform"] == {"architecture": "amd64", "os": "linux"}


def test_entries_without_platforms_have_those_of_their_configs(
    polyarch: Program, fresh: Program, odd: Repository, tmp_path: Path
) -> None:
    images = [put(odd, *busybox(odd, platform)) for platform in (ARM64, AMD64)]
    unsaid = [images[0], images[1] | {"platform": None}, images[1] | {"platform": {"architecture": "amd64"}}]
    put_document(odd, {"manifests": unsaid}, media_types.OCI_INDEX, "bare")
    bare = name(odd, "bare")
    assert polyarch("run", "--rm", "--platform=linux/amd64", bare, "echo", "hi").stdout == "hi\n"
    polyarch("build", "-q", "--platform=linux/amd64,linux/arm64", "-", stdin=f"FROM {bare}\nRUN true\n")
    assert ("linux/arm64", True) in listed(polyarch, bare)
    assert "linux/arm64" in polyarch("images").stdout
    polyarch("save", "-o", tmp_path / "bare.tar", bare)
    fresh("load", "-q", "-i", tmp_path / "bare.tar")
    assert fresh("run", "--rm", "--platform=linux/amd64", bare, "echo", "hi").stdout == "hi\n"
    assert "+ linux/arm64" in fresh("manifest", "create", "list", bare).stderr


def test_nulls_are_absent(polyarch: Program, odd: Repository) -> None:
    manifest, config = busybox(odd, AMD64, variant=None, **{"os.version": None, "os.features": None})
    manifest["layers"][0] |= {"annotations": None, "urls": None}
    put(odd, manifest | {"annotations": None}, config, "nulls")
    nulls = name(odd, "nulls")
    assert polyarch("run", "--rm", nulls, "echo", "hi").stdout == "hi\n"
    assert listed(polyarch, nulls) == [("linux/amd64", True)]
    assert f"{nulls} (linux/amd64)" in polyarch("images").stdout


def test_what_crane_flatten_makes_of_an_index_is_an_index(
    polyarch: Program, odd: Repository, registry: LocalRegistry, skopeo: Skopeo
) -> None:
    """OCI's descriptors over docker's manifests: the document knows what it is."""
    manifest, config = busybox(odd, AMD64)
    written = examples.blob(odd, json.dumps(config).encode(), media_types.DOCKER_CONFIG)
    manifest["layers"][0]["mediaType"] = media_types.DOCKER_LAYER_GZIP
    image = put_document(odd, {"config": msgspec.to_builtins(written), **manifest}, media_types.DOCKER_MANIFEST)
    platform = {"architecture": "amd64", "os": "linux"}
    put_document(
        odd,
        {"manifests": [image | {"mediaType": media_types.OCI_MANIFEST, "platform": platform}]},
        media_types.OCI_INDEX,
        "flat",
    )
    flat = name(odd, "flat")
    assert polyarch("run", "--rm", flat, "echo", "hi").stdout == "hi\n"
    assert media_types.OCI_INDEX in polyarch("buildx", "imagetools", "inspect", flat).stdout
    assert "is good" in polyarch("check", flat).stdout
    copy = f"{registry.address}/copy:1"
    polyarch("tag", flat, copy)
    polyarch("push", "-q", copy)
    assert skopeo.inspect(f"docker://{copy}", "linux/amd64")["Architecture"] == "amd64"


def test_an_entry_of_an_unknown_type_is_passed_over(polyarch: Program, odd: Repository, tmp_path: Path) -> None:
    image = put(odd, *busybox(odd, AMD64), "known") | {"platform": {"architecture": "amd64", "os": "linux"}}
    other = examples.blob(odd, b"whatever", "application/vnd.example")
    # docker-registry takes no such index.
    document = {"manifests": [image, msgspec.to_builtins(other)]}
    raw = json.dumps({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, **document}).encode()
    descriptor = documents.Document(raw, media_types.OCI_INDEX).descriptor()

    def answer(asked: Asked) -> Answer:
        version = asked.path.rpartition("/")[2]
        if "/manifests/" in asked.path and version in ("latest", descriptor.digest):
            headers = {"Content-Type": media_types.OCI_INDEX, "Docker-Content-Digest": descriptor.digest}
            return Answer(200, headers, raw)
        assert other.digest != version, "nobody needs it"
        if "/manifests/" in asked.path and version == image["digest"]:
            return Answer(200, {"Content-Type": media_types.OCI_MANIFEST}, odd.read_manifest(_described(image)))
        if "/blobs/" in asked.path:
            with odd.open_blob(_sized(odd, version)) as reader:
                return Answer(200, {}, reader.read())
        return Answer(200)

    with serving(answer) as server:
        polyarch("pull", "-q", "--all-platforms", f"{server.address}/app")
    polyarch("save", "-o", tmp_path / "app.tar", f"{server.address}/app")
    polyarch("tag", f"{server.address}/app", "app")
    assert polyarch("run", "--rm", "app", "echo", "hi").stdout == "hi\n"


def _described(entry: dict[str, Any]) -> Descriptor:
    return Descriptor(entry["mediaType"], entry["digest"], entry["size"])


def _sized(target: Repository, digest: str) -> Descriptor:
    manifest = documents.load(target.read_manifest(target.resolve("known"))).decode()
    found = next(entry for entry in (manifest["config"], *manifest["layers"]) if entry["digest"] == digest)
    return _described(found)


@pytest.mark.parametrize("where", ["registry", "publisher", "nowhere"])
def test_a_foreign_layer_is_fetched_where_it_is(
    polyarch: Program,
    fresh: Program,
    odd: Repository,
    registry: LocalRegistry,
    skopeo: Skopeo,
    tmp_path: Path,
    where: str,
) -> None:
    manifest, config = busybox(odd, AMD64)
    tar = examples.tar({"srv/f": "foreign"})
    packed = gzip.compress(tar, mtime=0)

    with serving(lambda asked: Answer(200, {}, packed) if where == "publisher" else Answer(404)) as publisher:
        # With OCI's own type, docker-registry wants urls that its configuration allows.
        kind = media_types.OCI_FOREIGN_LAYER_GZIP if where == "registry" else media_types.DOCKER_FOREIGN_LAYER_GZIP
        layer: dict[str, Any] = {"mediaType": kind, "digest": digests.of(packed), "size": len(packed)}
        if where == "registry":
            examples.blob(odd, packed, layer["mediaType"])
        else:
            layer["urls"] = [f"{publisher.url}/layer.tar.gz"]
        config["rootfs"]["diff_ids"].append(digests.of(tar))
        put(odd, {"layers": [*manifest["layers"], layer]}, config, "foreign")
        foreign = name(odd, "foreign")
        if where == "nowhere":
            failed = polyarch.fails("pull", foreign)
            assert layer["digest"] in failed.stderr
            assert f"{publisher.url}/layer.tar.gz: HTTP status 404" in failed.stderr
            checked = polyarch.fails("check", foreign)
            assert layer["digest"] in checked.stdout + checked.stderr
            return
        assert polyarch("run", "--rm", foreign, "cat", "/srv/f").stdout == "foreign"
        assert "is good" in polyarch("check", foreign).stdout
        if where == "publisher":
            # skopeo leaves such a layer where it is, so a layout of its making lacks it.
            layout = skopeo.unpack(f"docker://{foreign}", "linux/amd64", tmp_path / "layout")
            assert not (layout / "blobs" / layer["digest"].replace(":", "/")).exists()
            base = ("--build-context", f"base=oci-layout://{layout}:copy")
            fresh("build", "-q", *base, "-", stdin="FROM base\nRUN grep foreign /srv/f\n")
    polyarch("save", "-o", tmp_path / "foreign.tar", foreign)
    fresh("load", "-q", "-i", tmp_path / "foreign.tar")
    assert fresh("run", "--rm", foreign, "cat", "/srv/f").stdout == "foreign"
    # Layers with URLs are not sent, because their publisher serves them; without URLs they would be lost.
    copy = references.parse(f"{registry.address}/copy")
    polyarch("tag", foreign, f"{copy}:1")
    if where == "registry":
        polyarch("push", "-q", f"{copy}:1")
    with Registry(Hosts(), Credentials(None), "test") as client:
        assert client.repository(copy).has_blob(_described(layer)) == (where == "registry")


def test_an_encrypted_layer_is_named_as_such(
    polyarch: Program, odd: Repository, registry: LocalRegistry, tmp_path: Path
) -> None:
    manifest, config = busybox(odd, AMD64)
    kind = media_types.OCI_LAYER_GZIP + "+encrypted"
    manifest["layers"].append(msgspec.to_builtins(examples.blob(odd, bytes(range(256)), kind)))
    config["rootfs"]["diff_ids"].append(digests.of(b"whatever"))
    put(odd, manifest, config, "encrypted")
    encrypted = name(odd, "encrypted")
    assert "has an encrypted layer" in polyarch("pull", encrypted).stderr
    named = f"layer 2 is encrypted: {digests.of(bytes(range(256)))} is of type {kind}"
    assert named in polyarch.fails("run", "--rm", encrypted, "true").stderr
    assert named in polyarch("check", encrypted, check=False).stdout
    failed = polyarch.fails("build", "-", stdin=f"FROM scratch\nCOPY --from={encrypted} /bin /bin\n")
    assert f"the base image {encrypted}: {named}" in failed.stderr
    # It is still a valid image for users with the key.
    polyarch("tag", encrypted, f"{registry.address}/copy")
    polyarch("push", "-q", f"{registry.address}/copy")
    polyarch("save", "-o", tmp_path / "app.tar", encrypted)


def test_what_is_no_tar_is_named_as_such(polyarch: Program, odd: Repository) -> None:
    manifest, config = busybox(odd, AMD64)
    manifest["layers"][0]["mediaType"] = "application/vnd.wasm.content.layer.v1+wasm"
    put(odd, manifest, config, "wasm")
    polyarch("pull", "-q", name(odd, "wasm"))
    assert "layer 1 is not a tar" in polyarch.fails("run", "--rm", name(odd, "wasm"), "true").stderr


def test_a_diff_id_may_be_of_the_other_registered_algorithm(polyarch: Program, odd: Repository) -> None:
    manifest, config = busybox(odd, AMD64)
    tar = bases.busybox_tars(["linux/amd64"])["linux/amd64"].read_bytes()
    config["rootfs"]["diff_ids"] = [f"sha512:{hashlib.sha512(tar).hexdigest()}"]
    put(odd, manifest, config, "sha512")
    image = name(odd, "sha512")
    assert "is good" in polyarch("check", image).stdout
    polyarch(
        "build",
        "-q",
        "-t",
        "app",
        "-",
        stdin=f"FROM {image}\nRUN echo hi >/f\nCOPY --from={image} /bin/busybox /x/cat\n",
    )
    assert polyarch("run", "--rm", "app", "/x/cat", "/f").stdout == "hi\n"
    config["rootfs"]["diff_ids"] = [f"sha512:{'0' * 128}"]
    put(odd, manifest, config, "wrong")
    assert "its tar has the digest sha512:" in polyarch.fails("run", "--rm", name(odd, "wrong"), "true").stderr


def test_windows_versions_are_shown_and_chosen(polyarch: Program, odd: Repository) -> None:
    members = []
    for version in ("10.0.17763.1", "10.0.20348.2"):
        manifest, config = busybox(odd, AMD64, **{"os": "windows", "os.version": version})
        platform = {"architecture": "amd64", "os": "windows", "os.version": version}
        members.append(put(odd, manifest, config) | {"platform": platform})
    put_document(odd, {"manifests": members}, media_types.OCI_INDEX, "windows")
    windows = name(odd, "windows")
    shown = ["windows(10.0.17763.1)/amd64", "windows(10.0.20348.2)/amd64"]
    for choice, wanted in zip(shown, ([True, False], [True, True]), strict=True):
        polyarch("pull", "-q", "--platform", choice, windows)
        assert listed(polyarch, windows) == list(zip(shown, wanted, strict=True))
    assert f"it has {', '.join(shown)}" in polyarch.fails("pull", windows, "--platform", "linux/s390x").stderr
    config = polyarch("inspect", "--platform", "windows(10.0.20348)/amd64", windows).json()[0]
    assert config["OsVersion"] == "10.0.20348.2"
