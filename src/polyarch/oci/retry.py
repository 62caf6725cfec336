"""Retrying as a value: how often, after what delays, and after which errors something is attempted again."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from polyarch.errors import RegistryError

Result = TypeVar("Result")


def is_temporary(error: Exception) -> bool:
    """Whether another attempt may succeed, and has not been made already."""
    return isinstance(error, RegistryError) and error.retryable and not error.exhausted


def _always() -> bool:
    return True


class Retry(msgspec.Struct, frozen=True):
    """Up to `attempts` attempts, with `delay` seconds before the second and twice as many before each further one.

    `retries` says which errors another attempt may help against. Retries do not multiply: a RegistryError that one
    Retry has given up on is `exhausted`, and no Retry around that one tries again.
    """

    attempts: int = 1
    delay: float = 0.0
    retries: Callable[[Exception], bool] = is_temporary

    def schedule(self) -> Iterator[tuple[int, float]]:
        """For each attempt, how many are left after it, and the delay in seconds before the next."""
        for number in range(self.attempts):
            yield self.attempts - 1 - number, self.delay * 2**number

    def call(
        self,
        operation: Callable[[], Result],
        sleep: Callable[[float], None] | None = None,
        repeatable: Callable[[], bool] = _always,
    ) -> Result:
        """What `operation` returns. `repeatable` is asked before another attempt, and prepares it.

        Raises the last attempt's error.
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
        """Note in the error that it has been retried as often as this allows."""
        if self.attempts > 1 and isinstance(error, RegistryError):
            error.exhausted = True


# One request; a download that is resumed; an upload that begins again.
REQUEST = Retry(5, 0.2)
# A mirror is a convenience: what it does not deliver soon is read from the registry.
MIRROR = Retry(2, 0.2)
# A stream that cannot be rewound, and is opened anew. The requests for it have delays of their own.
REOPEN = Retry(3)
ONCE = Retry(1)
