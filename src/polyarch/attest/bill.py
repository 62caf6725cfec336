"""A bill of materials as a value: the packages of one image for one platform, in no particular format."""

import msgspec

from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform


class Distribution(msgspec.Struct, frozen=True):
    """A distribution, by ID and VERSION_ID of os-release(5); both are empty if unknown."""

    name: str = ""
    version: str = ""


class BillPackage(msgspec.Struct, frozen=True, kw_only=True):
    """A package of an image.

    `kind` is the type of its `purl`: "deb", "apk", "rpm", "pypi", "npm", "golang", "maven", "gem" or "cargo". `group`
    is that of a Maven package. `version` is empty if it is not known. `license` is an SPDX expression or "NOASSERTION".
    `paths` are the files that the package was found in, and `layer` is the diff id of the layer that added it.
    """

    kind: str
    name: str
    version: str
    purl: str
    license: str
    supplier: str
    homepage: str
    paths: tuple[str, ...]
    layer: Digest
    group: str = ""


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """The packages of one image, sorted by kind, name and version.

    `digest` is that of the image's manifest, `created` is a time in UTC (RFC 3339). `licenses` are the texts of the
    LicenseRefs, by name. `notes` say what could not be read, and why.
    """

    name: str
    digest: Digest
    platform: Platform
    created: str
    distribution: Distribution
    packages: tuple[BillPackage, ...]
    licenses: dict[str, str]
    notes: tuple[str, ...]
