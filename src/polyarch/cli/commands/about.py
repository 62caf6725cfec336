"""`version` and `completion`: the program itself."""

import click

from polyarch.cli.formats import show_document
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
def completion(shell: str) -> None:
    """Print the script that completes commands, flags and image names.

    bash: source <(polyarch completion bash). fish: polyarch completion fish > ~/.config/fish/completions/polyarch.fish
    """
    from click.shell_completion import get_completion_class

    from polyarch.cli.commands.program import program

    completion_class = get_completion_class(shell)
    assert completion_class is not None
    click.echo(completion_class(program, {}, "polyarch", "_POLYARCH_COMPLETE").source())
