"""`python -m bench [--buildkit] [--runs N] [--json FILE] [--page FILE] [WORKLOAD…]`: what the design promises."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import report
from bench.measure import rounds
from bench.site import Site
from bench.workloads import NEED_ROOT, WORKLOADS
from scripts import debian


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Polyarch beside its peers.")
    parser.add_argument("workload", nargs="*", help=f"which (default: all): {', '.join(WORKLOADS)}")
    parser.add_argument("--runs", type=int, default=3, help="how often each contestant does its work (default: 3)")
    parser.add_argument("--buildkit", action="store_true", help="BuildKit takes part: Debian's newest, as root")
    parser.add_argument("--json", type=Path, help="write the outcomes to this file, beside those that it has")
    parser.add_argument("--page", type=Path, help="write the numbers of the JSON file into this page")
    chosen = parser.parse_args(arguments)
    if chosen.page and not chosen.json:
        parser.error("--page needs --json")
    if chosen.buildkit and os.geteuid() != 0:
        parser.error("--buildkit needs root")
    unknown = sorted(set(chosen.workload) - set(WORKLOADS))
    if unknown:
        parser.error(f"there is no workload {', '.join(unknown)}")
    missed = 0
    for name in chosen.workload or WORKLOADS:
        if name in NEED_ROOT and os.geteuid() != 0:
            print(f"{name}: left out, because its base images are made as root")
            continue
        try:
            outcome = _measure(name, chosen.runs, with_buildkit=chosen.buildkit)
        except debian.UnavailableError as problem:
            print(f"{name}: left out: {problem}", flush=True)
            continue
        print("\n".join(report.lines(name, outcome)), flush=True)
        missed += sum(figure["met"] is False for figure in outcome["figures"])
        if chosen.json:
            known = report.merge(chosen.json, {name: outcome})
            if chosen.page:
                report.write_page(chosen.page, known)
    return 1 if missed else 0


def _measure(name: str, runs: int, *, with_buildkit: bool) -> dict[str, Any]:
    """One workload at a site of its own, so that none finds what another left."""
    site = Site(with_buildkit=with_buildkit)
    try:
        make = WORKLOADS[name]
        workload = make(site)
        times = min(runs * workload.times, workload.most or runs * workload.times)
        results = rounds(workload.contestants, times, site.log)
        return report.record(str(make.__doc__), workload, results, site.versions())
    finally:
        site.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
