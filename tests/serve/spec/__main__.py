"""Asks docker-registry again, and writes its answers and the page; with --page only the page, --check compares it."""

import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts import generated
from tests.serve.spec.asked import Asked
from tests.serve.spec.servers import docker_registry
from tests.serve.spec.table import CLAUSES, PAGE, WITNESS, page, suites, witness

ROOT = Path(__file__).resolve().parents[3]


def _ask() -> None:
    said = subprocess.run(["docker-registry", "--version"], capture_output=True, text=True, check=True).stdout
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        registry = Asked(lambda world: stack.enter_context(docker_registry(below(Path(directory), world), world)))
        broken = {clause.name: registry.about(clause).broken for clause in CLAUSES}
    document = {"version": said.split()[-1], "broken": {name: how for name, how in broken.items() if how is not None}}
    WITNESS.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def below(directory: Path, name: str) -> Path:
    """A new directory."""
    (directory / name).mkdir()
    return directory / name


def main(arguments: list[str]) -> int:
    if not arguments:
        _ask()
    return generated.main([word for word in arguments if word == "--check"], ROOT, {PAGE: page(witness(), suites())})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
