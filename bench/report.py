"""What came out: as lines for people, as JSON, and as the numbers of docs/performance.md."""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.measure import Results, median
from bench.workloads.workload import Workload
from polyarch.version import VERSION

_BEGIN = "<!-- numbers: written by `make bench`, not by hand -->\n"
_END = "<!-- end of numbers -->\n"


def record(title: str, workload: Workload, results: Results, versions: Mapping[str, str]) -> dict[str, Any]:
    """One workload's outcome as JSON has it; times in seconds, memory in bytes; versions of what is not on PATH."""
    return {
        "title": title,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        "load": round(os.getloadavg()[0], 1),
        "limit": workload.limit,
        "versions": dict(versions),
        "contestants": {
            name: {
                **median(taken)._asdict(),
                "best": min(one.wall for one in taken),
                "walls": [round(one.wall, 4) for one in taken],
            }
            for name, taken in results.items()
        },
        "figures": [{**figure._asdict(), "met": figure.met} for figure in workload.figures(results)],
    }


def lines(name: str, outcome: Mapping[str, Any]) -> Iterable[str]:
    """The outcome for a terminal."""
    limit = f"  (limit {outcome['limit']:.2f} s)" if outcome["limit"] else ""
    yield f"{name}: {outcome['title']}{limit}"
    for who, taken in outcome["contestants"].items():
        times = f"{taken['wall']:8.3f} s (best {taken['best']:.3f}) {taken['processor']:8.3f} s cpu"
        numbers = f"{times} {taken['memory'] / 1e6:6.0f} MB"
        yield f"  {who:14} {numbers}   runs {len(taken['walls'])}"
    for figure in outcome["figures"]:
        yield f"  {figure['what']:40} {_figure(figure)}"


def merge(path: Path, outcomes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Write the outcomes into a JSON file; those of other workloads that it has stay."""
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"workloads": {}}
    known["workloads"] |= outcomes
    known["machine"] = machine()
    for outcome in known["workloads"].values():
        known["machine"] |= outcome.get("versions", {})
    path.write_text(json.dumps(known, indent=1) + "\n")
    return known


def write_page(path: Path, report: Mapping[str, Any]) -> None:
    """Put the numbers into the page, between their marks."""
    text = path.read_text()
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise SystemExit(f"bench: {path} has no place for numbers")
    path.write_text(before + begin + "\n".join(_page(report)) + "\n" + end + after)


def machine() -> dict[str, str]:
    """What was measured, and on what."""
    model = next(
        (line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ""
    )
    found = {
        "processor": f"{os.cpu_count()} x {model or platform.machine()}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "polyarch": VERSION,
    }
    for program in ("buildah", "skopeo", "umoci", "buildctl", "crun", "docker-registry"):
        if shutil.which(program):
            said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
            found[program] = next((word for word in said.replace(",", "").split() if word[0].isdigit()), "?")
    return found


def _page(report: Mapping[str, Any]) -> Iterable[str]:
    yield "Machine and versions: " + ", ".join(f"{key} {value}" for key, value in report["machine"].items()) + "."
    yield ""
    yield "| workload | who | wall, median | best | processor | peak memory | limit | figures |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, outcome in report["workloads"].items():
        figures = "<br>".join(f"{figure['what']}: {_figure(figure)}" for figure in outcome["figures"])
        limit = f"{outcome['limit']:.2f} s" if outcome["limit"] else ""
        first = True
        for who, taken in outcome["contestants"].items():
            title = f"**{name}**: {outcome['title']} ({outcome['date']}, load {outcome['load']})" if first else ""
            times = f"{taken['wall']:.3f} s | {taken['best']:.3f} s | {taken['processor']:.3f} s"
            numbers = f"{times} | {taken['memory'] / 1e6:.0f} MB"
            yield f"| {title} | {who} | {numbers} | {limit if first else ''} | {figures if first else ''} |"
            first = False


def _figure(figure: Mapping[str, Any]) -> str:
    number = f"{figure['value']:.2f} {figure['unit']}"
    if figure["target"] is None:
        return number
    sign = "≥" if figure["at_least"] else "≤"
    return f"{number} ({sign} {figure['target']:g}: {'met' if figure['met'] else 'MISSED'})"
