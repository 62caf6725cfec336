"""Where the certificates of a machine of a farm are."""

import msgspec


class FarmTLS(msgspec.Struct, frozen=True):
    """The paths of PEM files: the farm's authority, and this machine's certificate and key."""

    authority: str
    certificate: str
    key: str
