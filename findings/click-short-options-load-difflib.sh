#!/bin/bash
# click 8.5.1 (PyPI): a short option imports difflib and looks for similar long options, although nothing is wrong.
#
# Guess: `-q` is a look-up in a dictionary, and "did you mean" costs only what a wrong option costs.
# What happens: the parser tries `-q` as a long option first. That raises NoSuchOption, whose constructor computes the
# suggestions for the message, and the parser catches it and goes on. So each short option costs an import of difflib
# and a comparison with every long option: some milliseconds for a command with forty of them. `--quiet` costs nothing.
source "$(dirname "$0")/common/packages.sh"

pypi click==8.5.1
cat >program.py <<'PY'
import sys

import click


@click.command()
@click.option("-q", "--quiet", is_flag=True)
def program(quiet: bool) -> None:
    print(quiet, "difflib" in sys.modules)


program()
PY
expect "the short option, and whether difflib was imported" "True True" "$("$work/python/bin/python" program.py -q)"
expect "the long option" "True False" "$("$work/python/bin/python" program.py --quiet)"
