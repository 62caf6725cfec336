"""COPY-only builds for two platforms and more, pushed."""

from collections.abc import Callable
from pathlib import Path

from bench import inputs, limits
from bench.contestants import Builder, Polyarch, builders
from bench.measure import Contestant, Results, median
from bench.site import EIGHT, TWO, Site
from bench.workloads.workload import Figure, Workload, nothing, versus


def copy(site: Site) -> Workload:
    """5,000 files, 85 MB, COPY onto a Debian that the registry has; nothing cached"""
    context = inputs.tree(site.fresh("context"), site.debian())
    contestants = [cold(site, builder, context) for builder in builders(site)]
    return Workload(contestants, versus({"buildkit": 10, "buildah": 15}, within=1.0), limits.packing(context))


def foreign(site: Site) -> Workload:
    """The same onto a Debian as docker pushes it, whose layers do not say what is in them; nothing cached"""
    context = inputs.tree(site.fresh("context"), site.foreign_debian())
    contestants = [cold(site, builder, context) for builder in builders(site)]
    return Workload(contestants, versus({"buildkit": 10, "buildah": 15}, within=1.0), limits.packing(context))


def again(site: Site) -> Workload:
    """The same again, nothing changed"""
    context = inputs.tree(site.fresh("context"), site.debian())
    contestants = [_warm(site, builder, context, nothing) for builder in builders(site)]
    return Workload(contestants, versus({"buildkit": 3}, within=0.15), times=3)


def changed(site: Site) -> Workload:
    """The same again, one file of 5,000 changed"""
    context = inputs.tree(site.fresh("context"), site.debian())
    change = lambda run: inputs.change(context, run)  # noqa: E731
    contestants = [_warm(site, builder, context, change) for builder in builders(site)]
    return Workload(contestants, versus({"buildkit": 8}), limits.packing(context))


def lines(site: Site) -> Workload:
    """40 COPY lines of 20 files each, 14 MB in all, onto a Debian that the registry has; nothing cached"""
    context = inputs.tree(site.fresh("context"), "", 1000)
    steps = "".join(f"COPY app/package{number} /app/package{number}\n" for number in range(40))
    inputs.dockerfile(context, f"FROM {site.debian()}\n{steps}")
    contestants = [cold(site, builder, context) for builder in builders(site)]
    return Workload(contestants, versus({"buildkit": 10}))


def big(site: Site) -> Workload:
    """One file of 256 MB, half of it random; nothing cached"""
    context = inputs.large(site.fresh("context"), site.busybox(), 256)
    contestants = [cold(site, builder, context) for builder in builders(site)]
    return Workload(contestants, versus({"buildkit": 7, "buildah": 8}, within=1.2), limits.packing(context))


def copies(site: Site) -> Workload:
    """40 COPY of one file each, onto a Debian that the registry has; nothing cached"""
    base = site.debian()
    context = inputs.tree(site.fresh("context"), base, 400)
    lines = "".join(f"COPY app/package{number}/module{number}.py /app/{number}.py\n" for number in range(40))
    inputs.dockerfile(context, f"FROM {base}\n{lines}")
    contestants = [cold(site, builder, context) for builder in builders(site)]
    return Workload(contestants, versus({"buildkit": 10}))


def wide(site: Site) -> Workload:
    """5,000 files, COPY onto busybox, for 1, 2, 4 and 8 platforms; nothing cached"""
    context = inputs.tree(site.fresh("context"), site.busybox(EIGHT))
    contestants = []
    for count in (1, 2, 4, 8):
        contestant = cold(site, Polyarch(site), context, EIGHT[:count])
        contestants.append(contestant._replace(name=f"{count} platforms"))

    def figures(results: Results) -> list[Figure]:
        one = median(results["1 platforms"])
        found = []
        for name, taken in results.items():
            target = 1.3 if name == "8 platforms" else None
            found.append(Figure(f"cost({name}) / cost(1)", median(taken).wall / one.wall, "x", target))
        return found[1:]

    return Workload(contestants, figures, limits.packing(context))


def memory(site: Site) -> Workload:
    """One file of 1 GB, half of it random, for one platform: peak memory"""
    context = inputs.large(site.fresh("context"), site.busybox(), 1024)
    contestants = [cold(site, builder, context, TWO[:1]) for builder in builders(site)]

    def figures(results: Results) -> list[Figure]:
        peak = median(results["polyarch"]).memory / 1e6
        return [*versus({})(results), Figure("polyarch, peak memory", peak, "MB", 150)]

    return Workload(contestants, figures, limits.packing(context))


def cold(site: Site, builder: Builder, context: Path, platforms: tuple[str, ...] = TWO) -> Contestant:
    """Each run begins with an empty store, and pushes to a repository that nobody pushed to."""
    target = {"name": ""}

    def prepare(run: int) -> None:
        builder.forget()
        target["name"] = site.name(f"cold-{site.fresh('name').name}")

    build = lambda run: builder.build(context, platforms, target["name"])  # noqa: E731
    return Contestant(builder.name, prepare, build, builder.background)


def _warm(site: Site, builder: Builder, context: Path, before: Callable[[int], None]) -> Contestant:
    """Each run finds what the one before left, in the store and in the repository."""
    target = site.name(f"warm-{site.fresh('name').name}")
    builder.forget()
    site.run(*builder.build(context, TWO, target))
    return Contestant(builder.name, before, lambda run: builder.build(context, TWO, target), builder.background)
