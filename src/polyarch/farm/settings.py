"""The settings of a member of a farm: plain values, which are sent to its process."""

import msgspec

from polyarch.farm.certificate_files import FarmTLS


class MemberSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How this machine does steps for others. `root` is its store, `name` what people call it.

    `search_path` finds the runtime and emulators, but those of `emulators` (pairs of an architecture and a path).
    `workers` is how many threads pack a layer. Without `tls`, it connects to commands on loopback only. A process that
    does a step, and says nothing for `silence` seconds, stands still.
    """

    root: str
    name: str
    search_path: str
    emulators: tuple[tuple[str, str], ...] = ()
    workers: int = 2
    tls: FarmTLS | None = None
    silence: float = 20.0
