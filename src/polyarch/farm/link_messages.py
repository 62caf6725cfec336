"""What a build and the process that speaks with the scheduler for it say to each other."""

import msgspec

from polyarch.farm.certificates import Bundle
from polyarch.farm.messages import Ticket
from polyarch.farm.placement import How, NeededLayer
from polyarch.farm.results import HeldResult
from polyarch.farm.values import BuildNote


class LinkOrder(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """The first message: the scheduler, and what it is told of the build. A step may take `patience` seconds on one
    member (0: any number) until another one gets it.
    """

    scheduler: str
    bundle: Bundle | None
    version: str
    note: BuildNote
    silence: float
    patience: float = 0.0


class Submitted(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """A step to be done, and those that its ticket carries beside it. `name` is for messages. `key` is its cache key;
    empty if it must be done, whoever has its result.
    """

    id: int
    name: str
    key: str = ""
    ticket: Ticket
    platform: str
    layers: tuple[NeededLayer, ...]


class Cancelled(msgspec.Struct, frozen=True, tag=True):
    """A step is not wanted any more."""

    id: int


class Progressed(msgspec.Struct, frozen=True, tag=True):
    """The build has the result of a step, and so has a member: `held`. The next one of the same ticket is called `name`
    (empty if there is none), and has this `key`, as in `Submitted`.
    """

    id: int
    name: str = ""
    key: str = ""
    held: HeldResult | None = None


class Ended(msgspec.Struct, frozen=True, tag=True):
    """The last message to the link: the build has ended so."""

    outcome: str


class Surveyed(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """What the farm can do: for each platform the first member and how it runs there. `table` lists all members.

    `warnings` are about members that are not used, or whose clock is wrong.
    """

    places: dict[str, tuple[str, How]]
    slots: int
    table: tuple[str, ...]
    warnings: tuple[str, ...] = ()


class Unusable(msgspec.Struct, frozen=True, tag=True):
    """The farm cannot be used, from now on."""

    message: str
    hint: str = ""


class Moved(msgspec.Struct, frozen=True, tag=True):
    """Something that happened to a step, for the output."""

    text: str


class Done(msgspec.Struct, frozen=True, tag=True):
    """The steps of a ticket have ended: the encoded `StepResult` of the last, or of that which failed."""

    id: int
    result: bytes


class NotDone(msgspec.Struct, frozen=True, tag=True):
    """No member did a step."""

    id: int
    message: str
    hint: str = ""


ToLink = LinkOrder | Submitted | Progressed | Cancelled | Ended
FromLink = Surveyed | Unusable | Moved | Done | NotDone
decode_to_link = msgspec.msgpack.Decoder(ToLink).decode
decode_from_link = msgspec.msgpack.Decoder(FromLink).decode
