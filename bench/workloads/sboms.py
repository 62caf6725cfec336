"""What is in an image: the packages of a Debian for two platforms, beside syft."""

import statistics
from collections.abc import Sequence

from bench.measure import Command, Contestant, Results, ratio
from bench.site import TWO, Site
from bench.workloads.workload import Figure, Workload
from scripts import syft


def sbom(site: Site) -> Workload:
    """`sbom` of a Debian for two platforms in the registry, as SPDX, nothing known: processor"""
    # As docker pushes it, without a table of contents of ours.
    name = site.foreign_debian()
    program = syft.program()

    def ours(run: int) -> Sequence[Command]:
        root, output = site.fresh("store"), site.fresh("bill")
        options = ("--platform", ",".join(TWO), "--format", "spdx-json", "-o", f"{output}.spdx.json")
        return [site.polyarch(root, "sbom", name, *options)]

    def theirs(run: int) -> Sequence[Command]:
        environment = {**site.environment, **syft.ENVIRONMENT, "SYFT_REGISTRY_INSECURE_USE_HTTP": "true"}
        return [
            Command(
                (
                    str(program),
                    "scan",
                    f"registry:{name}",
                    "--platform",
                    platform,
                    "-o",
                    f"spdx-json={site.fresh('bill')}",
                ),
                environment,
            )
            for platform in TWO
        ]

    def figures(results: Results) -> list[Figure]:
        pairs = zip(results["polyarch"], results["syft"], strict=True)
        value = statistics.median(theirs.processor / ours.processor for ours, theirs in pairs)
        return [
            Figure("processor: syft / polyarch", value, "x", 10, at_least=True),
            Figure("syft / polyarch", ratio(results["polyarch"], results["syft"]), "x"),
        ]

    nothing = lambda run: None  # noqa: E731
    return Workload([Contestant("polyarch", nothing, ours), Contestant("syft", nothing, theirs)], figures)
