"""`make apps`: builds every application for its platforms, tests it, and compares it with BuildKit's.

python -m tests.apps [--no-peer] [--peer-for PLATFORM] [NAME…]
"""

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts import buildkit_daemon, local_registry
from scripts.buildkit_daemon import BuildKitDaemon
from tests.apps import bases, compare, running
from tests.apps.apps import App, everything
from tests.program import Program


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.apps")
    parser.add_argument("name", nargs="*", help="which ones (default: all)")
    parser.add_argument("--no-peer", action="store_true", help="do not build with BuildKit, which needs root")
    parser.add_argument("--peer-for", metavar="PLATFORM", help="build with BuildKit for this platform only")
    chosen = parser.parse_args(arguments)
    apps = [app for app in everything() if not chosen.name or app.name in chosen.name]
    wanted = sorted({base for app in apps for base in app.bases})
    bad = 0
    with tempfile.TemporaryDirectory(prefix="polyarch-apps-") as scratch:
        polyarch = bases.kept(wanted)
        with _peer(None if chosen.no_peer else polyarch, wanted, Path(scratch)) as daemon:
            for app in apps:
                place = Path(scratch) / app.name
                place.mkdir()
                start = time.monotonic()
                found = list(judge(app, polyarch, daemon, place, chosen.peer_for))
                bad += bool(found)
                took = f"{time.monotonic() - start:.0f} s"
                lines = [f"{'DIFFERENT' if found else 'good'}: {app.name} ({took})", *(f"  {line}" for line in found)]
                print("\n".join(lines), flush=True)
                shutil.rmtree(place, ignore_errors=True)
    print(f"{len(apps) - bad} of {len(apps)} good")
    return 1 if bad else 0


def judge(
    app: App, polyarch: Program, daemon: BuildKitDaemon | None, place: Path, peer_for: str | None
) -> Iterator[str]:
    """Build and test one application. Report failures, and differences that its app.toml does not expect."""
    try:
        running.prepared(app, place)
        ours = running.build_here(app, polyarch, place)
    except AssertionError as error:
        yield f"build: {error}"
        return
    if sorted(ours) != sorted(app.platforms):
        yield f"platforms: {sorted(ours)}"
    yield from compare.drift(ours)
    try:
        running.test(app, polyarch)
    except AssertionError as error:
        yield f"tests: {error}"
    if daemon is None or not app.peer:
        return
    try:
        theirs = running.build_there(app, daemon, place, [peer_for] if peer_for else app.platforms)
    except AssertionError as error:
        yield f"BuildKit: {error}"
        return
    if sorted(theirs) != sorted([peer_for] if peer_for else ours):
        yield f"platforms: + {sorted(ours)} - {sorted(theirs)}"
    for platform in sorted(ours.keys() & theirs.keys()):
        for line in compare.differences(ours[platform], theirs[platform], app.volatile):
            if line not in app.differs:
                yield f"{platform} {line}"
    if app.ci:
        added = compare.added(theirs[app.platforms[0]], app.volatile)
        (app.directory / "witnessed.txt").write_text("".join(f"{line}\n" for line in added))


@contextlib.contextmanager
def _peer(polyarch: Program | None, wanted: Sequence[str], scratch: Path) -> Iterator[BuildKitDaemon | None]:
    """BuildKit, with a registry of the base images as its mirror of Docker Hub."""
    if polyarch is None:
        yield None
        return
    with local_registry.running(scratch / "registry") as registry:
        for name in wanted:
            polyarch("tag", name, f"{registry.address}/library/{name}:latest")
            polyarch("push", f"{registry.address}/library/{name}:latest", seconds=600)
            polyarch("rmi", f"{registry.address}/library/{name}:latest")
        # Before Linux 6.7 an emulated RUN of BuildKit's can be one process only, so that most builds here fail.
        with buildkit_daemon.running(mirror=registry.url, emulating=True, network=True) as daemon:
            yield daemon


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
