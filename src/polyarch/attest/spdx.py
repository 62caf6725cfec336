"""A bill of materials as an SPDX 2.3 document. Equal bills give equal bytes."""

import hashlib
import re
from typing import Any

import msgspec

from polyarch.attest.bill import Bill, BillPackage
from polyarch.attest.licenses import NOASSERTION
from polyarch.version import VERSION

_IMAGE = "SPDXRef-Image"
_PERSON = re.compile(r"([^<>()]+?)\s*<([^<>()\s]+@[^<>()\s]+)>")
_URL = re.compile(r"(?:https?|git|ftp)://[^\s<>\"{}|\\^`]+")


def document(bill: Bill) -> bytes:
    """The document as JSON."""
    root = {
        "name": bill.name,
        "SPDXID": _IMAGE,
        "versionInfo": bill.digest,
        "downloadLocation": NOASSERTION,
        "filesAnalyzed": False,
        "licenseConcluded": NOASSERTION,
        "licenseDeclared": NOASSERTION,
        "copyrightText": NOASSERTION,
        "primaryPackagePurpose": "CONTAINER",
        "comment": f"platform: {bill.platform}",
    }
    algorithm, _, value = bill.digest.partition(":")
    root["checksums"] = [{"algorithm": algorithm.upper(), "checksumValue": value}]
    packages = [_package(package) for package in bill.packages]
    contained = [(_IMAGE, "CONTAINS", package["SPDXID"]) for package in packages]
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", _IMAGE), *contained]
    result: dict[str, Any] = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": bill.name,
        "documentNamespace": namespace(bill),
        "creationInfo": {"creators": [f"Tool: polyarch-{VERSION}"], "created": bill.created},
        "packages": [root, *packages],
        "relationships": [
            {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
            for one, kind, other in relations
        ],
    }
    if bill.notes:
        result["creationInfo"]["comment"] = "Not complete:\n" + "\n".join(bill.notes)
    if bill.licenses:
        result["hasExtractedLicensingInfos"] = [
            {"licenseId": name, "extractedText": text} for name, text in sorted(bill.licenses.items())
        ]
    return msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n"


def namespace(bill: Bill) -> str:
    """A URI that no other document has: from the image, and from the program that looked into it."""
    return f"urn:polyarch:sbom:{VERSION}:{bill.digest}"


def _package(package: BillPackage) -> dict[str, Any]:
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", package.name).strip("-") or "package"
    hashed = hashlib.sha256(package.purl.encode()).hexdigest()[:16]
    result = {
        "name": package.name,
        "SPDXID": f"SPDXRef-Package-{package.kind}-{slug}-{hashed}",
        **({"versionInfo": package.version} if package.version else {}),
        "supplier": _supplier(package.supplier),
        "downloadLocation": NOASSERTION,
        "filesAnalyzed": False,
        "sourceInfo": f"found in {', '.join(package.paths)}",
        "licenseConcluded": NOASSERTION,
        "licenseDeclared": package.license,
        "copyrightText": NOASSERTION,
        "comment": f"layerID: {package.layer}",
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": package.purl,
            }
        ],
    }
    if _URL.fullmatch(package.homepage):
        result["homepage"] = package.homepage
    return result


def _supplier(text: str) -> str:
    """A supplier in the form of SPDX. Whether a name is that of a person or an organization is not known for sure, and
    SPDX has no third word, so a maintainer is a person, as other tools have it.
    """
    known = _PERSON.fullmatch(text.strip())
    return f"Person: {known[1]} ({known[2]})" if known else NOASSERTION
