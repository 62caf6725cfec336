"""Builds of the Python client with a farm of real processes."""

from pathlib import Path

import pytest

from polyarch import FarmSettings, NotFoundError, Polyarch, UsageError
from polyarch.farm.faults import FarmError
from polyarch.progress import Event, Transferred
from tests import bases
from tests.farm.builds import context_of
from tests.farm.farms import farm
from tests.program import Program


def test_a_program_builds_with_a_farm(tmp_path: Path, busybox_store: Path) -> None:
    (tmp_path / "home").mkdir()
    program = Program(tmp_path / "store", tmp_path / "home")
    bases.copy_store(busybox_store, program.root)
    context = context_of(tmp_path / "app", "RUN echo one > /one")
    events: list[Event] = []
    with farm(program, tmp_path / "farm") as opened, Polyarch(program.root, progress=events.append) as client:
        opened.member("one")
        settings = FarmSettings(address=opened.address, certificates=opened.certificates)
        far = client.build(context, farm=settings, time={"reproducible": True})
        assert [event.item for event in events if isinstance(event, Transferred)] == ["on one:"]
        bases.copy_store(busybox_store, tmp_path / "other")
        with Polyarch(tmp_path / "other", environment={**program.env, **opened.env}) as other:
            near = other.build(context, farm="", time={"reproducible": True})
            assert far.descriptor == near.descriptor
            # By default, the environment names the farm.
            (context / "Dockerfile").write_text("FROM scratch\nRUN true\n")
            with pytest.raises(FarmError, match=r"no member of the farm .* runs linux/s390x"):
                other.build(context, platforms="linux/s390x")


def test_a_farm_that_is_wrong_is_named(tmp_path: Path) -> None:
    context = context_of(tmp_path / "app", "RUN true")
    with Polyarch(tmp_path / "store") as client:
        with pytest.raises(UsageError, match="farm has no 'adress'"):
            client.build(context, farm={"adress": "tls://127.0.0.1:1"})  # type: ignore[typeddict-unknown-key]
        with pytest.raises(UsageError, match="farm has no address"):
            client.build(context, farm={"fallback": True})
        with pytest.raises(UsageError, match=r"farm\.timeout cannot be '5' \(str\)"):
            client.build(context, farm={"address": "tls://127.0.0.1:1", "timeout": "5"})  # type: ignore[typeddict-item]
        with pytest.raises(NotFoundError, match="no certificate"):
            client.build(context, farm={"address": "tls://127.0.0.1:1", "certificates": tmp_path / "none.pem"})
