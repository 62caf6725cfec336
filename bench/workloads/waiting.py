"""What people wait for: packages installed by apt, pip and npm, and a whole application. See bench/projects.

Each project is built in several ways: `cold` (nothing cached), `warm` (the same again), after a change, and `registry`
(the store is lost; the registry has the image of the last build).
"""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from bench import packages
from bench.contestants import Builder, builders
from bench.measure import Contestant, Results, ratio
from bench.site import TWO, Site
from bench.workloads.workload import Figure, Workload

# What happens to the context before a build, by the way of building. `cold` and `registry` forget the store.
_Ways = Mapping[str, Callable[[Path, int], None]]
_unchanged = lambda context, run: None  # noqa: E731
_NATIVE: _Ways = {"cold": _unchanged, "warm": _unchanged, "registry": _unchanged}


def apt(site: Site) -> Workload:
    """`apt-get install` of 60 packages onto Debian, native; packages from loopback"""
    return _project(site, "apt", TWO[:1], _NATIVE, 1)


def pip(site: Site) -> Workload:
    """`pip install` of fastapi, numpy and pandas, native; packages from loopback"""
    return _project(site, "pip", TWO[:1], _NATIVE, 1)


def npm(site: Site) -> Workload:
    """`npm ci` of a lock file with 336 packages, native; packages from loopback"""
    return _project(site, "npm", TWO[:1], _NATIVE, 1)


def web(site: Site) -> Workload:
    """A Python web application of five stages, amd64 and emulated arm64; packages from loopback"""
    ways: _Ways = {
        "cold": _unchanged,
        "warm": _unchanged,
        "source": lambda context, run: _append(context / "app/prices.py", f"RUN = {run}\n"),
        "requirements": lambda context, run: _append(context / "requirements.txt", f"# run {run}\n"),
        "registry": _unchanged,
    }
    return _project(site, "web", TWO, ways, 1.5)


def _project(site: Site, name: str, platforms: Sequence[str], ways: _Ways, target: float) -> Workload:
    found = builders(site, emulating=len(platforms) > 1)
    each = [_ways(site, builder, name, platforms, ways) for builder in found]
    # All builders in one way, then all in the next: what is compared stands side by side.
    contestants = [contestant for same in zip(*each, strict=True) for contestant in same]

    def figures(results: Results) -> list[Figure]:
        made = []
        for way in ways:
            ours = results[f"polyarch, {way}"]
            for builder in found[1:]:
                promised = target if builder.name == "buildkit" else None
                value = ratio(ours, results[f"{builder.name}, {way}"])
                made.append(Figure(f"{way}: {builder.name} / polyarch", value, "x", promised, at_least=True))
        return made

    return Workload(contestants, figures, most=1 if len(platforms) > 1 else None)


def _ways(site: Site, builder: Builder, name: str, platforms: Sequence[str], ways: _Ways) -> Iterable[Contestant]:
    """One builder, in all ways, with a context and a repository of its own."""
    context = _context(site, name)
    target = {"name": ""}

    def prepare(way: str, run: int) -> None:
        if way == "cold":
            target["name"] = site.name(f"{name}-{site.fresh('name').name}")
        if way in ("cold", "registry"):
            builder.forget()
        ways[way](context, run)

    for way in ways:
        yield Contestant(
            f"{builder.name}, {way}",
            lambda run, way=way: prepare(way, run),
            lambda run: builder.build(context, platforms, target["name"]),
            builder.background,
        )


def _context(site: Site, name: str) -> Path:
    """A copy of a project that takes its bases and packages from the site."""
    context = site.fresh(name)
    shutil.copytree(packages.PROJECTS / name, context)
    text = (context / "Dockerfile").read_text()
    for base, kept in {"debian": "debian", "python": "bench-python", "node": "node"}.items():
        if f"{{{base}}}" in text:
            text = text.replace(f"{{{base}}}", site.kept_base(kept))
    (context / "Dockerfile").write_text(text.replace("{packages}", site.packages()))
    for lock in context.rglob("package-lock.json"):
        lock.write_text(packages.lock_file(lock.read_text(), site.packages()))
    return context


def _append(file: Path, text: str) -> None:
    with open(file, "a") as opened:
        opened.write(text)
