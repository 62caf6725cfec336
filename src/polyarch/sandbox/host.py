"""The platform of this machine. Every command needs it, so this file imports little."""

import os

from polyarch.oci import platform as platforms
from polyarch.oci.platform import Platform


def host_platform() -> Platform:
    """Return the platform of this machine's kernel."""
    return platforms.of_machine(os.uname().machine)
