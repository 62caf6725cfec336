"""Services by their content: the hash of each, and images with the digests that their names stand for."""

import hashlib
from collections.abc import Callable
from typing import Any

from polyarch.compose import printing
from polyarch.compose.project import Tree
from polyarch.errors import PolyarchError
from polyarch.oci import reference as references
from polyarch.oci.reference import Reference

# What docker compose leaves out of the hash (pkg/compose/hash.go): a container need not be made again for it.
_UNHASHED = frozenset({"build", "pull_policy", "scale", "depends_on", "profiles"})


def service_hash(name: str, service: Tree) -> str:
    """The hash by which docker compose knows whether a container is of this service, in hexadecimal digits."""
    kept = {key: value for key, value in service.items() if key not in _UNHASHED}
    if kept.get("deploy") is not None:
        kept["deploy"] = {key: value for key, value in kept["deploy"].items() if key != "replicas"}
    return hashlib.sha256(printing.service_json(name, kept).encode("utf-8", "surrogateescape")).hexdigest()


def with_digests(services: Tree, digest: Callable[[Reference], str]) -> dict[str, Any]:
    """The services with images by digest: `NAME:TAG@DIGEST`. `digest` asks a registry.

    Raises UsageError for a name that is not valid, and what `digest` raises, each with the service.
    """
    return {name: _with_digest(name, one or {}, digest) for name, one in services.items()}


def _with_digest(name: str, service: Tree, digest: Callable[[Reference], str]) -> Tree:
    image = service.get("image")
    if not image:
        return service
    try:
        reference = references.parse(str(image))
        if reference.digest:
            return {**service, "image": str(reference.with_digest(reference.digest))}
        tagged = reference.tagged()
        return {**service, "image": f"{tagged}@{digest(tagged)}"}
    except PolyarchError as error:
        error.message = f"services.{name}: {error.message}"
        raise


def images_only(services: Tree) -> dict[str, Any]:
    """A compose file that says nothing but the images of services, to be merged over another."""
    return {"services": {name: {"image": one["image"]} for name, one in services.items() if one.get("image")}}
