"""A process that writes nothing is noticed once; one that writes, or ends, is not."""

import time

from polyarch.builder.perform.silence import Silence


def test_silence_is_told_once() -> None:
    told: list[float] = []
    begun = time.monotonic()
    with Silence(0.05, lambda: told.append(time.monotonic())) as silence:
        while not told and time.monotonic() - begun < 10:
            time.sleep(0.01)
        silence.heard()
        time.sleep(0.1)
    assert len(told) == 1
    assert told[0] - begun >= 0.05


def test_a_process_that_writes_is_not_silent() -> None:
    told: list[int] = []
    with Silence(1.0, lambda: told.append(1)) as silence:
        for _ in range(12):
            time.sleep(0.1)
            silence.heard()
    assert told == []


def test_a_process_that_ends_is_not_waited_for() -> None:
    begun = time.monotonic()
    with Silence(60.0, lambda: None):
        pass
    assert time.monotonic() - begun < 5
