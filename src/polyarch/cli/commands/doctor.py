"""`doctor`: what this machine can do, why not, and which command changes that."""

from typing import TYPE_CHECKING

import click

from polyarch.cli import options
from polyarch.cli.session import Session, pass_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyarch.doctor import Diagnosis


@click.command("doctor")
@click.argument("host", nargs=-1, metavar="[REGISTRY...]")
@click.option("--platform", "platform", multiple=True, metavar="LIST", help="Platforms that this machine has to run")
@click.option("--network", is_flag=True, help="Ask all registries for which credentials are stored, too")
@options.insecure
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON")
@pass_session
def doctor(
    session: Session, host: tuple[str, ...], platform: tuple[str, ...], network: bool, insecure: bool, as_json: bool
) -> int:
    """Show what this machine can do, what is missing, and the command that changes it.

    Tries what builds do, in child processes; nothing on the machine changes, and the store is not made. Registries are
    asked only if they are named or --network is given; the clock is compared with theirs. The exit status is 1 if
    something is missing that every build with RUN needs, or a platform or registry that was named.
    """
    found = examined(session, host, platform, network=network, insecure=insecure)
    if as_json:
        import msgspec

        rows = [{name.capitalize(): value for name, value in msgspec.to_builtins(one).items()} for one in found]
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2))
    else:
        click.echo(table(found), nl=False)
    return 1 if any(one.status == "missing" for one in found) else 0


def examined(
    session: Session, hosts: "Sequence[str]", platforms: "Sequence[str]", *, network: bool, insecure: bool
) -> "tuple[Diagnosis, ...]":
    """All diagnoses. The registries come last, because the others need a process with a single thread."""
    import time

    from polyarch.client import doctor as examining
    from polyarch.registry import credentials

    request = examining.DoctorRequest(
        registries=tuple(hosts), platforms=session.platforms(platforms) if platforms else (), network=network
    )
    around = session.environment
    first, *others = around.files.credentials
    stored = credentials.load(first, others=others, search_path=around.search_path)
    return examining.examine(
        around,
        session.root,
        request,
        session.host(),
        stored,
        lambda: session.registry(hosts if insecure else ()),
        time.time,
    )


def table(found: "Sequence[Diagnosis]") -> str:
    """A line for each, and below them how to mend what is not ok."""
    from polyarch.render import tables

    lines = tables.render(("WHAT", "STATUS", "FOUND"), [(one.name, one.status, one.found) for one in found])
    for one in found:
        if one.status != "ok":
            lines += f"\n{one.name}: {one.reason}\n" + (f"    {one.mend}\n" if one.mend else "")
    return lines
