"""Retrying as a value: how many attempts, after which delays, and after which errors."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from polyarch.errors import RegistryError

Result = TypeVar("Result")


def is_temporary(error: Exception) -> bool:
    """Return whether another attempt may succeed and no enclosing Retry has given up already."""
    return isinstance(error, RegistryError) and error.retryable and not error.exhausted


def _always() -> bool:
    return True


class Retry(msgspec.Struct, frozen=True):
    """Up to `attempts` attempts, with `delay` seconds before the second and twice as many before each further one.

    `retries` decides which errors are worth another attempt. Retries do not multiply: a RegistryError that one Retry
    has given up on is `exhausted`, and no enclosing Retry tries again.
    """

    attempts: int = 1
    delay: float = 0.0
    retries: Callable[[Exception], bool] = is_temporary

    def schedule(self) -> Iterator[tuple[int, float]]:
        """Yield for each attempt how many remain after it, and the delay in seconds before the next."""
        for number in range(self.attempts):
            yield self.attempts - 1 - number, self.delay * 2**number

    def call(
        self,
        operation: Callable[[], Result],
        sleep: Callable[[float], None] | None = None,
        repeatable: Callable[[], bool] = _always,
    ) -> Result:
        """Call `operation` until it succeeds, and return its result.

        `repeatable` is called before each further attempt. It prepares that attempt, and returns False if there can be
        none. Raises the last attempt's error.
        """
        for left, delay in self.schedule():
            try:
                return operation()
            except Exception as error:
                if not self.retries(error):
                    raise
                if not left:
                    self.give_up(error)
                    raise
                if not repeatable():
                    raise
            if delay and sleep is not None:
                sleep(delay)
        raise AssertionError("a Retry has at least one attempt")

    def give_up(self, error: Exception) -> None:
        """Mark the error as exhausted, so that it is not retried again."""
        if self.attempts > 1 and isinstance(error, RegistryError):
            error.exhausted = True


# A single request, a resumed download, or a restarted upload.
REQUEST = Retry(5, 0.2)
# A mirror is only a shortcut: what it does not deliver soon is read from the registry.
MIRROR = Retry(2, 0.2)
# A stream that cannot be rewound is opened again. Its requests have delays of their own.
REOPEN = Retry(3)
ONCE = Retry(1)
