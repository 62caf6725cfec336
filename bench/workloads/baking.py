"""Many images at once: what `bake` does."""

from collections.abc import Callable, Sequence
from pathlib import Path

from bench import inputs
from bench.contestants import BuildKit, Polyarch
from bench.measure import Command, Contestant
from bench.site import TWO, Site
from bench.workloads.workload import Workload, nothing, versus

TARGETS = 8
_FILES = 200


def bake(site: Site) -> Workload:
    """8 targets × 2 platforms over one shared builder stage (COPY, cross-building RUN); nothing cached, pushed"""
    return _baked(site, again=False)


def bake_again(site: Site) -> Workload:
    """The same 8 targets × 2 platforms again, everything cached, pushed"""
    return _baked(site, again=True)


def _baked(site: Site, *, again: bool) -> Workload:
    context = _project(site)
    ours = Polyarch(site)
    common = ("-f", str(context / "docker-bake.hcl"), "--set", f"*.context={context}")

    def polyarch() -> Sequence[Command]:
        return [ours.command("bake", "--progress=quiet", "--push", *common, *_allowed(context))]

    found = [_contestant(ours.name, ours.forget, polyarch, ours.background, site, again)]
    if (daemon := site.buildkit()) is not None:
        peer = BuildKit(site, daemon)
        environment = {**site.environment, **daemon.environment}
        # As in a build (`contestants.py`): nothing is kept for dockerd, no provenance, the host's network.
        options = ("--provenance=false", "--progress=plain")
        output = ("--set", "*.output=type=image,push=true,store=false")

        def buildkit() -> Sequence[Command]:
            return [Command(daemon.buildx("bake", *common, *_allowed(context), *options, *output), environment)]

        found.append(_contestant(peer.name, peer.forget, buildkit, peer.background, site, again))
    return Workload(found, versus({"buildkit": 3}))


def _contestant(
    name: str,
    forget: Callable[[], None],
    build: Callable[[], Sequence[Command]],
    background: Callable[[], float],
    site: Site,
    again: bool,
) -> Contestant:
    if not again:
        return Contestant(name, lambda run: forget(), lambda run: build(), background)
    forget()
    site.run(*build())
    return Contestant(name, nothing, lambda run: build(), background)


def _allowed(context: Path) -> tuple[str, ...]:
    return ("--allow", f"fs.read={context}", "--allow", "network.host")


def _project(site: Site) -> Path:
    """A context of 200 files of which the builder makes a program for each target."""
    base = site.busybox()
    names = [f"app{number}" for number in range(TARGETS)]
    context = inputs.tree(site.fresh("context"), base, _FILES)
    program = "; ".join(f"cat /app/*/* | tail -c {1 + number}000000 > /out/{name}" for number, name in enumerate(names))
    stages = "".join(
        f'FROM {base} AS {name}\nCOPY --from=builder /out/{name} /bin/\nWORKDIR /{name}\nCMD ["/bin/{name}"]\n'
        for name in names
    )
    inputs.dockerfile(
        context,
        f"FROM --platform=$BUILDPLATFORM {base} AS builder\nARG TARGETARCH\nCOPY app /app\n"
        f"RUN mkdir /out && find /app -type f | xargs cat | sha256sum > /sum; {program}\n{stages}",
    )
    targets = "".join(
        f'target "{name}" {{\n  inherits = ["_common"]\n  target = "{name}"\n  tags = ["{site.name(name)}"]\n}}\n'
        for name in names
    )
    listed = ", ".join(f'"{name}"' for name in names)
    platforms = ", ".join(f'"{platform}"' for platform in TWO)
    (context / "docker-bake.hcl").write_text(
        f'group "default" {{ targets = [{listed}] }}\ntarget "_common" {{\n'
        f'  platforms = [{platforms}]\n  network = "host"\n}}\n{targets}'
    )
    return context
