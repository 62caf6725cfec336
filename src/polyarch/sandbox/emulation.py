"""Which platforms this machine runs: natively, or by an emulator registered for this namespace alone."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from polyarch.oci.platform import Platform


class Support(msgspec.Struct, frozen=True):
    """What was found out about one platform. `emulator` is a path, empty unless `how` is "emulated" (and where
    the host's own registration does it); `hint` says what would help where it is "missing"."""

    platform: Platform
    how: Literal["native", "emulated", "missing"]
    emulator: str = ""
    hint: str = ""


def host_platform() -> Platform:
    """The platform of this machine's kernel."""
    raise NotImplementedError


def host_platforms() -> tuple[Platform, ...]:
    """The host's platform and the others that its processor and kernel run, best known first; proved by running."""
    raise NotImplementedError


def find_emulator(platform: Platform, search_path: str) -> str | None:
    """The path of a static qemu for `platform` on `search_path` (directories joined by colons)."""
    raise NotImplementedError


def prepare(platform: Platform, search_path: str) -> Support:
    """Makes `platform` run in this process's namespace, which must be entered. Safe from many threads.

    Raises UnsupportedError naming what is missing.
    """
    raise NotImplementedError


def support(platforms: Iterable[Platform], search_path: str) -> tuple[Support, ...]:
    """What this machine can run, proved by a tiny static program of each platform. Changes nothing here: unless
    this process has entered its namespace, a child does."""
    raise NotImplementedError
