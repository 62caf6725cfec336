"""How a build is reached, and what it notices of a farm that it does not need."""

import socket
import time
from pathlib import Path

import pytest

from polyarch import progress
from polyarch.errors import UsageError
from polyarch.farm import opening
from polyarch.farm.client import FarmOptions
from polyarch.farm.opening import ExchangeOptions
from polyarch.farm.probe import SchedulerProbe
from polyarch.farm.values import BuildNote
from polyarch.registry import Registry, credentials, hosts
from polyarch.store import Store
from tests.farm.farms import free_port

NOTE = BuildNote(id="", name="", who="", platforms=(), began=0)


def warnings_of(tmp_path: Path, scheduler: str, **reached: str) -> list[str]:
    """What a build says that does not need this farm."""
    said: list[str] = []

    def emit(event: progress.Event) -> None:
        assert isinstance(event, progress.Warned)
        said.append(event.message)

    options = FarmOptions(scheduler=scheduler, bundle=None)
    with (
        Store.open(tmp_path / "store") as store,
        Registry(hosts.Hosts(), credentials.Credentials(None), "tests") as registry,
        opening.opened(options, ExchangeOptions(**reached), NOTE, store, registry, lambda _: None, emit),
    ):
        pass
    return said


def test_a_farm_that_is_not_needed_and_not_there_is_a_warning(tmp_path: Path) -> None:
    scheduler = f"tls://127.0.0.1:{free_port()}"
    (said,) = warnings_of(tmp_path, scheduler)
    assert said == f"the farm {scheduler} cannot be reached: Connection refused; no step had to run"


def test_a_farm_whose_name_is_unknown_is_a_warning(tmp_path: Path) -> None:
    (said,) = warnings_of(tmp_path, "tls://no-such-host.invalid:1")
    assert said.startswith("the farm tls://no-such-host.invalid:1 cannot be reached: ")


def test_a_farm_that_is_there_is_not_mentioned(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert warnings_of(tmp_path, f"tls://127.0.0.1:{server.getsockname()[1]}") == []


def test_nobody_waits_for_a_scheduler_that_does_not_answer() -> None:
    # With a full backlog, the kernel does not answer.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        others = [socket.socket() for _ in range(4)]
        for other in others:
            other.setblocking(False)
            other.connect_ex(address)
        began = time.monotonic()
        probe = SchedulerProbe(f"tls://127.0.0.1:{address[1]}")
        assert probe.failure() == ""
        assert time.monotonic() - began < 5
        probe.close()
        for other in others:
            other.close()


@pytest.mark.parametrize(
    ("reached", "said"),
    [
        ({"listen": "here"}, "--farm-listen 'here' is not HOST:PORT"),
        ({"listen": "127.0.0.1:0", "contact": "70000"}, "--farm-contact '70000' is not HOST:PORT"),
        ({"listen": "127.0.0.1:0", "contact": "gate:70000"}, "is not HOST:PORT"),
        ({"contact": "gate:1"}, "--farm-contact needs --farm-listen"),
    ],
)
def test_a_wrong_address_is_named_before_anything_begins(tmp_path: Path, reached: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        warnings_of(tmp_path, "tls://127.0.0.1:1", **reached)
