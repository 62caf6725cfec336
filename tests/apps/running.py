"""Building an application with Polyarch and with BuildKit, and testing it."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts import busybox
from scripts.buildkit_daemon import BuildKitDaemon
from tests import trees
from tests.apps import compare
from tests.apps.apps import App
from tests.program import Program, run

_BUILD_SECONDS = 1800.0
# Emulated servers take their time on a machine at work; each test has a limit of its own.
_TEST_SECONDS = 600.0


def prepared(app: App, scratch: Path) -> Path:
    """A copy of the application's context with the modes of a fresh clone, and what its prepare.sh adds."""
    context = scratch / "context"
    shutil.copytree(
        app.directory, context, symlinks=True, ignore=shutil.ignore_patterns("app.toml", "tests.toml", "witnessed.txt")
    )
    for path in (context, *context.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    if (context / "prepare.sh").exists():
        environment = {**os.environ, "BASES": str(busybox.cache_directory())}
        run(["sh", "-e", "prepare.sh"], cwd=context, env=environment)
        (context / "prepare.sh").unlink()
    return context


def build_here(app: App, polyarch: Program, scratch: Path, options: Sequence[str] = ()) -> dict[str, compare.Image]:
    """Its images by platform, as Polyarch makes them. They are called `app-NAME` in the store."""
    metadata = scratch / "metadata"
    with _agent(app, scratch) as environment:
        words = [
            "build",
            "--progress=plain",
            "--no-cache",
            f"--metadata-file={metadata}",
            f"--tag=app-{app.name}",
            *options,
        ]
        polyarch(
            *words, *_words(app, app.platforms, scratch), scratch / "context", env=environment, seconds=_BUILD_SECONDS
        )
    return compare.images(polyarch.root / "oci", compare.built(metadata))


def build_there(app: App, daemon: BuildKitDaemon, scratch: Path, platforms: Sequence[str]) -> dict[str, compare.Image]:
    """The same for these platforms as BuildKit makes them, in a layout in the directory."""
    target = scratch / "theirs"
    words = ["build", "--progress=plain", "--provenance=false", "--network=host", "--no-cache"]
    words += [f"--output=type=oci,dest={target}.tar"]
    with _agent(app, scratch) as agent:
        environment = {**daemon.environment, **agent, "PATH": "/usr/bin:/bin", "HOME": str(scratch)}
        # There is no registry with a frontend for it: its own is used.
        text = (scratch / "context/Dockerfile").read_text()
        (scratch / "Dockerfile").write_text(re.sub(r"^# syntax=.*", "#", text))
        words += [f"--file={scratch}/Dockerfile", *_words(app, platforms, scratch)]
        run([*daemon.buildx(*words), str(scratch / "context")], env=environment, seconds=_BUILD_SECONDS)
    trees.unpack(Path(f"{target}.tar"), target)
    Path(f"{target}.tar").unlink()
    index = json.loads((target / "index.json").read_text())
    found: dict[str, compare.Image] = {}
    for entry in index["manifests"]:
        found |= compare.images(target, entry["digest"])
    return found


def test(app: App, polyarch: Program) -> None:
    """Do the application's tests with its images for all platforms, side by side. AssertionError says what failed."""
    polyarch("test", f"app-{app.name}", f"--file={app.tests}", seconds=_TEST_SECONDS)


def _words(app: App, platforms: Sequence[str], scratch: Path) -> list[str]:
    """The arguments for both builders."""
    words = [f"--platform={','.join(platforms)}"]
    words += [option.replace("{here}", str(scratch / "context")) for option in app.options]
    for name, text in app.secrets.items():
        (scratch / f"secret-{name}").write_text(text)
        words.append(f"--secret=id={name},src={scratch}/secret-{name}")
    return words


@contextlib.contextmanager
def _agent(app: App, scratch: Path) -> Iterator[dict[str, str]]:
    """The environment with an ssh agent that holds one new key, if the application wants one."""
    if not app.ssh:
        yield {}
        return
    socket_path, key = scratch / "agent", scratch / "key"
    socket_path.unlink(missing_ok=True)
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket_path], stdout=subprocess.DEVNULL)
    try:
        if not key.exists():
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tests@apps", "-f", key])
        deadline = time.monotonic() + 10
        while not socket_path.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        environment = {"SSH_AUTH_SOCK": str(socket_path)}
        run(["ssh-add", "-q", key], env={**os.environ, **environment})
        yield environment
    finally:
        agent.terminate()
        agent.wait()
