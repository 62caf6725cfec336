"""What a scheduler says of its farm: members, their platforms and load, and the last builds."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from polyarch.farm import engine
from polyarch.farm.certificates import Bundle
from polyarch.farm.values import BUILDS, METRIC, BuildNote, FarmState, Member

# How many builds are shown.
_LAST = 10


def state(address: str, bundle: Bundle | None) -> FarmState:
    """Ask the scheduler. Raises FarmError."""
    engine.configure()
    return asyncio.run(_state(address, bundle))


async def _state(address: str, bundle: Bundle | None) -> FarmState:
    async def question(scheduler: Any) -> tuple[Any, Any]:
        return await scheduler.identity(), await scheduler.events(topic=BUILDS)

    identity, events = await engine.ask(address, engine.security(bundle), question)
    found = members(identity)
    return FarmState(
        address=address,
        started=identity["started"],
        members=found,
        strangers=len(identity["workers"]) - len(found),
        builds=notes(message for _, message in events),
    )


def members(identity: Mapping[str, Any]) -> tuple[Member, ...]:
    """The worker processes of members in what a scheduler says of itself, by their names."""
    found = (_member(address, worker) for address, worker in identity["workers"].items())
    return tuple(sorted((one for one in found if one is not None), key=lambda one: (one.name, one.address)))


def _member(address: str, worker: Mapping[str, Any]) -> Member | None:
    metrics = worker.get("metrics", {})
    said = metrics.get(METRIC)
    if not isinstance(said, dict):
        return None
    whole = {
        **said,
        "address": address,
        "cpu": float(metrics.get("cpu") or 0.0),
        "memory": int(metrics.get("memory") or 0),
        "seen": float(worker.get("last_seen") or 0.0),
    }
    try:
        return msgspec.convert(whole, Member, strict=False)
    except msgspec.ValidationError:
        # A version that says other things; its version is what counts.
        name, version = str(said.get("name", address)), str(said.get("version", "unknown"))
        return Member(address=address, name=name, version=version)


def notes(messages: Any) -> tuple[BuildNote, ...]:
    """The last builds, the newest first. Of two notes about one build, the later counts."""
    found: dict[str, BuildNote] = {}
    for message in messages:
        try:
            note = msgspec.convert(message, BuildNote)
        except msgspec.ValidationError:
            continue
        found[note.id] = note
    return tuple(sorted(found.values(), key=lambda note: note.began, reverse=True)[:_LAST])
