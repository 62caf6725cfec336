"""What a server gets from its caller, because only `cli/` and `client/` read the clock and the configuration."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from polyarch.registry import Registry
    from polyarch.store import Store


class ServeSurroundings(msgspec.Struct, frozen=True, kw_only=True):
    """`now` is the time in seconds since 1970. `open_registry` makes a client for the registries behind a mirror: with
    the credentials and the configuration of the user, and this text in its User-Agent. `open_store` opens the store
    again, for what a mirror keeps. `report` is told of errors that are not a client's, `log` of every request.
    """

    now: Callable[[], float]
    open_registry: "Callable[[str], Registry] | None" = None
    open_store: "Callable[[], Store] | None" = None
    report: Callable[[Exception], None]
    log: Callable[[str], None] | None = None
