"""Probing platforms: small programs that show which system calls work, natively or under an emulator."""

from typing import TYPE_CHECKING

from polyarch import lazy

if TYPE_CHECKING:
    from polyarch.sandbox.probing.examination import Examination as Examination
    from polyarch.sandbox.probing.examination import ProbeResult as ProbeResult
    from polyarch.sandbox.probing.examination import examine as examine
else:
    __getattr__, __all__ = lazy.exports(__name__, {"examination": "Examination ProbeResult examine"})
