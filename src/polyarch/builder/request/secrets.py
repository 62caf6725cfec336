"""Secrets and ssh agents, which RUN mounts name by id. No image, log or cache contains them."""

from collections.abc import Mapping

import msgspec

from polyarch.oci.platform import Platform
from polyarch.secret import SecretBytes


class Secrets(msgspec.Struct, frozen=True):
    """The content of secrets and the sockets of ssh agents, each by its id.

    `by_platform` has the secrets of each `Override`, which take precedence over `secrets`.
    """

    secrets: Mapping[str, SecretBytes] = {}
    sockets: Mapping[str, str] = {}
    by_platform: Mapping[Platform, Mapping[str, SecretBytes]] = {}

    def content(self, name: str, platform: Platform) -> SecretBytes | None:
        """The secret with this id for a RUN of `platform`; None if there is none."""
        return self.by_platform.get(platform, {}).get(name, self.secrets.get(name))
