"""`make clients`: real programs that call docker, with Polyarch as docker and a registry of our own.

python -m tests.clients [NAME...]    run these clients (default: all), and say how many of their calls passed

Their packages come from npm and PyPI into a directory of the cache. `test_actions.py` and `test_plugin.py` in
tests/cli/docker need none of them, and run with the other tests.
"""

import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts import busybox
from scripts.local_registry import running

_HERE = Path(__file__).parent
_TOOLKIT = "@docker/actions-toolkit@0.101.0"
_WHALES = "python-on-whales==0.81.0"
_SECONDS = 300


class Client(NamedTuple):
    """A program that calls docker: how it is installed, and the command that drives it."""

    package: str
    install: Callable[[Path, str], None]
    command: Callable[[Path], Sequence[str | Path]]


def main(names: Sequence[str]) -> int:
    failed = 0
    with (
        tempfile.TemporaryDirectory(prefix="polyarch-clients-") as directory,
        running(Path(directory, "r")) as registry,
    ):
        for name in names or CLIENTS:
            results = _run(CLIENTS[name], Path(directory, name), registry.address)
            wrong = {step: told for step, told in results.items() if told}
            print(f"{name}: {len(results) - len(wrong)} of {len(results)} calls passed")
            for step, told in wrong.items():
                print(f"  {step}: {told}")
            failed += len(wrong)
    return 1 if failed else 0


def _run(client: Client, directory: Path, registry: str) -> Mapping[str, str]:
    """Drive a client. Returns its steps, each with what went wrong, or nothing."""
    place = busybox.cache_directory() / f"client-{client.package.replace('/', '-')}"
    if not (place / "installed").exists():
        place.mkdir(parents=True, exist_ok=True)
        client.install(place, client.package)
        (place / "installed").touch()
    context = directory / "context"
    context.mkdir(parents=True)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    bake = {"target": {"default": {"context": str(context), "tags": ["baked:1"], "output": ["type=cacheonly"]}}}
    (context / "docker-bake.json").write_text(json.dumps(bake))
    links = directory / "links"
    polyarch = Path(sys.executable).parent / "polyarch"
    env = {
        **os.environ,
        "HOME": str(directory),
        "PATH": f"{links}:{os.environ['PATH']}:/usr/sbin:/sbin",
        "POLYARCH_ROOT": str(directory / "store"),
        "RUNNER_TEMP": str(directory),
        "GITHUB_REPOSITORY": "o/r",
    }
    subprocess.run([polyarch, "docker-links", links], env=env, check=True, capture_output=True)
    command = [*client.command(place), f"{registry}/team/app", str(context)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=_SECONDS, check=False, cwd=context)
    for line in done.stdout.splitlines():
        if line.startswith("RESULTS "):
            found: dict[str, str] = json.loads(line.removeprefix("RESULTS "))
            return found
    raise SystemExit(f"{command} said nothing:\n{done.stdout}\n{done.stderr}")


def _npm(place: Path, package: str) -> None:
    (place / "package.json").write_text('{"type": "module"}')
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-save", package]
    subprocess.run(command, cwd=place, check=True, capture_output=True)
    # A module finds its packages beside itself.
    (place / "toolkit.mjs").symlink_to(_HERE / "toolkit.mjs")


def _pip(place: Path, package: str) -> None:
    venv.create(place / "venv", with_pip=True)
    subprocess.run([place / "venv/bin/pip", "install", "--quiet", package], check=True)


CLIENTS: Mapping[str, Client] = {
    "actions-toolkit": Client(
        _TOOLKIT, _npm, lambda place: ["node", "--preserve-symlinks-main", place / "toolkit.mjs"]
    ),
    "python-on-whales": Client(_WHALES, _pip, lambda place: [place / "venv/bin/python", _HERE / "whales.py"]),
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
