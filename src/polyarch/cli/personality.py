"""Another name under which the program can be called, with other commands and another style of errors."""

from typing import NamedTuple

import click

from polyarch.cli.errors import ErrorPrinter


class Personality(NamedTuple):
    """The name of the program, its commands, and how it prints errors."""

    name: str
    program: click.Command
    printer: type[ErrorPrinter]
