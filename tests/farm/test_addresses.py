"""The address of a farm, as users write it."""

import pytest

from polyarch.errors import UsageError
from polyarch.farm.addresses import scheduler_address


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("tls://farm.example:9000", "tls://farm.example:9000"),
        ("tls://farm.example", "tls://farm.example:8786"),
        ("farm.example:9000", "tls://farm.example:9000"),
        ("10.0.0.1", "tls://10.0.0.1:8786"),
        ("tls://[::1]:9000", "tls://[::1]:9000"),
    ],
)
def test_tls_and_dasks_port_are_the_defaults(written: str, meant: str) -> None:
    assert scheduler_address(written) == meant


@pytest.mark.parametrize("written", ["", "tls://", "ws://farm:1", "tls://farm:1/x", "tls://:1"])
def test_other_words_are_refused(written: str) -> None:
    with pytest.raises(UsageError):
        scheduler_address(written)


def test_a_farm_without_tls_must_be_asked_for() -> None:
    with pytest.raises(UsageError, match="runs the code of everyone"):
        scheduler_address("tcp://farm:1")
    assert scheduler_address("tcp://farm:1", insecure=True) == "tcp://farm:1"
