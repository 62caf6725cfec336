"""The options of `build`, `bake` and `compose build` that have RUN steps done by a farm."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from polyarch.cli.session import Session
from polyarch.errors import UsageError

if TYPE_CHECKING:
    from polyarch.builder.remote import RemoteRunner
    from polyarch.progress import Emit
    from polyarch.registry import Registry

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--farm", metavar="ADDRESS", help="Have RUN steps done by this farm: tls://HOST:PORT (default: $POLYARCH_FARM)"
    ),
    click.option(
        "--farm-fallback", is_flag=True, help="Run platforms that no member of the farm runs here, emulated if need be"
    ),
    click.option("--farm-cert", metavar="PATH", help="Certificates of the farm (default: $POLYARCH_FARM_CERT)"),
    click.option("--farm-listen", metavar="HOST:PORT", help="Where members of the farm reach this command"),
    click.option(
        "--farm-contact", metavar="HOST:PORT", help="Where they reach --farm-listen, if its port is forwarded"
    ),
    click.option("--farm-carrier", metavar="NAME", help="Repository that carries layers to members, and back"),
    click.option(
        "--farm-timeout",
        type=click.FloatRange(min=0),
        default=0.0,
        metavar="SECONDS",
        help="A step that takes longer on one member gets another one, once (default: no limit)",
    ),
)
_BESIDE = ("farm_fallback", "farm_cert", "farm_listen", "farm_contact", "farm_carrier", "farm_timeout")


def farm_options(function: F) -> F:
    """The options about a farm."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@contextlib.contextmanager
def farm_of(
    session: Session, words: Mapping[str, Any], name: str, registry: "Callable[[], Registry]", emit: "Emit"
) -> "Iterator[RemoteRunner | None]":
    """Yield what has RUN steps done elsewhere; None if neither options nor the environment name a farm.

    `name` is what `farm status` calls the build. Raises UsageError, NotFoundError and FarmError for certificates.
    """
    address = words["farm"] or session.environment.variables.get("POLYARCH_FARM")
    # An empty value switches the farm of the environment off.
    if words["farm"] == "" or not address:
        if any(words[beside] for beside in _BESIDE):
            raise UsageError("these options need a farm", "give its address with --farm tls://HOST:PORT")
        yield None
        return
    from polyarch.cli.commands.farm import bundle_of
    from polyarch.farm.addresses import scheduler_address
    from polyarch.farm.client import FarmOptions
    from polyarch.farm.opening import ExchangeOptions, opened
    from polyarch.farm.values import BuildNote
    from polyarch.registry import credentials

    there = scheduler_address(address, insecure=bool(words.get("insecure")))
    options = FarmOptions(
        scheduler=there,
        bundle=bundle_of(session, "client", words["farm_cert"], there),
        fallback=words["farm_fallback"],
        patience=words["farm_timeout"],
    )
    reached = ExchangeOptions(
        listen=words["farm_listen"] or "", contact=words["farm_contact"] or "", carrier=words["farm_carrier"] or ""
    )
    user = session.environment.variables.get("USER") or str(os.getuid())
    note = BuildNote(id="", name=name, who=f"{user}@{os.uname().nodename}", platforms=(), began=time.time())
    first, *others = session.environment.files.credentials
    stored = credentials.load(first, others=others, search_path=session.environment.search_path)
    with opened(options, reached, note, session.store, registry(), stored.get, emit) as runner:
        yield runner
