"""The keyword `farm` of `Polyarch.build`, checked and turned into the value of a request."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from polyarch.client import arguments
from polyarch.client.arguments import StrPath
from polyarch.client.environment import Environment
from polyarch.errors import UsageError

if TYPE_CHECKING:
    from polyarch.builder.request.farm import FarmRequest


class FarmSettings(TypedDict, total=False):
    """A farm that does the RUN steps of a build, each platform where it runs natively.

    `address` is that of its scheduler: "tls://farm.example.org:8786". `certificates` is the path of client.pem, or of
    the directory that it is in; the default is $POLYARCH_FARM_CERT, or farm beside Polyarch's configuration. With
    `fallback`, platforms that no member runs are run on this machine. `listen` is "HOST:PORT" where members reach this
    process, `contact` where a port is that is forwarded to it, and `carrier` a repository that carries layers instead.
    A step that takes longer than `timeout` seconds on one member gets another one, once.
    """

    address: str
    certificates: StrPath
    fallback: bool
    listen: str
    contact: str
    carrier: str
    timeout: float


def requested(value: object, environment: Environment, directory: Path) -> "FarmRequest | None":
    """The farm of a build, if there is one. Raises UsageError."""
    given: Mapping[str, Any] = {"address": value} if value is None or isinstance(value, str) else _checked(value)
    address = given.get("address")
    if address is None:
        address = environment.variables.get("POLYARCH_FARM", "")
    if not address:
        return None
    from polyarch.builder.request.farm import FarmRequest

    own = environment.files.polyarch[0].parent / "farm"
    path = given.get("certificates") or environment.variables.get("POLYARCH_FARM_CERT") or own
    return FarmRequest(
        address=address,
        certificates=str(arguments.path("farm.certificates", path, lambda: directory)),
        fallback=given.get("fallback", False),
        listen=given.get("listen", ""),
        contact=given.get("contact", ""),
        carrier=given.get("carrier", ""),
        timeout=float(given.get("timeout", 0.0)),
    )


def _checked(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        arguments.refuse("farm", value, "an address, or FarmSettings")
    for key, item in value.items():
        match key:
            case "address" | "listen" | "contact" | "carrier":
                arguments.text(f"farm.{key}", item)
            case "fallback":
                arguments.flag("farm.fallback", item)
            case "timeout":
                if not isinstance(item, int | float) or isinstance(item, bool) or item < 0:
                    arguments.refuse("farm.timeout", item, "a number of seconds")
            case "certificates":
                pass  # checked as a path, when the others are known to be right
            case _:
                raise UsageError(f"farm has no {key!r}", f"there are {', '.join(FarmSettings.__annotations__)}")
    if not value.get("address"):
        raise UsageError("farm has no address", 'give that of its scheduler: "tls://HOST:PORT"')
    return value
