"""What the link knows of the steps of one ticket."""

import asyncio

from polyarch.farm.link_messages import Submitted
from polyarch.farm.placement import MemberChoice


class OpenStep:
    """A step that is to be done, or several of one ticket. `gone` is set when the scheduler no longer knows the process
    that has them.
    """

    def __init__(self, submitted: Submitted) -> None:
        self.submitted = submitted
        # The step that is done now; whether it was said that it moved; and why members could not do it.
        self.name = submitted.name
        self.told = False
        self.tried: dict[str, str] = {}
        self.strays = 0
        self.choice: MemberChoice | None = None
        self.gone = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.progressed = asyncio.Event()
        # Whether the build has all results.
        self.complete = False

    def progress(self, following: str) -> None:
        """The build has the result of a step. What happened to it does not count for the next one."""
        self.tried.clear()
        self.strays, self.told = 0, False
        self.name, self.complete = following or self.name, not following
        self.progressed.set()
