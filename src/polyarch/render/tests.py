"""The outcomes of tests as a table, as the details of what failed, as JSON and as JUnit's XML."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from polyarch.imagetest.values import TestOutcome
from polyarch.render import tables, text

# Characters that XML 1.0 does not allow, also not as references.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def table(outcomes: Sequence[TestOutcome]) -> str:
    """One line for each test of each platform."""
    several = len({outcome.image for outcome in outcomes}) > 1
    header = ("PLATFORM", "HOW", "TEST", "STATUS", "READY", "SECONDS", "MEMORY")
    rows = [
        (
            outcome.platform,
            outcome.how,
            text.plain(outcome.test),
            "passed" if outcome.passed else "FAILED",
            "" if outcome.ready is None else f"{outcome.ready:.1f}",
            f"{outcome.seconds:.1f}",
            text.size(outcome.peak_memory) if outcome.peak_memory else "",
        )
        for outcome in outcomes
    ]
    if several:
        header = ("IMAGE", *header)  # type: ignore[assignment]
        rows = [(outcome.image, *row) for outcome, row in zip(outcomes, rows, strict=True)]  # type: ignore[misc]
    return tables.render(header, rows)


def details(outcome: TestOutcome) -> str:
    """What failed, and all that its processes printed; empty if the test passed."""
    if outcome.passed:
        return ""
    lines = [f"{outcome.image} ({outcome.platform}): {text.plain(outcome.test)}"]
    lines += [f"  {text.plain(problem)}" for problem in outcome.problems]
    printed = outcome.output.rstrip("\n")
    return "\n".join([*lines, *(f"  | {line}" for line in printed.split("\n") if printed)]) + "\n"


def documents(outcomes: Iterable[TestOutcome]) -> list[dict[str, Any]]:
    """The outcomes as values for JSON. Sizes are in bytes, times in seconds."""
    return [
        {
            "image": outcome.image,
            "platform": outcome.platform,
            "how": outcome.how,
            "test": outcome.test,
            "passed": outcome.passed,
            "problems": list(outcome.problems),
            "ready": outcome.ready,
            "seconds": outcome.seconds,
            "peakMemory": outcome.peak_memory,
            "output": outcome.output,
        }
        for outcome in outcomes
    ]


def junit(outcomes: Sequence[TestOutcome]) -> str:
    """JUnit's XML, as CI services read it: a suite for each image and platform."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuites{_totals(outcomes)}>"]
    for (image, platform), group in groupby(
        sorted(outcomes, key=lambda each: (each.image, each.platform)), lambda each: (each.image, each.platform)
    ):
        inside = list(group)
        lines.append(f"  <testsuite name={_attribute(f'{image} ({platform})')}{_totals(inside)}>")
        for outcome in inside:
            lines += _case(outcome)
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>"]) + "\n"


def _case(outcome: TestOutcome) -> list[str]:
    name, kind = _attribute(outcome.test), _attribute(f"{outcome.image}.{outcome.platform}")
    begin = f'    <testcase name={name} classname={kind} time="{outcome.seconds:.3f}"'
    if outcome.passed:
        return [f"{begin}/>"]
    lines = [f"{begin}>"]
    lines.append(
        f"      <failure message={_attribute(outcome.problems[0])}>{_text(chr(10).join(outcome.problems))}</failure>"
    )
    lines.append(f"      <system-out>{_text(outcome.output)}</system-out>")
    return [*lines, "    </testcase>"]


def _totals(outcomes: Sequence[TestOutcome]) -> str:
    failed = sum(not outcome.passed for outcome in outcomes)
    seconds = sum(outcome.seconds for outcome in outcomes)
    return f' tests="{len(outcomes)}" failures="{failed}" errors="0" skipped="0" time="{seconds:.3f}"'


def _text(value: str) -> str:
    return escape(_ILLEGAL.sub("\ufffd", value))


def _attribute(value: str) -> str:
    return quoteattr(_ILLEGAL.sub("\ufffd", value))
