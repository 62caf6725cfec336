"""`make demo`: one image for four platforms, from a base made on the spot to a registry and back, tested on the way.

Everything happens in a temporary directory, removed at the end; only the fetched bases stay in the user's cache.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from scripts import busybox, debian
from scripts.served_store import running

_REPOSITORY = Path(__file__).resolve().parent.parent
_POLYARCH = Path(sys.executable).parent / "polyarch"
_MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64", "linux/arm/v7": "armv7l", "linux/s390x": "s390x"}
_COLOUR = sys.stdout.isatty() and not os.environ.get("NO_COLOR")


class Row(NamedTuple):
    """What the demo found out about one platform."""

    platform: str
    digest: str
    size: str
    here: str
    again: str
    skopeo: str


def main() -> int:
    started = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix="polyarch-demo-"))
    try:
        rows = _demonstrate(directory)
    finally:
        _remove(directory)
    heading("All of it")
    _print_table(rows)
    wrong = [row.platform for row in rows if (row.here, row.again, row.skopeo) != _expected(row.platform)]
    seconds = time.monotonic() - started
    print(
        f"\n{len(rows)} platforms, one tag, {seconds:.0f} s. No daemon ran, and nothing is registered on this machine."
    )
    if wrong:
        print(f"Not as it should be: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


def _demonstrate(directory: Path) -> list[Row]:
    heading("A base image for each platform, from the distribution's busybox-static packages")
    try:
        tars = busybox.bases(busybox.PLATFORMS, busybox.cache_directory())
    except debian.UnavailableError as problem:
        _give_up(str(problem))
    for platform, tar in tars.items():
        polyarch("import", "--platform", platform, str(tar), "busybox", store=directory / "store")

    heading("One build for four platforms, with RUN steps under emulation")
    platforms = ",".join(tars)
    polyarch("build", "--platform", platforms, "-t", "hello", "examples/hello", store=directory / "store")
    polyarch("images", store=directory / "store")

    heading("Every platform tested side by side, native and emulated, before anything is pushed")
    polyarch("test", "hello", "--file", "examples/hello/tests.toml", store=directory / "store")

    heading("Each platform's own program, run here")
    here = {platform: _machine("hello", platform, directory / "store") for platform in tars}

    heading("Pushed under one tag to a registry that serves another store, and pulled into an empty one")
    say("$ polyarch serve --listen 127.0.0.1:0 &", "1")
    with running(directory / "registry") as registry:
        name = f"{registry.address}/demo/hello:1"
        polyarch("tag", "hello", name, store=directory / "store")
        polyarch("push", name, store=directory / "store")
        polyarch("pull", "--all-platforms", name, store=directory / "fresh")
        polyarch("images", store=directory / "fresh")
        again = {platform: _machine(name, platform, directory / "fresh") for platform in tars}
        seen = {platform: _skopeo_reads(name, platform) for platform in tars}

    listed = _listed(name, directory / "fresh")
    return [
        Row(platform, *listed[platform], here[platform], again[platform], "yes" if seen[platform] else "NO")
        for platform in tars
    ]


def polyarch(*arguments: str, store: Path, quiet: bool = False) -> str:
    """Run a command as it would be typed, and show it; with quiet, return what it prints instead."""
    environment = {**os.environ, "POLYARCH_ROOT": str(store)}
    if not quiet:
        say(f"$ polyarch {shlex.join(arguments)}", "1")
    return run([str(_POLYARCH), *arguments], environment, capture=quiet)


def run(command: Sequence[str], environment: Mapping[str, str], *, capture: bool) -> str:
    sys.stdout.flush()
    done = subprocess.run(
        command,
        cwd=_REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if capture else None,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        _give_up(f"`{shlex.join(command)}` ended with status {done.returncode}")
    return done.stdout or ""


def _machine(name: str, platform: str, store: Path) -> str:
    """What `uname -m` says inside; the image's whole greeting is shown besides."""
    polyarch("run", "--rm", "--platform", platform, name, store=store)
    return polyarch("run", "--rm", "--platform", platform, name, "--short", store=store, quiet=True).strip()


def _skopeo_reads(name: str, platform: str) -> bool:
    """Does another tool find this platform in the registry?"""
    _, architecture, *variant = platform.split("/")
    choice = ["--override-os=linux", f"--override-arch={architecture}"]
    choice += [f"--override-variant={part}" for part in variant]
    shown = run(
        # Without credentials it need not read /run/containers, which is root's alone where root uses podman.
        [
            "skopeo",
            *choice,
            "inspect",
            "--no-creds",
            "--tls-verify=false",
            "--format={{.Architecture}}",
            f"docker://{name}",
        ],
        os.environ,
        capture=True,
    )
    return shown.strip() == architecture


def _listed(name: str, store: Path) -> dict[str, tuple[str, str]]:
    """Digest and size of each platform of an image."""
    shown = polyarch(
        "images",
        "--format",
        "{{range .Platforms}}{{.Platform}} {{.Digest}} {{.Size}}\n{{end}}",
        name,
        store=store,
        quiet=True,
    )
    fields = [line.split() for line in shown.splitlines() if line]
    return {
        platform: (digest.removeprefix("sha256:")[:12], f"{int(size) / 1e6:.2f} MB")
        for platform, digest, size in fields
    }


def _expected(platform: str) -> tuple[str, str, str]:
    return _MACHINES[platform], _MACHINES[platform], "yes"


def _print_table(rows: Sequence[Row]) -> None:
    titles = Row("PLATFORM", "DIGEST", "SIZE", "RUN HERE", "PULLED, RUN", "SKOPEO READS IT")
    widths = [max(len(cell) for cell in column) for column in zip(titles, *rows, strict=True)]
    for number, row in enumerate([titles, *rows]):
        line = "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        say(line, "1" if number == 0 else "")


def heading(text: str) -> None:
    print()
    say(f"── {text}", "36")


def say(text: str, style: str) -> None:
    print(f"\x1b[{style}m{text}\x1b[0m" if _COLOUR and style else text)


def _give_up(reason: str) -> NoReturn:
    raise SystemExit(f"demo: {reason}")


def _remove(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        # Without root, unpacked layers belong to subordinate ids: only a user namespace that has them may remove them.
        subprocess.run(["unshare", "--map-root-user", "--map-auto", "rm", "-rf", str(directory)], check=False)


if __name__ == "__main__":
    sys.exit(main())
