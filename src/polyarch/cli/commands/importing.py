"""`import`: create an image from a root filesystem."""

import sys
from typing import TYPE_CHECKING, Any

import click

from polyarch.cli import options
from polyarch.cli.session import Session, pass_session
from polyarch.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from polyarch.builder.plan.state import StageState
    from polyarch.oci.config import ImageConfig


@click.command("import")
@click.argument("file", metavar="FILE|-")
@click.argument("name", metavar="NAME[:TAG]")
@options.platform(several=False, help="Platform of the files (default: this machine's)")
@click.option(
    "-c",
    "--change",
    "changes",
    multiple=True,
    metavar="INSTRUCTION",
    help="Apply a Dockerfile instruction to the config, such as 'CMD [\"sh\"]'",
)
@click.option("-m", "--message", default="", metavar="TEXT", help="Comment for the history")
@options.progress
@pass_session
def import_(
    session: Session,
    file: str,
    name: str,
    platform: str | None,
    changes: tuple[str, ...],
    message: str,
    progress: str | None,
) -> None:
    """Create an image for one platform from a tar (compressed or not) of its root filesystem.

    Creates the index NAME with this image, or sets the entry for the platform if the index exists.
    """
    from polyarch.images import import_ as importing
    from polyarch.oci import reference as references

    if file == "-" and sys.stdin.isatty():
        raise UsageError("standard input is a terminal, not a tar", "name a file, or redirect standard input")
    reference = references.parse(name).tagged()
    target = session.platform(platform) or session.host()
    configure = _configure(changes) if changes else lambda config: config
    settings = importing.Settings(created=session.timestamp(), source=file, message=message)
    with session.display(progress, verb="Importing") as emit:
        if file == "-":
            result = importing.import_image(
                session.store, sys.stdin.buffer, reference, target, settings, configure, emit
            )
        else:
            try:
                tar = open(file, "rb")  # noqa: SIM115 (closed by the with below)
            except FileNotFoundError as error:
                raise NotFoundError(f"there is no file {file}", "give a tar, or - for standard input") from error
            with tar:
                result = importing.import_image(session.store, tar, reference, target, settings, configure, emit)
    if result.replaced:
        session.note(f"{reference.familiar()}: replaced the image for {target} ({result.replaced})")
    click.echo(result.image.digest)


def _configure(changes: tuple[str, ...]) -> "Callable[[ImageConfig], ImageConfig]":
    """A function that applies the instructions of `--change` to a config. Raises UsageError for an unsupported one."""
    from polyarch.dockerfile import parser
    from polyarch.dockerfile.instructions.expansion import expand

    instructions = [parser.parse_trigger(change, f"--change {change!r}") for change in changes]
    for instruction in instructions:
        if not isinstance(instruction, tuple(_effects())):
            known = ", ".join(sorted(kind.__name__.upper() for kind in _effects()))
            raise UsageError(f"--change does not support {instruction.keyword}", f"supported: {known}")

    def configure(config: "ImageConfig") -> "ImageConfig":
        from polyarch.builder.plan.growing import SharedList, SharedMap
        from polyarch.builder.plan.state import StageState
        from polyarch.builder.vertices import NOTHING

        state = StageState(
            platform=config.platform, layers=NOTHING, config=config, history=SharedList(), env=SharedMap(config.env)
        )
        for instruction in instructions:
            expanded, _ = expand(instruction, state.env, "\\")
            state = _effects()[type(expanded)](state, expanded)
        return state.finished()

    return configure


def _effects() -> "Mapping[type[Any], Callable[[Any, Any], StageState]]":
    """The effect of each supported instruction on a config, the same as in a build."""
    from polyarch.builder.plan import config as effects
    from polyarch.dockerfile.instructions import config as syntax
    from polyarch.dockerfile.instructions.healthcheck import Healthcheck

    def workdir(state: "StageState", instruction: syntax.Workdir) -> "StageState":
        import posixpath

        return state.configured(WorkingDir=posixpath.normpath(posixpath.join(state.workdir, instruction.path)))

    return {
        syntax.Cmd: effects.cmd,
        syntax.Entrypoint: effects.entrypoint,
        syntax.Env: effects.env,
        syntax.Expose: effects.expose,
        Healthcheck: effects.healthcheck,
        syntax.Label: effects.label,
        syntax.Onbuild: effects.onbuild,
        syntax.Shell: effects.shell,
        syntax.StopSignal: effects.stop_signal,
        syntax.User: effects.user,
        syntax.Volume: effects.volume,
        syntax.Workdir: workdir,
    }
