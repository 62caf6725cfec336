"""`explain`: what a build did, or would do now, step by step, and why. `builder.history.summary` has the analysis."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polyarch.cli import options
from polyarch.cli.session import Session, pass_session
from polyarch.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from polyarch.builder import BuildRecord


@click.command("explain")
@click.argument("what", required=False, metavar="IMAGE|PATH", shell_complete=options.complete_image)
@click.option("-f", "--file", metavar="FILE", help="Explain what a build of this Dockerfile would do now")
@options.platform(several=True, help="Explain a build for these platforms (with a Dockerfile)")
@click.option("--target", multiple=True, metavar="STAGE", help="Build up to this stage (with a Dockerfile)")
@click.option("--build-arg", "build_args", multiple=True, metavar="NAME[=VALUE]", help="Set an ARG (with a Dockerfile)")
@click.option(
    "--build-context", "contexts", multiple=True, metavar="NAME=PATH", help="Add a named context (with a Dockerfile)"
)
@click.option(
    "--cache-from",
    multiple=True,
    metavar="REF|type=…",
    help="Look into a cache outside of the store, too (with a Dockerfile)",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON")
@click.option("--html", metavar="FILE", help="Write a time line as an HTML page to FILE; - is standard output")
@options.insecure
@pass_session
def explain(
    session: Session,
    what: str | None,
    file: str | None,
    platform: tuple[str, ...],
    target: tuple[str, ...],
    build_args: tuple[str, ...],
    contexts: tuple[str, ...],
    cache_from: tuple[str, ...],
    as_json: bool,
    html: str | None,
    insecure: bool,
) -> None:
    """Show the last build of an image: how long each step took, whether it was cached, and if not, why.

    With -f or the PATH of a context, show what a build would do now, compared with the last build of that context,
    without building. Gives advice on long steps under emulation.
    """
    if what is None and file is None:
        raise UsageError("explain needs an image or a Dockerfile", "as in: polyarch explain app; polyarch explain .")
    planned = file is not None or Path(what or "").is_dir()
    if planned:
        from polyarch import builder, buildflags

        request = buildflags.request(
            what or ".",
            session.surroundings(),
            file=file,
            platforms=platform,
            target=target,
            build_args=build_args,
            contexts=contexts,
            cache_from=cache_from,
        )
        record = builder.dry_run(request, session.store, session.registry())
    else:
        record = _last_build(session, what or "")
    if html:
        from polyarch.render.build_page import render_page

        page = render_page(record, planned=planned)
        if html == "-":
            click.echo(page, nl=False)
        else:
            Path(html).write_text(page)
    elif as_json:
        import msgspec

        from polyarch.builder.history import summary

        click.echo(msgspec.json.format(msgspec.json.encode(summary.document(record)), indent=2))
    else:
        from polyarch.render.build_text import render_text

        click.echo(render_text(record, time.time(), planned=planned), nl=False)


def _last_build(session: Session, name: str) -> "BuildRecord":
    from polyarch.builder import BuildHistory
    from polyarch.images import names

    record = BuildHistory(session.store).of_image(names.full(name))
    if record is None:
        raise NotFoundError(
            f"there is no record of a build of {name}",
            "builds with -t are recorded; 'polyarch explain -f Dockerfile PATH' shows what a build would do",
        )
    return record
