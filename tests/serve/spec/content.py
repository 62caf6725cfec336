"""Blobs and manifests to push: made from a name, so that no two cases share content and a run can be repeated."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from polyarch.oci import media_types

EXAMPLE = "application/vnd.example.thing"


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def some_bytes(name: str, size: int = 512) -> bytes:
    """Bytes that look random and follow from the name."""
    return hashlib.shake_128(name.encode()).digest(size)


class Document(NamedTuple):
    """A manifest or index as it is pushed. `blobs` are what must be there before it."""

    media_type: str
    body: bytes
    blobs: tuple[bytes, ...] = ()

    @property
    def digest(self) -> str:
        return digest_of(self.body)

    def descriptor(self, **more: Any) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.body), **more}


def descriptor(content: bytes, media_type: str, algorithm: str = "sha256", **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(content, algorithm), "size": len(content), **more}


def encode(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def image(
    name: str,
    *,
    layers: int = 1,
    more_layers: Sequence[Mapping[str, Any]] = (),
    algorithm: str = "sha256",
    docker: bool = False,
    **fields: Any,
) -> Document:
    """An image of small layers, and of `more_layers` that are described.

    `fields` are further fields of its manifest; None leaves one out.
    """
    kinds = (
        (media_types.DOCKER_MANIFEST, media_types.DOCKER_CONFIG, media_types.DOCKER_LAYER_GZIP)
        if docker
        else (media_types.OCI_MANIFEST, media_types.OCI_CONFIG, media_types.OCI_LAYER)
    )
    config = encode(
        {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, "name": name}
    )
    contents = [some_bytes(f"{name} layer {number}") for number in range(layers)]
    whole = {
        "schemaVersion": 2,
        "mediaType": kinds[0],
        "config": descriptor(config, kinds[1], algorithm),
        "layers": [*(descriptor(content, kinds[2], algorithm) for content in contents), *more_layers],
        **fields,
    }
    body = encode({key: value for key, value in whole.items() if value is not None})
    return Document(kinds[0], body, (config, *contents))


def artifact(
    name: str, *, artifact_type: str | None = EXAMPLE, config_type: str = media_types.OCI_EMPTY, **fields: Any
) -> Document:
    """An image manifest that is not an image: a small layer of an unknown type, and the empty config."""
    layer = some_bytes(f"{name} thing")
    whole = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": descriptor(b"{}", config_type),
        "layers": [descriptor(layer, EXAMPLE)],
        **fields,
    }
    body = encode({key: value for key, value in whole.items() if value is not None})
    return Document(media_types.OCI_MANIFEST, body, (b"{}", layer))


def index(members: Sequence[Document], *, docker: bool = False, **fields: Any) -> Document:
    """An index of documents that are pushed before it, each for a platform of its own."""
    media_type = media_types.DOCKER_INDEX if docker else media_types.OCI_INDEX
    architectures = ("amd64", "arm64", "s390x", "riscv64", "ppc64le")
    entries = [
        member.descriptor(platform={"os": "linux", "architecture": architecture})
        for member, architecture in zip(members, architectures, strict=False)
    ]
    whole = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries, **fields}
    return Document(media_type, encode({key: value for key, value in whole.items() if value is not None}))
