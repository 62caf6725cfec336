"""A bill of materials that can be written in each format."""

from polyarch.attest.bill import Bill


class Sbom(Bill, frozen=True, kw_only=True):
    """A software bill of materials: the packages of one image for one platform."""

    def to_spdx(self) -> bytes:
        """The bill as an SPDX 2.3 document in JSON."""
        from polyarch.attest import spdx

        return spdx.document(self)

    def to_cyclonedx(self) -> bytes:
        """The bill as a CycloneDX 1.6 document in JSON."""
        from polyarch.attest import cyclonedx

        return cyclonedx.document(self)
