"""What RUN may be given and must not keep."""

from collections.abc import Mapping

import msgspec

from polyarch.oci.platform import Platform


class Secrets(msgspec.Struct, frozen=True):
    """What RUN mounts may ask for by id: the content of secrets, and the sockets of ssh agents.

    A secret under `PLATFORM:ID` is the one for RUNs of that platform.
    """

    secrets: Mapping[str, bytes] = {}
    sockets: Mapping[str, str] = {}

    def content(self, name: str, platform: Platform) -> bytes | None:
        """The secret with this id for a RUN of `platform`."""
        return self.secrets.get(f"{platform}:{name}", self.secrets.get(name))
