"""Manifest lists as JSON, and as a registry has them."""

import hashlib
import json
from typing import Any

from tests.integration.conftest import Skopeo
from tests.oci import schemas


def listed(document: Any) -> list[str]:
    """The platforms of an index, in order."""
    parts = ("os", "architecture", "variant")
    return [
        "/".join(entry["platform"][part] for part in parts if part in entry["platform"])
        for entry in document["manifests"]
    ]


def remote(skopeo: Skopeo, name: str) -> Any:
    """The index that a registry has, validated with each of its manifests."""
    raw = skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{name}").stdout
    document = json.loads(raw)
    schemas.validate(raw.encode(), document["mediaType"])
    for entry in document["manifests"]:
        place = f"docker://{name.rpartition(':')[0]}@{entry['digest']}"
        manifest = skopeo("inspect", "--tls-verify=false", "--raw", place).stdout
        assert hashlib.sha256(manifest.encode()).hexdigest() == entry["digest"].removeprefix("sha256:")
        schemas.validate(manifest.encode(), json.loads(manifest)["mediaType"])
    return document
