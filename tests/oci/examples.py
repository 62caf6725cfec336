"""Small complete images for tests, written into any place."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any

from polyarch.oci import config as configs
from polyarch.oci import digest as digests
from polyarch.oci import index as indexes
from polyarch.oci import manifest as manifests
from polyarch.oci import media_types
from polyarch.oci import platform as platforms
from polyarch.oci.descriptor import REFERENCE_DIGEST, REFERENCE_TYPE, Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.place import Target

AMD64, ARM64, ARM, S390X = (platforms.parse(f"linux/{name}") for name in ("amd64", "arm64", "arm/v7", "s390x"))


def tar(files: Mapping[str, str]) -> bytes:
    """A layer's tar of these files."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return output.getvalue()


def blob(target: Target, raw: bytes, media_type: str) -> Descriptor:
    """Write a blob."""
    descriptor = Descriptor(media_type=media_type, digest=digests.of(raw), size=len(raw))
    if not target.has_blob(descriptor):
        target.write_blob(descriptor, io.BytesIO(raw))
    return descriptor


def layer(target: Target, files: Mapping[str, str]) -> tuple[Descriptor, Digest]:
    """Write a gzip layer of these files; its descriptor and diff id."""
    plain = tar(files)
    packed = blob(target, gzip.compress(plain, mtime=0), media_types.OCI_LAYER_GZIP)
    return packed, Digest("sha256:" + hashlib.sha256(plain).hexdigest())


def image(
    target: Target,
    platform: platforms.Platform = AMD64,
    files: Mapping[str, str] | None = None,
    *,
    name: str | None = None,
    docker: bool = False,
    base: Sequence[Mapping[str, str]] = (),
    **run: Any,
) -> Descriptor:
    """Write an image of a layer of `files` on layers of `base`; its descriptor, with its platform."""
    packed = [layer(target, content) for content in [*base, files or {"etc/platform": str(platform)}]]
    config = configs.empty(platform).with_run(**{"Cmd": ["/bin/sh"], **run})
    history = tuple(configs.History(created_by="test") for _ in packed)
    config = config.with_layers(tuple(diff_id for _, diff_id in packed), history)
    written = blob(target, config.encode(), media_types.OCI_CONFIG)
    manifest = manifests.create(written, [descriptor for descriptor, _ in packed])
    if docker:
        manifest = manifests.convert(manifest, to_docker=True)
    target.write_manifest(manifest.descriptor(), manifest.raw, name)
    return manifest.descriptor(platform)


def attestation(target: Target, subject: Descriptor) -> Descriptor:
    """Write a statement about an image, in the form that BuildKit gives it; its entry for an index."""
    statement = blob(target, b'{"_type":"https://in-toto.io/Statement/v0.1"}', "application/vnd.in-toto+json")
    config = blob(target, b"{}", media_types.OCI_CONFIG)
    document = manifests.create(config, [statement]).decode()
    document["subject"] = {"mediaType": subject.media_type, "digest": subject.digest, "size": subject.size}
    from polyarch.oci import document as documents

    manifest = documents.load(documents.encode(document))
    target.write_manifest(manifest.descriptor(), manifest.raw)
    return manifest.descriptor(
        platforms.Platform(os="unknown", architecture="unknown"),
        {REFERENCE_TYPE: "attestation-manifest", REFERENCE_DIGEST: subject.digest},
    )


def index(target: Target, entries: Sequence[Descriptor], *, name: str | None = None) -> Descriptor:
    """Write an index of these entries; its descriptor."""
    made = indexes.create(entries)
    target.write_manifest(made.descriptor(), made.raw, name)
    return made.descriptor()


def multi_platform(
    target: Target, name: str | None = None, wanted: Sequence[platforms.Platform] = (AMD64, ARM64), **run: Any
) -> Descriptor:
    """Write an index of one small image for each platform, all on one shared layer."""
    shared = [{"etc/os-release": "ID=test\n"}]
    return index(target, [image(target, platform, base=shared, **run) for platform in wanted], name=name)


def unknown_field(raw: bytes) -> dict[str, Any]:
    """The JSON of a document with a field of a future version, on top and in each entry."""
    import json

    document: dict[str, Any] = json.loads(raw)
    document["x-future"] = {"kept": [1, 2, None]}
    for entry in document.get("manifests", []):
        entry["x-entry"] = "kept"
        entry.setdefault("platform", {})["x-platform"] = True
    return document
