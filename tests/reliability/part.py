"""What a long run found out about one thing."""

from typing import NamedTuple


class Part(NamedTuple):
    """A section of the report. `wrong` are all broken promises, each with what to repeat it with."""

    title: str
    lines: list[str]
    wrong: list[str]
    seconds: float
