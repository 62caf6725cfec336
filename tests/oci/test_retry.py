"""Attempts, delays, and that retries inside of retries do not multiply."""

import pytest

from polyarch.errors import CorruptError, RegistryError
from polyarch.oci.retry import ONCE, Retry


class Flaky:
    """An operation that fails a number of times."""

    def __init__(self, failures: int, error: type[Exception] = RegistryError, **details: bool) -> None:
        self.calls = 0
        self._failures = failures
        self._error = lambda: error("no", **details)

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self._failures:
            raise self._error()
        return "done"


def test_a_temporary_error_is_retried_after_growing_delays() -> None:
    slept: list[float] = []
    flaky = Flaky(3, retryable=True)
    assert Retry(4, 0.5).call(flaky, slept.append) == "done"
    assert slept == [0.5, 1.0, 2.0]


@pytest.mark.parametrize("flaky", [Flaky(9), Flaky(9, CorruptError), Flaky(9, ValueError)])
def test_other_errors_are_raised_at_once(flaky: Flaky) -> None:
    with pytest.raises((RegistryError, CorruptError, ValueError)):
        Retry(4).call(flaky)
    assert flaky.calls == 1


def test_retries_do_not_multiply() -> None:
    flaky = Flaky(99, retryable=True)
    with pytest.raises(RegistryError) as caught:
        Retry(3).call(lambda: Retry(4).call(lambda: ONCE.call(flaky)))
    assert flaky.calls == 4
    assert caught.value.retryable
    assert caught.value.exhausted


def test_what_cannot_be_repeated_is_left_to_the_caller() -> None:
    flaky = Flaky(1, retryable=True)
    assert Retry(2).call(lambda: Retry(4).call(flaky, repeatable=lambda: False)) == "done"
    assert flaky.calls == 2


def test_which_errors_are_retried_is_part_of_the_value() -> None:
    assert Retry(2, retries=lambda error: isinstance(error, ValueError)).call(Flaky(1, ValueError)) == "done"
