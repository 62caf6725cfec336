"""Which member does a step: pure, without I/O and clock, so that a farm of 500 can be simulated.

A member that runs the platform natively comes before every one that emulates it, however busy it is: emulation costs 7
to 18 times. Among the free worker processes of a kind, the one that is expected to be done first gets the step: the
layers that it lacks have to be sent, and the step takes longer on a slower machine. If none is free, the step waits.
"""

import heapq
from collections.abc import Collection, Iterable, Sequence
from typing import Literal

import msgspec

from polyarch.farm.values import Member, short

How = Literal["native", "emulated"]

# Bytes a second that layers are expected to travel with, and the seconds that a step is expected to take. Only their
# proportion matters: 200 MB that are there already are worth as much as a machine that is twice as fast.
_BANDWIDTH = 100e6
_SECONDS = 4.0
# How many processes that have a layer of the step are compared.
_COMPARED = 16

# A layer that a step needs: its digest and size in bytes.
NeededLayer = tuple[str, int]


class MemberChoice(msgspec.Struct, frozen=True):
    """The worker process that gets a step: its address, the name of its member, and how it runs the platform."""

    address: str
    member: str
    how: How


class _KnownProcess(msgspec.Struct, kw_only=True):
    """A worker process as it is now. `ours` is how many steps this command has given it."""

    member: Member
    ours: int = 0

    @property
    def is_free(self) -> bool:
        return not self.ours and not self.member.busy

    @property
    def speed(self) -> float:
        return max(self.member.speed, 0.1) * self.member.pace


class _Queue:
    """The processes that run a platform in one way, of which the free ones are found fast."""

    def __init__(self) -> None:
        self.addresses: set[str] = set()
        # The free ones, the fastest first. A process may be here that is not free any more, or more than once.
        self._free: list[tuple[float, str]] = []

    def add(self, process: _KnownProcess) -> None:
        """Take note of a process that is free, or may be."""
        self.addresses.add(process.member.address)
        heapq.heappush(self._free, (-process.speed, process.member.address))

    def first(self, processes: dict[str, _KnownProcess], avoid: Collection[str]) -> _KnownProcess | None:
        """The fastest free process whose member is not to be avoided."""
        passed: list[tuple[float, str]] = []
        found = None
        while self._free and found is None:
            entry = heapq.heappop(self._free)
            process = processes.get(entry[1])
            if process is None or not process.is_free or entry != (-process.speed, entry[1]):
                continue
            if entry[1] not in self.addresses:
                continue
            passed.append(entry)
            if process.member.name not in avoid:
                found = process
        for entry in passed:
            heapq.heappush(self._free, entry)
        return found


class StepPlacer:
    """Chooses members for the steps of one command. It knows what the scheduler last said of them, and what it chose
    since. It owns nothing; one thread uses it.
    """

    def __init__(self, version: str) -> None:
        self._version = version
        self._processes: dict[str, _KnownProcess] = {}
        self._queues: dict[tuple[str, How], _Queue] = {}
        # The members that have a layer, by the beginning of its digest; and the free processes of a member.
        self._holders: dict[str, set[str]] = {}
        self._of_member: dict[str, set[str]] = {}
        # The layers that members said or were given, so that what is said twice costs nothing.
        self._known: dict[str, set[str]] = {}

    def update(self, members: Sequence[Member]) -> None:
        """Take note of what the scheduler says now. Members of another version are left out."""
        now = {one.address: one for one in members if one.version == self._version}
        for address in [address for address in self._processes if address not in now]:
            self._remove(address)
        for address, member in now.items():
            process = self._processes.get(address)
            if process is None:
                self._add(member)
            else:
                was_free, old = process.is_free, process.member
                process.member = member
                if (old.offers, old.name, old.pace) != (member.offers, member.name, member.pace):
                    self._remove(address, old)
                    self._add(member, process.ours)
                elif process.is_free and not was_free:
                    self._freed(process)
            self._holds(member.name, member.layers)

    def how(self, platform: str, avoid: Collection[str] = ()) -> How | None:
        """How the farm runs a platform; None if no member does that is not to be avoided."""
        kinds: tuple[How, How] = ("native", "emulated")
        for kind in kinds:
            queue = self._queues.get((platform, kind))
            if queue and any(self._processes[address].member.name not in avoid for address in queue.addresses):
                return kind
        return None

    @property
    def platforms(self) -> tuple[str, ...]:
        """All platforms that members run."""
        return tuple(sorted({platform for (platform, _), queue in self._queues.items() if queue.addresses}))

    def names(self, platform: str, how: How) -> tuple[str, ...]:
        """The members that run a platform so."""
        queue = self._queues.get((platform, how))
        addresses = queue.addresses if queue else ()
        return tuple(sorted({self._processes[address].member.name for address in addresses}))

    @property
    def slots(self) -> int:
        """How many steps the farm does at once."""
        return len(self._processes)

    def choose(
        self,
        platform: str,
        layers: Sequence[NeededLayer],
        avoid: Collection[str] = (),
        holders: Collection[str] = (),
    ) -> MemberChoice | None:
        """The process for a step, or None if all that may do it are busy, or none is there (see `how`).

        One of the members that have its result, `holders`, comes first.
        """
        how = self.how(platform, avoid)
        if how is None:
            return None
        queue = self._queues[platform, how]
        fastest = queue.first(self._processes, avoid)
        if fastest is None:
            return None
        for name in holders:
            for address in () if name in avoid else self._of_member.get(name, ()):
                if self._processes[address].is_free and address in queue.addresses:
                    return MemberChoice(address, name, how)
        best, cost = fastest, self._cost(fastest, layers)
        for process in self._holding(queue, layers, avoid):
            other = self._cost(process, layers)
            if other < cost:
                best, cost = process, other
        return MemberChoice(best.member.address, best.member.name, how)

    def process_of(self, name: str) -> str | None:
        """The address of a process of a member, busy or not; None if the member is not there."""
        return next((address for address, one in self._processes.items() if one.member.name == name), None)

    def outpaced(self, platform: str, choice: MemberChoice) -> bool:
        """Whether the member of this choice has become slow, and another one is free that runs the platform as well
        and is at least twice as fast.
        """
        process = self._processes.get(choice.address)
        queue = self._queues.get((platform, choice.how))
        if process is None or process.member.pace == 1 or queue is None:
            return False
        other = queue.first(self._processes, (choice.member,))
        return other is not None and other.speed >= 2 * process.speed

    def began(self, choice: MemberChoice, layers: Iterable[NeededLayer]) -> None:
        """Take note that a process got a step. Its member will have the layers."""
        process = self._processes.get(choice.address)
        if process is not None:
            process.ours += 1
            self._of_member[process.member.name].discard(choice.address)
        self._holds(choice.member, [short(digest) for digest, _ in layers])

    def ended(self, choice: MemberChoice) -> None:
        """Take note that a process has done its step."""
        process = self._processes.get(choice.address)
        if process is not None and process.ours:
            process.ours -= 1
            # What the heartbeat said is older than this.
            process.member = msgspec.structs.replace(process.member, busy=False)
            if process.is_free:
                self._freed(process)

    def _cost(self, process: _KnownProcess, layers: Sequence[NeededLayer]) -> float:
        """Seconds until the step is done there, by rough expectation."""
        known = self._known.get(process.member.name, ())
        missing = sum(size for digest, size in layers if short(digest) not in known)
        return missing / _BANDWIDTH + _SECONDS * 10.0 / process.speed

    def _holding(self, queue: _Queue, layers: Sequence[NeededLayer], avoid: Collection[str]) -> Iterable[_KnownProcess]:
        """Free processes whose members have a layer of the step, beginning with its last."""
        seen: set[str] = set()
        for digest, _ in reversed(layers):
            for name in self._holders.get(short(digest), ()):
                if name in seen or name in avoid:
                    continue
                seen.add(name)
                for address in self._of_member.get(name, ()):
                    process = self._processes[address]
                    if process.is_free and address in queue.addresses:
                        yield process
                        break
                if len(seen) >= _COMPARED:
                    return

    def _add(self, member: Member, ours: int = 0) -> None:
        process = self._processes[member.address] = _KnownProcess(member=member, ours=ours)
        for offer in member.offers:
            how: How = "emulated" if offer.emulator else "native"
            self._queues.setdefault((offer.platform, how), _Queue()).add(process)
        self._of_member.setdefault(member.name, set())
        if process.is_free:
            self._of_member[member.name].add(member.address)

    def _remove(self, address: str, old: Member | None = None) -> None:
        member = old or self._processes[address].member
        del self._processes[address]
        for queue in self._queues.values():
            queue.addresses.discard(address)
        self._of_member.get(member.name, set()).discard(address)
        if not self._of_member.get(member.name) and not any(
            one.member.name == member.name for one in self._processes.values()
        ):
            for digest in self._known.pop(member.name, ()):
                self._holders[digest].discard(member.name)
            self._of_member.pop(member.name, None)

    def _freed(self, process: _KnownProcess) -> None:
        member = process.member
        for offer in member.offers:
            self._queues[offer.platform, "emulated" if offer.emulator else "native"].add(process)
        self._of_member[member.name].add(member.address)

    def _holds(self, name: str, digests: Iterable[str]) -> None:
        known = self._known.setdefault(name, set())
        for digest in digests:
            if digest not in known:
                known.add(digest)
                self._holders.setdefault(digest, set()).add(name)
