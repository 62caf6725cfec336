"""What a member says of itself: which platforms it runs, how fast it is, how much room it has."""

import shutil
import sys
import time
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from polyarch.errors import UsageError
from polyarch.farm.pace import Pace
from polyarch.farm.values import MemberOptions, OfferedPlatform, short
from polyarch.oci import platform as platforms
from polyarch.oci.platform import Platform
from polyarch.sandbox import support
from polyarch.sandbox.emulation import COMMON, name
from polyarch.sandbox.versions import version as emulator_version
from polyarch.version import VERSION

# How many layers a member says that it has, beginning with the last used.
_LAYERS = 64
_LOOPS = 20_000
# How many loops measure the speed from time to time, and how many do so again when they were slow.
_FEW, _MANY = 2, 25


class MemberReport:
    """The state of one worker process, which its heartbeats carry. Owns nothing."""

    def __init__(self, options: MemberOptions, offers: tuple[OfferedPlatform, ...]) -> None:
        self._options = options
        self._offers = offers
        self._speed = speed()
        self._pace = Pace(self._speed, options.silence)
        self._layers: OrderedDict[str, None] = OrderedDict()
        self._busy = False
        self._steps = 0
        self._last = time.monotonic()

    def used(self, digests: Iterable[str]) -> None:
        """Take note of layers that the store of the member has now."""
        for digest in digests:
            self._layers[short(digest)] = None
            self._layers.move_to_end(short(digest))
        while len(self._layers) > _LAYERS:
            self._layers.popitem(last=False)

    @property
    def idle(self) -> float:
        """The seconds since it last did a step, or began to be a member; 0 while it does one."""
        return 0.0 if self._busy else time.monotonic() - self._last

    def begins(self) -> None:
        """A step begins."""
        self._busy = True

    def ends(self, steps: int = 1) -> None:
        """So many steps have ended."""
        self._busy, self._last = False, time.monotonic()
        self._steps += steps

    def now(self, clock: float = 0.0) -> dict[str, Any]:
        """The state as Dask carries it: the fields of `Member`. `clock` is how far the scheduler's clock is ahead."""
        moment = time.monotonic()
        if self._pace.is_due(moment):
            measured = speed(_FEW)
            if self._pace.is_low(measured):
                # A processor that saves power needs some work before it is fast.
                measured = speed(_MANY)
            self._pace.add(moment, measured)
        root = Path(self._options.root)
        existing = next((place for place in (root, *root.parents) if place.exists()), Path("/"))
        return {
            "name": self._options.name,
            "version": VERSION,
            "python": ".".join(map(str, sys.version_info[:3])),
            "offers": msgspec.to_builtins(self._offers),
            "busy": self._busy,
            "free_disk": shutil.disk_usage(existing).free,
            "clock": -clock,
            "speed": self._speed,
            "pace": self._pace.value,
            "steps": self._steps,
            "layers": list(self._layers),
        }


def offers(options: MemberOptions) -> tuple[OfferedPlatform, ...]:
    """The platforms that this machine offers: those that it was told to, else those that it runs natively.

    Child processes try them. The calling process must have one thread. Raises UsageError for one that does not run.
    """
    name(dict(options.emulators))
    wanted = options.offers
    if wanted is None:
        from polyarch.sandbox.host import host_platform

        candidates = platforms.parse_list([COMMON], host_platform())
        found = support(candidates, options.search_path)
        return tuple(_offer(one.platform, "") for one in found if one.how == "native")
    found = support(wanted, options.search_path)
    for one in found:
        if one.how == "missing":
            raise UsageError(
                f"this machine cannot run {one.platform}: {one.hint}", "polyarch platforms shows what it can"
            )
    return tuple(_offer(one.platform, _named(one.emulator) if one.how == "emulated" else "") for one in found)


def speed(loops: int = 5) -> float:
    """The iterations of a fixed loop in a microsecond: the best of some, so that other work disturbs it little."""
    best = float("inf")
    for _ in range(loops):
        began, value = time.perf_counter(), 1
        for number in range(_LOOPS):
            value = (value * 33 + number) & 0xFFFFFFFF
        best = min(best, time.perf_counter() - began)
    return round(_LOOPS / best / 1e6, 2)


def _offer(platform: Platform, emulator: str) -> OfferedPlatform:
    return OfferedPlatform(str(platform), emulator)


def _named(path: str) -> str:
    return emulator_version(path) if path else "an emulator"
