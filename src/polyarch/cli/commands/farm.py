"""`farm`: machines that build together, each the platforms that it runs natively."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from polyarch.cli.groups import LazyGroup
from polyarch.cli.session import Session, pass_session
from polyarch.errors import UsageError

if TYPE_CHECKING:
    from polyarch.farm.certificates import Bundle, Role
    from polyarch.farm.values import MemberOptions

F = TypeVar("F", bound=Callable[..., Any])

SECTIONS = {
    "Commands": {
        "init": ("farm:init", "Make the certificates of a farm"),
        "scheduler": ("farm:scheduler", "Run the scheduler of a farm"),
        "status": ("farm:status", "Show the members of a farm, their load and the last builds"),
        "up": ("farm_up:up", "Start a scheduler, and members over ssh or with a cluster class of Dask"),
        "worker": ("farm:worker", "Offer this machine to a farm"),
    }
}

farm = LazyGroup("farm", sections=SECTIONS, help="A farm: machines that build together, each what it runs natively.")

# The most worker processes that a member has unless --slots says otherwise.
_MOST_SLOTS = 8


def certificate_options(function: F) -> F:
    """`--farm-cert` and `--insecure`."""
    for option in (
        click.option("--insecure", is_flag=True, help="Allow a farm without TLS, which runs the code of everyone"),
        click.option(
            "--farm-cert",
            metavar="PATH",
            help="Bundle, or directory of farm init (default: $POLYARCH_FARM_CERT, else farm in the configuration); "
            "- reads standard input",
        ),
    ):
        function = option(function)
    return function


def silence_option(function: F) -> F:
    """`--silence`."""
    return click.option(
        "--silence",
        type=click.FloatRange(min=2),
        default=20.0,
        metavar="SECONDS",
        help="A member that says nothing for so long counts as cut off (default: 20)",
    )(function)


def directory_of(session: Session) -> Path:
    """Where certificates are unless an option names another place: beside our configuration."""
    return session.environment.files.polyarch[0].parent / "farm"


def bundle_of(session: Session, role: "Role", path: str | None, address: str = "") -> "Bundle | None":
    """The bundle of certificates that options and the environment name; None for an address without TLS."""
    import sys

    from polyarch.farm import certificates
    from polyarch.farm.worker import require_extra

    require_extra()
    if address.startswith("tcp://"):
        return None
    if path == "-":
        return certificates.parse(sys.stdin.readline().replace("\\n", "\n"), "standard input", time.time())
    chosen = path or session.environment.variables.get("POLYARCH_FARM_CERT") or directory_of(session)
    return certificates.load(Path(chosen), time.time(), role)


def address_of(session: Session, address: str | None, *, insecure: bool) -> str:
    """The address of the scheduler: of an argument, else of POLYARCH_FARM. Raises UsageError."""
    from polyarch.farm.addresses import scheduler_address

    named = address or session.environment.variables.get("POLYARCH_FARM")
    if not named:
        raise UsageError("no farm is named", "give the address of its scheduler: tls://HOST:PORT, or set POLYARCH_FARM")
    return scheduler_address(named, insecure=insecure)


@click.command("init")
@click.argument("directory", required=False)
@click.option("--days", type=int, default=365, metavar="NUMBER", help="How long certificates are valid (default: 365)")
@click.option("--renew", is_flag=True, help="Make new certificates of the same authority")
@click.option("--client", "name", metavar="NAME", help="Make only one more client's certificate, of this name")
@pass_session
def init(session: Session, directory: str | None, days: int, renew: bool, name: str | None) -> None:
    """Make the certificates of a farm: an authority, and a bundle for schedulers, workers and clients.

    The default directory is farm in the configuration of Polyarch. Whoever has a bundle may run code on every member:
    copy worker.pem to members and client.pem to those who build. ca-key.pem stays here.
    """
    from polyarch.farm import certificates
    from polyarch.farm.worker import require_extra

    require_extra()
    if name is not None and (not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name[0] in ".-"):
        raise UsageError(f"--client {name!r} is not a name", "expected letters, digits, - _ and .")
    place = Path(directory) if directory else directory_of(session)
    for path in certificates.init(place, time.time(), days=days, renew=renew, name=name or ""):
        click.echo(path)


@click.command("scheduler")
@click.option(
    "--listen", metavar="HOST[:PORT]", default="127.0.0.1:8786", help="Where to listen (default: 127.0.0.1:8786)"
)
@click.option("--contact", metavar="ADDRESS", help="The address that others reach it at, if it is another one")
@silence_option
@certificate_options
@pass_session
def scheduler(
    session: Session, listen: str, contact: str | None, silence: float, farm_cert: str | None, insecure: bool
) -> None:
    """Run the scheduler of a farm, until it is interrupted. Members and commands connect to it.

    It listens for this machine alone unless --listen names another address. It needs a certificate of farm init;
    --insecure without one runs it without TLS.
    """
    from polyarch.farm import scheduler as running
    from polyarch.farm.worker import require_extra

    require_extra()
    bundle = None if insecure and not farm_cert else bundle_of(session, "scheduler", farm_cert)
    settings = running.settings_of(listen, bundle, silence, contact or "")
    running.serve(settings, lambda address: click.echo(f"{address}"), session.warn)


@click.command("worker")
@click.argument("address", required=False)
@click.option("--platform", "platform", multiple=True, metavar="LIST", help="Platforms to offer, emulated ones as well")
@click.option("--name", metavar="NAME", help="Name of this member (default: the host's)")
@click.option("--slots", type=click.IntRange(1, 512), metavar="NUMBER", help="Steps that it does at once")
@click.option(
    "--listen",
    metavar="HOST[:PORT]",
    help="Where it listens (default: what faces the scheduler)",
)
@click.option("--contact", metavar="ADDRESS", help="The address that others reach it at, if it is another one")
@silence_option
@certificate_options
@pass_session
def worker(
    session: Session,
    address: str | None,
    platform: tuple[str, ...],
    name: str | None,
    slots: int | None,
    listen: str | None,
    contact: str | None,
    silence: float,
    farm_cert: str | None,
    insecure: bool,
) -> None:
    """Offer this machine to the farm whose scheduler is at ADDRESS, until it is interrupted.

    It offers the platforms that it runs natively, or those of --platform. Each worker process does one step at a time,
    in the same sandbox as a local build, with the store of this machine. The default is a process for each processor,
    8 at most.
    """
    import sys

    from polyarch.farm import report
    from polyarch.farm.worker import MemberOrder, MemberProcesses

    there = address_of(session, address, insecure=insecure)
    bundle = bundle_of(session, "worker", farm_cert, there)
    settings = member_options(session, platform, name, slots, silence)
    if (listen or contact) and settings.slots > 1:
        raise UsageError("--listen and --contact are for one worker process", "add --slots 1")
    order = MemberOrder(
        scheduler=there,
        bundle=bundle,
        options=settings,
        silence=silence,
        listen=listen or "",
        contact=contact or "",
    )
    offers = report.offers(settings)
    with MemberProcesses(order, offers, session.note) as processes:
        # Started over ssh, it ends when the connection does.
        processes.serve(sys.stdin.fileno() if farm_cert == "-" else None)


def member_options(
    session: Session, platform: tuple[str, ...], name: str | None, slots: int | None, silence: float
) -> "MemberOptions":
    """What this machine, or another one with the same options, is told to be."""
    import os

    from polyarch.farm.values import MemberOptions

    return MemberOptions(
        name=os.uname().nodename if name is None else name,
        root=str(session.root.absolute()),
        search_path=session.environment.search_path,
        offers=session.platforms(platform) if platform else None,
        emulators=session.emulators(),
        slots=slots or min(_MOST_SLOTS, os.cpu_count() or 1),
        silence=silence,
    )


@click.command("status")
@click.argument("address", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON")
@certificate_options
@pass_session
def status(session: Session, address: str | None, as_json: bool, farm_cert: str | None, insecure: bool) -> None:
    """Show the members of a farm: platforms, load, versions, clocks; and the last builds.

    ADDRESS is that of the scheduler (default: $POLYARCH_FARM).
    """
    there = address_of(session, address, insecure=insecure)
    bundle = bundle_of(session, "client", farm_cert, there)
    from polyarch.farm import status as asking
    from polyarch.farm import table
    from polyarch.version import VERSION

    state = asking.state(there, bundle)
    if as_json:
        click.echo(table.as_json(state, VERSION))
    else:
        click.echo(table.show(state, VERSION, time.time()), nl=False)
