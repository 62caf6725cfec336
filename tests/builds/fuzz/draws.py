"""The random choices of one seed: every choice in a recipe is made here."""

import random
from collections.abc import Sequence

from tests.builds.fuzz.recipe import Archive, Stage

_FEATURES = (
    "users links delete modes heredoc stages archives ignore link exclude chown chmod variables workdir user shell "
    "mounts config scratch special move from options layout"
).split()

# Names in the image. Few, so that one step's file is the next one's directory or link.
PATHS = "/w /w/a /w/d /w/d/x /a /b /d /d/x /d/e /d/e/z /l /l/x /l/n/m".split()
TARGETS = "d /d a /a w /w/d nowhere l . ../d /nowhere/at ../../w /".split()
OWNERS = "1 7:8 0:9 nobody nobody:users :users".split()


class Draws:
    """The random numbers of a seed, the features that it uses, and the content of its recipe so far.

    A seed uses some features only, so that these meet often, instead of all of them seldom.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.features = {name for name in _FEATURES if self.chance(0.45)}
        # Most recipes avoid what would most likely be an error: what comes after one is not compared.
        self.careful = self.chance(0.75)
        self.sources: list[str] = []
        self.archives: tuple[Archive, ...] = ()
        self.stages: list[Stage] = []
        self.users: list[str] = []
        self.shell = True

    def chance(self, share: float) -> bool:
        return self._random.random() < share

    def has(self, feature: str, share: float = 1.0) -> bool:
        """Whether the seed has a feature, and uses it this time."""
        return feature in self.features and self.chance(share)

    def number(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def one(self, choices: Sequence[str]) -> str:
        return choices[self._random.randrange(len(choices))]

    def weighted(self, choices: Sequence[tuple[float, str]]) -> str:
        """One of them, each as often as its weight says."""
        point = self._random.random() * sum(weight for weight, _ in choices)
        for weight, choice in choices:
            point -= weight
            if point < 0:
                return choice
        return choices[-1][1]

    def path(self) -> str:
        return self.one(PATHS)

    def owner(self) -> str:
        return self.one([*OWNERS, *self.users, *(f"{user}:{user}" for user in self.users)])

    def stage(self) -> str:
        """The name of a stage that there is."""
        return self.one([stage.name for stage in self.stages])
