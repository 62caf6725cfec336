"""Bills of small images, and the two libraries that validate documents."""

import io
import json
from typing import Any

from polyarch.attest.document import Sbom
from polyarch.attest.sbom import bills
from polyarch.images.compare.views import members
from polyarch.oci.descriptor import Descriptor
from polyarch.store import Store
from tests.images.layered import file, image

OS_RELEASE = file("etc/os-release", 'NAME="Debian"\nID=debian\nVERSION_ID="12"\n')


def paragraph(name: str, version: str, **more: str) -> str:
    """A paragraph of dpkg's status file."""
    fields = {"Package": name, "Status": "install ok installed", "Architecture": "amd64", "Version": version} | more
    return "".join(f"{key}: {value}\n" for key, value in fields.items()) + "\n"


def status(*paragraphs: str) -> Any:
    return file("var/lib/dpkg/status", "".join(paragraphs))


def bill_of(store: Store, *layers: Any, epoch: int | None = None) -> Sbom:
    """The bill of one image of these layers."""
    return bill_at(store, image(store, "linux/amd64", *layers), epoch)


def bill_at(store: Store, descriptor: Descriptor, epoch: int | None = None) -> Sbom:
    (bill,) = bills(store, "app", members(store, descriptor), store, epoch=epoch)
    return bill


def names(bill: Sbom) -> list[str]:
    return [f"{package.name} {package.version}" for package in bill.packages]


def purls(bill: Sbom) -> list[str]:
    return [package.purl for package in bill.packages]


def spdx_problems(raw: bytes) -> list[str]:
    """What spdx-tools finds wrong in a document."""
    from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    document = JsonLikeDictParser().parse(json.loads(raw))
    return [message.validation_message for message in validate_full_spdx_document(document)]


def cyclonedx_problems(raw: bytes) -> list[str]:
    """What cyclonedx-python-lib finds wrong in a document, and whether it reads it."""
    from cyclonedx.model.bom import Bom
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(raw.decode())
    Bom.from_json(json.load(io.BytesIO(raw)))  # type: ignore[attr-defined]
    return [] if error is None else [str(error)]
