"""A farm as tables and as JSON: values in, text out."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from polyarch.farm.values import BuildNote, FarmState, Member, table_of
from polyarch.render import tables, text

# Seconds from which a wrong clock is shown: certificates and tokens tolerate less than this well.
CLOCK = 5.0


def rows(state: FarmState, version: str) -> list[Mapping[str, Any]]:
    """One row for each member, which may have several worker processes."""
    found: list[Mapping[str, Any]] = []
    for name, processes in table_of(state.members).items():
        first = processes[0]
        found.append(
            {
                "Name": name,
                "Native": [one.platform for one in first.offers if not one.emulator],
                "Emulated": [
                    {"Platform": one.platform, "Emulator": one.emulator} for one in first.offers if one.emulator
                ],
                "Slots": len(processes),
                "Busy": sum(one.busy for one in processes),
                "Steps": sum(one.steps for one in processes),
                "CPU": round(sum(one.cpu for one in processes), 1),
                "Memory": sum(one.memory for one in processes),
                "FreeDisk": first.free_disk,
                "Speed": first.speed,
                "Clock": round(first.clock, 3),
                "Version": first.version,
                "Usable": first.version == version,
                "Addresses": [one.address for one in processes],
            }
        )
    return found


def builds(state: FarmState) -> list[Mapping[str, Any]]:
    """One row for each of the last builds."""
    return [
        {
            "Name": note.name,
            "Who": note.who,
            "Platforms": list(note.platforms),
            "Began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(note.began)),
            "Seconds": round(note.ended - note.began, 1) if note.ended else None,
            "Steps": note.steps,
            "Moved": note.moved,
            "Outcome": note.outcome or "running",
        }
        for note in state.builds
    ]


def as_json(state: FarmState, version: str) -> str:
    """The whole state as JSON."""
    whole = {
        "Address": state.address,
        "Members": rows(state, version),
        "OtherWorkers": state.strangers,
        "Builds": builds(state),
    }
    return msgspec.json.format(msgspec.json.encode(whole), indent=2).decode()


def show(state: FarmState, version: str, now: float) -> str:
    """The state for people: members, what is wrong with them, and the last builds."""
    table = table_of(state.members)
    if not table:
        parts = [f"{state.address} has no members: start one with 'polyarch farm worker {state.address}'\n"]
    else:
        lines = [_line(name, processes) for name, processes in table.items()]
        parts = [tables.render(("MEMBER", "NATIVE", "EMULATED", "BUSY", "CPU", "SPEED", "FREE", "VERSION"), lines)]
    parts += [
        f"{name}: {trouble}\n" for name, processes in table.items() for trouble in troubles(processes[0], version)
    ]
    if state.strangers:
        parts.append(f"{state.strangers} other workers of Dask are there, which are not members\n")
    if state.builds:
        header = ("BUILD", "WHO", "PLATFORMS", "BEGAN", "SECONDS", "STEPS", "MOVED", "OUTCOME")
        parts.append("\n" + tables.render(header, [_build(note, now) for note in state.builds]))
    return "".join(parts)


def troubles(member: Member, version: str) -> list[str]:
    """What keeps this member from being used, or may surprise."""
    found = []
    if member.version != version:
        found.append(f"it has Polyarch {member.version} and is not used by this one, which is {version}")
    if abs(member.clock) >= CLOCK:
        found.append(f"its clock is {described(member.clock)} the scheduler's")
    if member.pace < 1:
        found.append(f"it has become slow: {member.pace:.0%} of what it was")
    return found


def described(clock: float) -> str:
    """How far a clock is off, in words before "the scheduler's"."""
    direction = "ahead of" if clock > 0 else "behind"
    return f"{abs(clock):.0f} s {direction}"


def _line(name: str, processes: list[Member]) -> tuple[str, ...]:
    first = processes[0]
    return (
        text.plain(name),
        ",".join(one.platform for one in first.offers if not one.emulator) or "-",
        ",".join(one.platform for one in first.offers if one.emulator) or "-",
        f"{sum(one.busy for one in processes)}/{len(processes)}",
        f"{sum(one.cpu for one in processes):.0f}%",
        f"{first.speed:g}",
        text.size(first.free_disk),
        text.plain(first.version),
    )


def _build(note: BuildNote, now: float) -> tuple[str, ...]:
    return (
        text.clip(text.plain(note.name), 40),
        text.clip(text.plain(note.who), 30),
        ",".join(note.platforms),
        text.age(max(0.0, now - note.began)),
        f"{note.ended - note.began:.1f}" if note.ended else "-",
        str(note.steps),
        str(note.moved),
        text.clip(text.plain(note.outcome or "running"), 60),
    )


def survey_lines(members: Sequence[Member]) -> list[str]:
    """A line for each member, for errors: its name, its platforms, and its version."""
    lines = []
    for name, processes in table_of(members).items():
        first = processes[0]
        shown = ", ".join(f"{one.platform} (emulated)" if one.emulator else one.platform for one in first.offers)
        lines.append(f"{text.plain(name)}: {shown or 'nothing'} (Polyarch {text.plain(first.version)})")
    return lines
