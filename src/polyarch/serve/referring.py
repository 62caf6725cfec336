"""Lists of referrers (distribution-spec, "Listing Referrers"), in pages, each at most as large as a manifest may be."""

from collections.abc import Iterable
from urllib.parse import urlencode

import msgspec

from polyarch.oci import descriptor as descriptors
from polyarch.oci import document as documents
from polyarch.oci import media_types
from polyarch.oci.descriptor import Descriptor

_HEAD = b'{"schemaVersion":2,"mediaType":"%s","manifests":[' % media_types.OCI_INDEX.encode()
_TAIL = b"]}"


class ReferrersPage(msgspec.Struct, frozen=True):
    """The index that is answered, and the query of the next one; empty if this is the last one."""

    raw: bytes
    next: str = ""


def page(found: Iterable[Descriptor], artifact_type: str, last: str, most: int = documents.MAX_SIZE) -> ReferrersPage:
    """The descriptors after the digest `last`, in their order. A digest that is no longer there is the beginning.

    `artifact_type` chooses those of one type; empty for all.
    """
    chosen = [one for one in found if not artifact_type or one.artifact_type == artifact_type]
    start = next((at + 1 for at, one in enumerate(chosen) if one.digest == last), 0) if last else 0
    parts: list[bytes] = []
    size = len(_HEAD) + len(_TAIL)
    for at, one in enumerate(chosen[start:], start):
        part = msgspec.json.encode(descriptors.to_dict(one))
        size += len(part) + 1
        if size > most and parts:
            query = {"last": chosen[at - 1].digest, **({"artifactType": artifact_type} if artifact_type else {})}
            return ReferrersPage(_HEAD + b",".join(parts) + _TAIL, urlencode(query))
        parts.append(part)
    return ReferrersPage(_HEAD + b",".join(parts) + _TAIL)
