"""Builds with RUN."""

from pathlib import Path

from bench import inputs
from bench.contestants import Builder, Polyarch, builders
from bench.measure import Contestant, Results, median
from bench.site import TWO, Site
from bench.workloads.building import cold
from bench.workloads.workload import Figure, Workload, versus

_EMULATED = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")


def run(site: Site) -> Workload:
    """10 RUN steps on busybox, amd64 and emulated arm64, nothing cached; buildah only where the host emulates"""
    context = _steps(site, 10)
    able = [builder for builder in builders(site) if builder.name != "buildah" or _EMULATED.exists()]
    contestants = [cold(site, builder, context) for builder in able]
    return Workload(contestants, versus({"buildkit": 3}, within=1.0))


def step(site: Site) -> Workload:
    """11 RUN steps against 1, native: what one RUN costs beside its process"""
    contestants = []
    for count in (1, 11):
        for builder in builders(site):
            contestant = cold(site, builder, _steps(site, count), TWO[:1])
            contestants.append(contestant._replace(name=f"{builder.name}, {count}"))

    def figures(results: Results) -> list[Figure]:
        found = []
        for builder in builders(site):
            many, one = median(results[f"{builder.name}, 11"]), median(results[f"{builder.name}, 1"])
            target = 30.0 if builder.name == "polyarch" else None
            found.append(Figure(f"{builder.name}, one RUN", (many.wall - one.wall) * 100, "ms", target))
        return found

    return Workload(contestants, figures)


def stage(site: Site) -> Workload:
    """A RUN that writes 20,000 files, 500 MB, of which one is copied to the final image; native, nothing cached"""
    base = site.busybox()
    program = (
        "BEGIN { srand(1); for (n = 0; n < 5000; n++) text = text rand();"
        ' for (n = 0; n < 20000; n++) { name = "f" n; print n text substr(text, 1, n % 2000) > name; close(name) } }'
    )
    context = inputs.dockerfile(
        site.fresh("context"),
        f"FROM {base} AS big\nRUN mkdir /big && cd /big && awk '{program}'\n"
        f"FROM {base}\nCOPY --from=big /big/f7 /one\n",
    )
    found: list[Builder] = builders(site)
    contestants: list[Contestant] = [cold(site, builder, context, TWO[:1]) for builder in found]
    polyarch = next(builder for builder in found if isinstance(builder, Polyarch))

    def figures(results: Results) -> list[Figure]:
        blobs = [path.stat().st_size for path in (polyarch.root / "oci" / "blobs").rglob("*") if path.is_file()]
        largest = Figure("polyarch, largest blob in its store", max(blobs) / 1e6, "MB", 5)
        return [*versus({"buildkit": 2})(results), largest]

    return Workload(contestants, figures)


def _steps(site: Site, count: int) -> Path:
    steps = "".join(f"RUN echo {number} > /step-{number}\n" for number in range(count))
    return inputs.dockerfile(site.fresh("context"), f"FROM {site.busybox()}\n{steps}")
