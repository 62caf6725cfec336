"""Media types of OCI's image-spec and of Docker's "image manifest version 2, schema 2", and their properties."""

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
OCI_FOREIGN_LAYER = "application/vnd.oci.image.layer.nondistributable.v1.tar"
OCI_FOREIGN_LAYER_GZIP = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"

DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar"
DOCKER_FOREIGN_LAYER_GZIP = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

INDEXES = frozenset({OCI_INDEX, DOCKER_INDEX})
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
# In the order of the Accept header.
ACCEPTED = (OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST)

# Equivalents in the other format. Docker's format has none for zstd.
TO_DOCKER = {
    OCI_INDEX: DOCKER_INDEX,
    OCI_MANIFEST: DOCKER_MANIFEST,
    OCI_CONFIG: DOCKER_CONFIG,
    OCI_LAYER: DOCKER_LAYER,
    OCI_LAYER_GZIP: DOCKER_LAYER_GZIP,
    OCI_FOREIGN_LAYER: DOCKER_FOREIGN_LAYER,
    OCI_FOREIGN_LAYER_GZIP: DOCKER_FOREIGN_LAYER_GZIP,
}
TO_OCI = {docker: oci for oci, docker in TO_DOCKER.items()}


def is_encrypted(media_type: str) -> bool:
    """Return whether a layer is encrypted (ocicrypt, which containerd's imgcrypt and skopeo use)."""
    return media_type.endswith("+encrypted")


def is_tar(media_type: str) -> bool:
    """Return whether a layer of this type may be a tar archive, compressed or not. An unspecific type may be one."""
    words = media_type.replace("+", ".").replace("/", ".").replace("-", ".").split(".")
    return not is_encrypted(media_type) and (media_type in ("", "application/octet-stream") or "tar" in words)


def is_distributable(media_type: str) -> bool:
    """Return whether a layer may be sent to any registry. The licence of a foreign layer forbids that."""
    return ".foreign.diff." not in media_type and ".nondistributable." not in media_type
