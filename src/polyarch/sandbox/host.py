"""The platform of this machine: asked by every command, and in a file of its own because it needs nothing loaded."""

import os

from polyarch.oci import platform as platforms
from polyarch.oci.platform import Platform


def host_platform() -> Platform:
    """The platform of this machine's kernel."""
    return platforms.of_machine(os.uname().machine)
