"""Blobs that their publisher serves: the `urls` of a descriptor (image-spec, descriptor.md, "urls")."""

from urllib.parse import urlsplit

from polyarch.distribution.errors import describe
from polyarch.errors import NotFoundError, PolyarchError
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.urls import redact
from polyarch.oci.verify import VerifyingReader
from polyarch.registry.http import Transport


def open_(transport: Transport, descriptor: Descriptor) -> VerifyingReader:
    """The blob from the first of its `urls` that has it, verified while it is read.

    No credentials are sent. Plain HTTP is spoken only to loopback and to hosts that are marked as insecure.
    Raises NotFoundError with the result of each.
    """
    failures: list[str] = []
    for url in descriptor.urls:
        try:
            if urlsplit(url).scheme not in ("http", "https"):
                failures.append(f"{redact(url)}: it is not an http or https URL")
                continue
            transport.require_private(url)
            response = transport.send("GET", url, {"Accept": "*/*"})
        except (PolyarchError, ValueError) as error:
            failures.append(f"{redact(url)}: {error}")
            continue
        if response.status == 200:
            return VerifyingReader(response, descriptor, response.close, redact(url))
        response.close()
        failures.append(f"{redact(url)}: {describe(response.status)}")
    raise NotFoundError(
        f"the layer {descriptor.digest} is in no known registry, and its publisher does not provide it:\n"
        + "\n".join(f"  {failure}" for failure in failures),
        "its publisher may have moved or removed it; an image that was built later may have another one",
    )
