"""Much of everything: lines, patterns, steps, files, layers. What is asked is that the cost grows no faster."""

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bench import images, inputs
from bench.contestants import Buildah, Builder, Polyarch, builders
from bench.measure import Command, Contestant, Results, median
from bench.site import TWO, Site
from bench.workloads import moving
from bench.workloads.building import cold
from bench.workloads.workload import Figure, Workload

_ONE = TWO[:1]
# Lines of a Dockerfile and of an ignore file, RUN steps.
_LINES, _PATTERNS, _STEPS = (1000, 3000), 1000, (120, 400)


def many_lines(site: Site) -> Workload:
    """3,000 COPY lines against 1,000, and what one costs beside buildah's (100 lines); nothing cached"""

    def text(count: int) -> str:
        return "FROM scratch\n" + "".join(f"COPY file /directory/file-{number}\n" for number in range(count))

    contestants = _each(site, Polyarch(site), _LINES, text)
    if shutil.which("buildah"):
        contestants += _each(site, Buildah(site), (100,), text)

    def figures(results: Results) -> list[Figure]:
        few, many = (median(results[f"polyarch, {count}"]) for count in _LINES)
        found = [
            _growth("processor", few.processor, many.processor),
            Figure("polyarch, 3000: processor", many.processor, "s", 10),
            Figure("polyarch, 3000: peak memory", many.memory / 1e6, "MB", 300),
        ]
        if "buildah, 100" in results:
            theirs, ours = median(results["buildah, 100"]).processor / 100, many.processor / 3000
            found.append(Figure("processor of a line, buildah / polyarch", theirs / ours, "x", 1, at_least=True))
        return found

    return Workload(contestants, figures)


def directories(site: Site) -> Workload:
    """3,000 WORKDIR lines against 1,000; nothing cached"""
    return _lines(site, lambda number: f"WORKDIR /directory/{number}\n")


def variables(site: Site) -> Workload:
    """3,000 ENV lines, each with a reference to the one before, against 1,000; nothing cached"""
    return _lines(site, lambda number: f"ENV V{number}=${{V{number - 1}}}x\n" if number % 20 else f"ENV V{number}=a\n")


def ignored(site: Site) -> Workload:
    """50,000 files with an ignore file of 1,000 lines of each kind, against none; nothing cached"""
    contestants: list[Contestant] = []
    for name, patterns in {"no patterns": [], **_patterns()}.items():
        context = inputs.many(site.fresh("context"), 50_000)
        (context / ".dockerignore").write_text("".join(f"{pattern}\n" for pattern in patterns))
        for builder in builders(site):
            if builder.name == "polyarch" or name in ("no patterns", "all kinds"):
                contestant = cold(site, builder, context, _ONE)
                contestants.append(contestant._replace(name=f"{builder.name}, {name}"))

    def figures(results: Results) -> list[Figure]:
        found = []
        for who, taken in results.items():
            builder, _, name = who.partition(", ")
            if name != "no patterns":
                without = median(results[f"{builder}, no patterns"]).processor
                target = 1.5 if builder == "polyarch" else None
                found.append(Figure(f"{builder}: {name} / none", median(taken).processor / without, "x", target))
        return found

    return Workload(contestants, figures)


def chain(site: Site) -> Workload:
    """A chain of 400 RUN lines against 120, native; nothing cached"""

    def text(count: int) -> str:
        return f"FROM {site.busybox()}\n" + "".join(f"RUN echo {one} > /step-{one}\n" for one in range(count))

    def figures(results: Results) -> list[Figure]:
        few, many = (median(results[f"polyarch, {count}"]) for count in _STEPS)
        return [_growth("processor of a RUN", few.processor / _STEPS[0], many.processor / _STEPS[1], target=1.5)]

    return Workload(_each(site, Polyarch(site), _STEPS, text), figures)


def files(site: Site) -> Workload:
    """400,000 small files, COPY onto scratch: peak memory; nothing cached"""
    context = inputs.many(site.fresh("context"), 400_000)
    contestants = [cold(site, builder, context, _ONE) for builder in builders(site)]

    def figures(results: Results) -> list[Figure]:
        return [Figure("polyarch, peak memory", median(results["polyarch"]).memory / 1e6, "MB", 300)]

    return Workload(contestants, figures)


def push_many_layers(site: Site) -> Workload:
    """Push of an image of 400 layers of 1 kB: processor"""
    pushed = moving.push(site, "many-layers", ["latest"], layers=400, size=1000)
    return pushed._replace(figures=_processor(30))


def pull_many_layers(site: Site) -> Workload:
    """Pull of an image of 400 layers of 1 kB: processor"""
    pulled = moving.pull(site, "many-layers", ["latest"], layers=400, size=1000)
    return pulled._replace(figures=_processor(8))


def push_many_entries(site: Site) -> Workload:
    """Push of an index of 1,000 entries: processor"""
    names: dict[str, str] = {}
    roots: dict[str, Path] = {}

    def prepare(who: str, run: int) -> None:
        root = roots[who] = site.fresh("store")
        names[who] = site.name(f"entries-{site.fresh('name').name}")
        images.index(root, names[who], f"run {run} of {who}", entries=1000)

    def ours(run: int) -> Sequence[Command]:
        return [site.polyarch(roots["polyarch"], "push", "-q", names["polyarch"])]

    def theirs(run: int) -> Sequence[Command]:
        source = f"oci:{roots['skopeo']}/oci:{names['skopeo']}"
        return [moving.skopeo(site, source, f"docker://{names['skopeo']}", everything=True)]

    contestants = [Contestant("polyarch", lambda run: prepare("polyarch", run), ours)]
    if shutil.which("skopeo"):
        contestants.append(Contestant("skopeo", lambda run: prepare("skopeo", run), theirs))
    return Workload(contestants, _processor(3))


def _lines(site: Site, line: Callable[[int], str]) -> Workload:
    def text(count: int) -> str:
        return "FROM scratch\nCOPY file /file\n" + "".join(map(line, range(count)))

    def figures(results: Results) -> list[Figure]:
        few, many = (median(results[f"polyarch, {count}"]) for count in _LINES)
        return [
            _growth("processor", few.processor, many.processor),
            Figure("polyarch, 3000: processor", many.processor, "s", 10),
            Figure("polyarch, 3000: peak memory", many.memory / 1e6, "MB", 300),
        ]

    return Workload(_each(site, Polyarch(site), _LINES, text), figures)


def _each(site: Site, builder: Builder, counts: Iterable[int], text: Callable[[int], str]) -> list[Contestant]:
    """The builder with a Dockerfile of each length."""
    found = []
    for count in counts:
        context = inputs.dockerfile(site.fresh("context"), text(count))
        (context / "file").write_text("content")
        found.append(cold(site, builder, context, _ONE)._replace(name=f"{builder.name}, {count}"))
    return found


def _growth(what: str, few: float, many: float, target: float = 3.3) -> Figure:
    """How many times as much the greater number took; the start of the program makes it less than their ratio."""
    return Figure(f"{what}, more / fewer", many / few, "x", target)


def _processor(beats: float) -> Callable[[Results], list[Figure]]:
    def figures(results: Results) -> list[Figure]:
        if "skopeo" not in results:
            return []
        theirs, ours = median(results["skopeo"]).processor, median(results["polyarch"]).processor
        return [Figure("processor, skopeo / polyarch", theirs / ours, "x", beats, at_least=True)]

    return figures


def _patterns() -> dict[str, list[str]]:
    """Patterns of each kind that look like those which match something, and match nothing; `!` takes back nothing."""
    numbers = range(_PATTERNS)
    kinds = {
        "literals": [f"app/package-{one % 50}/directory-{one % 10}/none-{one}" for one in numbers],
        "globs": [f"app/package-{one % 50}/*/none-{one}*" for one in numbers],
        "double stars": [(f"**/none-{one}", f"**/*.none-{one}", f"**/none-{one}/**")[one % 3] for one in numbers],
        "exceptions": [f"!app/none-{one}" if one % 2 else f"**/none-{one}" for one in numbers],
    }
    mixed = [kind[one] for one in range(0, _PATTERNS, len(kinds)) for kind in kinds.values()]
    return {**kinds, "all kinds": mixed}
