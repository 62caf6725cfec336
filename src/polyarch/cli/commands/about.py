"""`version` and `completion`: the program itself."""

import click

from polyarch.cli.formats import show_document
from polyarch.errors import UsageError
from polyarch.version import VERSION


@click.command("version")
@click.option("-f", "--format", "form", metavar="FORMAT", help="Output format: json or a Go template")
def version(form: str | None) -> None:
    """Show the versions of Polyarch, Python and the system."""
    import os
    import sys

    from polyarch.oci import platform

    system = os.uname()
    versions = {
        "Version": VERSION,
        "Python": ".".join(map(str, sys.version_info[:3])),
        "Platform": str(platform.of_machine(system.machine)),
        "Kernel": system.release,
    }
    if form:
        show_document(form, [versions], always_list=False)
        return
    for name, value in versions.items():
        click.echo(f"{name + ':':10} {value}")


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.option("--alias", metavar="NAME", help="Complete the words of an alias of this program, such as docker")
@click.pass_context
def completion(context: click.Context, shell: str, alias: str | None) -> None:
    """Print the script that completes commands, flags, images, platforms, stages and paths.

    bash: source <(polyarch completion bash). fish: polyarch completion fish > ~/.config/fish/completions/polyarch.fish
    """
    from polyarch.cli.completion import script

    root = context.find_root()
    name = str(root.info_name)
    click.echo(script(shell, root.command, alias or name, name))


@click.command("help", context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, metavar="[COMMAND...]")
@click.pass_context
def help_(context: click.Context, words: tuple[str, ...]) -> None:
    """Show the help of a command."""
    shown = context.find_root()
    for word in words:
        group = shown.command
        if not isinstance(group, click.Group):
            raise UsageError(f"{shown.command_path} has no commands", f"'{shown.command_path} --help' shows its flags")
        name, command, _ = group.resolve_command(shown, [word])
        assert command is not None
        shown = click.Context(command, info_name=name, parent=shown)
    click.echo(shown.get_help())
