"""Whether a registry can be reached, accepts the stored credentials, and what its clock says."""

from collections.abc import Callable
from typing import Literal

import msgspec

from polyarch.distribution import endpoints
from polyarch.distribution.auth import Scope
from polyarch.errors import PolyarchError, RegistryError
from polyarch.oci import retry as retries
from polyarch.registry.credentials import Credentials
from polyarch.registry.hosts import of_registry
from polyarch.registry.wire import ClientSession

Access = Literal["unreachable", "open", "accepted", "anonymous", "refused"]


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """What a registry answered.

    `access` is "open" if it wants no credentials, "anonymous" if it wants some and none are stored, "accepted" or
    "refused" if it was sent the stored ones. `reason` and `hint` are those of the error, if there was one. `ahead` is
    the number of seconds by which the clock of this machine is ahead of the server's; None without a Date header.
    """

    host: str
    access: Access
    url: str = ""
    reason: str = ""
    hint: str = ""
    ahead: float | None = None


def reach(host: str, session: ClientSession, credentials: Credentials, now: Callable[[], float]) -> Reached:
    """Ask the registry `host` for /v2/, once without and if it wants it once with credentials.

    `now` gives the time in seconds since 1970. Errors are part of the result.
    """
    endpoint = of_registry(host)
    url, ahead = "", None
    try:
        url = session.base(endpoint)
        before = now()
        with session.transport.send("GET", f"{url}{endpoints.PING.target()}", retry=retries.ONCE) as response:
            status, ahead = response.status, _ahead(response.headers("Date"), before, now())
        what = f"{host} cannot be used as a registry"
        session.request(
            endpoint, endpoints.PING, endpoints.PING.target(), scope=Scope(), what=what, retry=retries.ONCE
        ).close()
    except PolyarchError as error:
        access: Access = "unreachable"
        if isinstance(error, RegistryError) and error.status in (401, 403):
            access = "refused" if _is_stored(credentials, host) else "anonymous"
        return Reached(host=host, access=access, url=url, reason=error.message, hint=error.hint or "", ahead=ahead)
    if status != 401:
        access = "open"
    else:
        # A token server gives tokens without credentials as well.
        access = "accepted" if _is_stored(credentials, host) else "anonymous"
    return Reached(host=host, access=access, url=url, ahead=ahead)


def _is_stored(credentials: Credentials, host: str) -> bool:
    try:
        return credentials.get(of_registry(host).host) is not None
    except PolyarchError:
        return True  # it is stored somewhere, and cannot be read


def _ahead(dates: tuple[str, ...] | list[str], before: float, after: float) -> float | None:
    """The seconds by which the clock is ahead of a Date header, which has whole seconds; 0 within its precision."""
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(dates[0]).timestamp()
    except (IndexError, ValueError, TypeError, OverflowError):
        return None
    if before > date + 1:
        return before - date - 1
    return min(after - date, 0.0)
