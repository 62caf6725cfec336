"""Validates documents against the OCI image-spec's JSON schemas, or docker's v2 schema 2."""

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema
import referencing
from referencing.jsonschema import DRAFT4

from polyarch.oci import media_types

_HERE = Path(__file__).parent / "image_spec"
_SCHEMAS = {
    media_types.OCI_INDEX: "image-index-schema.json",
    media_types.OCI_MANIFEST: "image-manifest-schema.json",
    media_types.OCI_CONFIG: "config-schema.json",
}
# What docker's "Image Manifest Version 2, Schema 2" page lists, required fields first.
_DOCKER: dict[str, tuple[set[str], set[str]]] = {
    media_types.DOCKER_INDEX: ({"schemaVersion", "mediaType", "manifests"}, set()),
    media_types.DOCKER_MANIFEST: ({"schemaVersion", "mediaType", "config", "layers"}, set()),
}


def validate(raw: bytes, media_type: str) -> None:
    """Raises jsonschema's ValidationError, or AssertionError for docker's format."""
    document = json.loads(raw)
    if media_type in _DOCKER:
        required, optional = _DOCKER[media_type]
        assert required <= document.keys() <= required | optional
        for entry in document.get("manifests", ()):
            assert {"mediaType", "size", "digest", "platform"} <= entry.keys()
            assert {"architecture", "os"} <= entry["platform"].keys()
        for blob in document.get("layers", ()):
            assert {"mediaType", "size", "digest"} <= blob.keys()
            assert blob["mediaType"].startswith("application/vnd.docker.")
        return
    name = "image-layout-schema.json" if media_type == "oci-layout" else _SCHEMAS[media_type]
    jsonschema.Draft4Validator(_schema(name), registry=_registry()).validate(document)


@functools.cache
def _schema(name: str) -> Any:
    return _without_ids(json.loads((_HERE / name).read_text()))


@functools.cache
def _registry() -> Any:
    names = [path.name for path in _HERE.glob("*.json")]
    resources = [(name, referencing.Resource(_schema(name), DRAFT4)) for name in names]
    return referencing.Registry().with_resources(resources)


def _without_ids(value: Any) -> Any:
    """The schemas refer to each other by file, while their ids are addresses on the web: the files decide."""
    if isinstance(value, dict):
        return {key: _without_ids(part) for key, part in value.items() if key != "id" or not isinstance(part, str)}
    return [_without_ids(part) for part in value] if isinstance(value, list) else value
