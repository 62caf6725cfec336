"""Builds on a machine that starts empty, with a warm cache in a registry: what CI does."""

from collections.abc import Sequence
from pathlib import Path

from bench import inputs
from bench.contestants import Builder, BuildKit, Polyarch
from bench.measure import Command, Contestant
from bench.site import TWO, Site
from bench.workloads.workload import Workload, versus

RUNS = 10


def cached_copy(site: Site) -> Workload:
    """5,000 files, 85 MB, COPY onto a Debian; an empty machine, a warm cache in a registry (mode=max), pushed"""
    return _cold_with_cache(site, inputs.tree(site.fresh("context"), site.debian()), TWO)


def cached_runs(site: Site) -> Workload:
    """10 RUN of 1 MB each onto busybox; an empty machine, a warm cache in a registry (mode=max), pushed"""
    steps = "".join(f"RUN dd if=/dev/urandom of=/file-{number} bs=1M count=1\n" for number in range(RUNS))
    context = inputs.dockerfile(site.fresh("context"), f"FROM {site.busybox()}\n{steps}")
    return _cold_with_cache(site, context, TWO[:1])


def _cold_with_cache(site: Site, context: Path, platforms: tuple[str, ...]) -> Workload:
    builders: list[Builder] = [Polyarch(site)]
    if (daemon := site.buildkit()) is not None:
        builders.append(BuildKit(site, daemon))
    contestants = [_contestant(site, builder, context, platforms) for builder in builders]
    return Workload(contestants, versus({"buildkit": 2}))


def _contestant(site: Site, builder: Builder, context: Path, platforms: tuple[str, ...]) -> Contestant:
    """The cache is made once, with an image of another name. Each run has an empty store and a new repository."""
    where = f"type=registry,ref={site.name(f'cache-{builder.name}', 'cache')}"
    builder.forget()
    site.run(*_with(builder.build(context, platforms, site.name("first")), "--cache-to", f"{where},mode=max"))
    target = {"name": ""}

    def prepare(run: int) -> None:
        builder.forget()
        target["name"] = site.name(f"cached-{site.fresh('name').name}")

    def build(run: int) -> Sequence[Command]:
        return _with(builder.build(context, platforms, target["name"]), "--cache-from", where)

    return Contestant(builder.name, prepare, build, builder.background)


def _with(commands: Sequence[Command], *options: str) -> list[Command]:
    """The commands, the last of which is a build, with more options before its context."""
    *before, build = commands
    return [*before, build._replace(argv=(*build.argv[:-1], *options, build.argv[-1]))]
