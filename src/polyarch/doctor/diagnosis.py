"""The value of one examined thing."""

from typing import Literal

import msgspec

Status = Literal["ok", "limited", "missing"]


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that builds and runs need, and how this machine has it.

    `status` is "ok"; "limited" if builds work, except as `reason` says; "missing" if something that is needed, or was
    asked for, does not work. `found` is what there is. `mend` is a command, or words if no command helps.
    """

    name: str
    status: Status
    found: str
    reason: str = ""
    mend: str = ""
