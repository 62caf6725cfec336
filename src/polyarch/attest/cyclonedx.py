"""A bill of materials as a CycloneDX 1.6 document. Equal bills give equal bytes."""

import re
import uuid
from typing import Any

import msgspec

from polyarch.attest.bill import Bill, BillPackage
from polyarch.attest.licenses import NOASSERTION
from polyarch.attest.spdx import namespace
from polyarch.version import VERSION

_URL = re.compile(r"https?://[^\s<>\"{}|\\^`]+")


def document(bill: Bill) -> bytes:
    """The document as JSON."""
    properties = [{"name": "polyarch:platform", "value": str(bill.platform)}]
    properties += [{"name": "polyarch:note", "value": note} for note in bill.notes]
    components = [_component(package) for package in bill.packages]
    if bill.distribution.name:
        system = {"type": "operating-system", "bom-ref": f"os:{bill.distribution.name}", "name": bill.distribution.name}
        components.insert(0, system | ({"version": bill.distribution.version} if bill.distribution.version else {}))
    result = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, namespace(bill))}",
        "version": 1,
        "metadata": {
            "timestamp": bill.created,
            "tools": {"components": [{"type": "application", "name": "polyarch", "version": VERSION}]},
            "component": {"type": "container", "bom-ref": bill.digest, "name": bill.name, "version": bill.digest},
            "properties": properties,
        },
        "components": components,
    }
    return msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n"


def _component(package: BillPackage) -> dict[str, Any]:
    result: dict[str, Any] = {
        "type": "library",
        "bom-ref": package.purl,
        **({"group": package.group} if package.group else {}),
        "name": package.name,
        **({"version": package.version} if package.version else {}),
        "purl": package.purl,
        "properties": [
            *({"name": "polyarch:path", "value": path} for path in package.paths),
            {"name": "polyarch:layer", "value": package.layer},
        ],
    }
    if package.supplier:
        result["supplier"] = {"name": package.supplier}
    if package.license != NOASSERTION:
        result["licenses"] = [{"expression": package.license}]
    if _URL.fullmatch(package.homepage):
        result["externalReferences"] = [{"type": "website", "url": package.homepage}]
    return result
