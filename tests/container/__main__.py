"""`make container-test`: Polyarch builds its own image, which then builds. It takes minutes, and root.

Arguments are platforms (default: all four). For each, the image is built on a Debian root that is made here, checked,
and started. Then rootless podman runs the scripts of docs/guides/ci.md in the image for this machine's processor.
"""

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from scripts.local_registry import LocalRegistry, running
from tests import bases
from tests.container import making, page
from tests.container.podman import Podman, rootless
from tests.container.scripting import perform, perform_workflow
from tests.program import Program
from tests.program import run as run_program

USER, PASSWORD = "ada", "s3cret: 'ü/+%"
# Of the section about the image itself, `making.build` does the first line, and `Podman.run` the second.
_OWN = "Polyarch's own image"


def main(wanted: list[str]) -> int:
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {text}", flush=True)

    with tempfile.TemporaryDirectory(prefix="polyarch-container-", ignore_cleanup_errors=True) as scratch:
        place = Path(scratch)
        place.chmod(0o755)
        (place / "home").mkdir()
        polyarch = Program(place / "store", place / "home")
        with running(place / "bases") as server:
            base = f"{server.address}/debian"
            platforms, untested = making.push_base(polyarch, base, wanted)
            say(f"a Debian for {', '.join(platforms)} is in a registry on loopback")
            making.build(polyarch, base, "polyarch", platforms)
            say("the image is built")
        with running(place / "emulated") as server:
            for platform in platforms:
                say(f"{platform}: {_started(polyarch, platform)}")
                if platform != making.native():
                    _works_under_emulation(polyarch, platform, server.address)
                    say(f"{platform}: under emulation it builds, merges and pushes, and says why RUN does not work")
        archive = place / "image.tar"
        polyarch("save", "--platform", making.native(), "--output", archive, "polyarch")
        archive.chmod(0o644)
        with rootless() as podman, _registries(place) as (server, open_server):
            podman.load(archive)
            say("rootless podman has it")
            _without_options(podman)
            say("without options, podman's container builds COPY, and doctor names what RUN lacks")
            polyarch("login", "-u", USER, "--password-stdin", server.address, stdin=PASSWORD)
            base = f"{open_server.address}/busybox"
            for script in page.scripts():
                if script.section != _OWN:
                    run = partial(_run, podman)
                    perform(run, podman.work, polyarch, server.address, base, (USER, PASSWORD), script)
                    say(f"docs/guides/ci.md, {script.section}: {len(script.lines)} lines")
            for section in page.workflows():
                machines = partial(podman.machine, "polyarch")
                _, outputs = perform_workflow(machines, server.address, base, (USER, PASSWORD), section)
                say(f"docs/guides/ci.md, {section}: {sum(len(runs) for runs in outputs.values())} jobs")
    for reason in untested:
        print(reason, file=sys.stderr)
    return 1 if untested else 0


def _started(polyarch: Program, platform: str) -> str:
    """What the image says of itself: its programs are there and run."""
    # crun starts itself anew from /proc/self/exe, which is the emulator under qemu-user. There it cannot even say its
    # version.
    runtime = "crun --version | head -n1" if platform == making.native() else "dpkg-query --show crun"
    programs = ("polyarch --version", runtime, "qemu-aarch64-static --version | head -n1", "newuidmap 2>&1 | head -n1")
    done = polyarch("run", "--rm", "--platform", platform, "polyarch", "bash", "-c", "; ".join(programs))
    version, runtime, emulator, usage = done.lines()[-4:]
    assert version.startswith("polyarch version ")
    assert (runtime[:4], emulator[:5]) == ("crun", "qemu-")
    assert usage.startswith("usage: newuidmap"), usage
    return ", ".join((version, runtime, emulator))


# What works without namespaces: builds without RUN, for any platform, and all that only moves and joins images.
_WITHOUT_RUN = """
printf 'FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCOPY Dockerfile /\n' > Dockerfile
polyarch images
polyarch build --quiet --platform linux/amd64,linux/arm64 --tag "$NAME:1" --push .
for arch in amd64 arm64; do polyarch build --quiet --platform linux/$arch --output type=oci,dest=$arch.tar .; done
polyarch merge amd64.tar arm64.tar --tag "$NAME:2"
polyarch push "$NAME:2"
polyarch platforms linux/amd64
polyarch doctor --json > doctor.json || true
! printf 'FROM scratch\nCOPY Dockerfile /\nRUN true\n' | polyarch build -f - . 2> error
grep --files-with-matches "$REASON" error doctor.json
"""


def _works_under_emulation(polyarch: Program, platform: str, registry: str) -> None:
    """Polyarch in its image for another processor: everything but RUN, for which it says why."""
    name = f"{registry}/emulated/{platform.replace('/', '-')}"
    reason = "an emulator runs this program, and has a thread of its own"
    script = f"set -e; cd /tmp; NAME={name}; REASON='{reason}'{_WITHOUT_RUN}"
    done = polyarch("run", "--rm", "--platform", platform, "polyarch", "bash", "-c", script, seconds=600)
    assert done.lines()[-2:] == ["error", "doctor.json"], f"the build and doctor say why RUN does not work\n{done}"
    for tag in ("1", "2"):
        index = polyarch("buildx", "imagetools", "inspect", "--raw", f"{name}:{tag}").json()
        assert [one["platform"]["architecture"] for one in index["manifests"]] == ["amd64", "arm64"]


@contextlib.contextmanager
def _registries(place: Path) -> Iterator[tuple[LocalRegistry, LocalRegistry]]:
    """A registry that wants a password, and one that has a base image for everyone."""
    file = place / "htpasswd"
    file.write_text(run_program(["htpasswd", "-nbB", USER, PASSWORD]).stdout.strip() + "\n")
    (place / "bases-home").mkdir()
    polyarch = Program(place / "bases-store", place / "bases-home")
    bases.import_busybox(polyarch)
    with running(place / "registry", htpasswd=file) as server, running(place / "open-registry") as open_server:
        polyarch("tag", "busybox", f"{open_server.address}/busybox")
        polyarch("push", f"{open_server.address}/busybox")
        yield server, open_server


def _run(podman: Podman, script: str, variables: dict[str, str]) -> None:
    podman.run("polyarch", script, env=variables)


def _without_options(podman: Podman) -> None:
    """What a container may do that gets none of the options that docs/guides/ci.md names."""
    (podman.work / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    script = "polyarch build --platform linux/amd64,linux/arm64 --tag copied . && polyarch doctor"
    done = podman.run("polyarch", script, options=(), check=False)
    assert done.status == 1, str(done)
    assert "containers: RUN and `polyarch run` do not work" in done.stdout, str(done)
    assert "--security-opt seccomp=unconfined" in done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(making.PLATFORMS)))
