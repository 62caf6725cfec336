"""Examining the machine: for the command line, and in a worker process for `Polyarch.doctor`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from polyarch.client.environment import Environment
from polyarch.oci.platform import Platform

if TYPE_CHECKING:
    from polyarch.doctor import Diagnosis
    from polyarch.registry import Credentials, Registry


class DoctorRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to examine besides the machine itself.

    `registries` are asked, and `platforms` must run. With `network`, the registries for which credentials are stored
    are asked as well.
    """

    registries: tuple[str, ...] = ()
    platforms: tuple[Platform, ...] = ()
    network: bool = False


def examine(
    environment: Environment,
    root: Path,
    request: DoctorRequest,
    host: Platform,
    credentials: "Credentials",
    registry: "Callable[[], Registry]",
    now: Callable[[], float],
) -> "tuple[Diagnosis, ...]":
    """Examine the machine, the credentials and the registries, in this order.

    The first needs a process with a single thread. `registry` opens the client for registries. Raises PolyarchError.
    """
    from polyarch.client import configuration
    from polyarch.doctor import examine_credentials, examine_machine, examine_registries
    from polyarch.oci import platform
    from polyarch.sandbox.emulation import COMMON, name

    common = platform.parse_list([COMMON], host)
    search_path = environment.search_path
    name(dict(configuration.emulators(environment.files.polyarch)))
    found: Sequence[Diagnosis] = examine_machine(root, search_path, common, request.platforms)
    stored, known = examine_credentials(credentials, search_path)
    others = known if request.network else ()
    if not (request.registries or others):
        return (*found, *stored)
    opened = registry()
    answers = examine_registries(lambda name: opened.reach(name, now), request.registries, others)
    return (*found, *stored, *answers)
