"""The values of a farm: what a member is and offers, and what a step costs there."""

from collections.abc import Sequence

import msgspec

from polyarch.oci import platform as platforms
from polyarch.oci.platform import Platform

# How Dask's worker metrics, resources and event topics are named.
METRIC = "polyarch"
RESOURCE = "polyarch-step"
BUILDS = "polyarch-builds"


class MemberOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a member performs steps: plain values, which are sent to its worker processes.

    `root` is the directory of its store. `offers` are platforms that it was told to offer, None for those that it runs
    natively. `emulators` are pairs of an architecture and a path. `slots` is how many steps it does at once, each in a
    worker process of its own. A process that does a step and says nothing for `silence` seconds stands still.
    `performer` is the module that performs steps there (`task.StepPerformer`).
    """

    name: str
    root: str
    search_path: str
    offers: tuple[Platform, ...] | None = None
    emulators: tuple[tuple[str, str], ...] = ()
    slots: int = 1
    silence: float = 20.0
    performer: str = "polyarch.farm.member"


class OfferedPlatform(msgspec.Struct, frozen=True):
    """One platform that a member runs; `emulator` is empty if it runs natively."""

    platform: str
    emulator: str = ""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One worker process of a member, as the scheduler knows it.

    `clock` is how many seconds its clock is ahead of the scheduler's. `speed` is relative to other members: iterations
    of a fixed loop in a microsecond. `pace` is 1, or the part of it that is left if it has become slow (`pace.py`).
    `layers` are the beginnings of the digests that it has used last.
    """

    address: str
    name: str
    version: str
    python: str = ""
    offers: tuple[OfferedPlatform, ...] = ()
    busy: bool = False
    cpu: float = 0.0
    memory: int = 0
    free_disk: int = 0
    clock: float = 0.0
    seen: float = 0.0
    speed: float = 1.0
    pace: float = 1.0
    steps: int = 0
    layers: tuple[str, ...] = ()

    def offer(self, platform: Platform) -> OfferedPlatform | None:
        """How this member runs `platform`, None if it does not."""
        return next((one for one in self.offers if one.platform == str(platform)), None)


class BuildNote(msgspec.Struct, frozen=True, kw_only=True):
    """What the scheduler remembers of a build: who, for which platforms, and how it ended (empty while it runs)."""

    id: str
    name: str
    who: str
    platforms: tuple[str, ...]
    began: float
    ended: float = 0.0
    steps: int = 0
    moved: int = 0
    outcome: str = ""


class FarmState(msgspec.Struct, frozen=True, kw_only=True):
    """What the scheduler says of itself and its members. Members of a version of Dask alone are `strangers`."""

    address: str
    started: float
    members: tuple[Member, ...]
    strangers: int = 0
    builds: tuple[BuildNote, ...] = ()


def short(digest: str) -> str:
    """The beginning of a digest, by which members say which layers they have."""
    return digest.rpartition(":")[2][:12]


def table_of(members: Sequence[Member]) -> dict[str, list[Member]]:
    """The worker processes of each member, by its name."""
    found: dict[str, list[Member]] = {}
    for one in members:
        found.setdefault(one.name, []).append(one)
    return found


def normal(platform: Platform) -> Platform:
    """The platform as offers spell it."""
    return platforms.normalize(platform)
