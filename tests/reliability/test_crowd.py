"""Eight processes in one store. `make soak` lets them work for two minutes."""

from pathlib import Path

import pytest

from polyarch.store import Store
from tests.reliability import crash, crowd
from tests.reliability.crash import Aims


@pytest.mark.timeout(200)
def test_eight_processes_build_pull_name_remove_and_prune_without_hurting_each_other(aims: Aims) -> None:
    tally = crowd.work(aims.site, seconds=8, workers=8, seed=20_263)
    assert not tally.wrong, "\n".join(tally.wrong)
    assert tally.done > 20


def test_a_store_that_somebody_empties_while_others_work_is_noticed(aims: Aims) -> None:
    """This is what a garbage collection that ignores leases would do."""
    polyarch = aims.site.fresh(aims.next_number())
    before = crash.names(polyarch.root)
    with Store.open(polyarch.root) as store:
        gone = store.resolve("docker.io/library/one:latest")
        Path(store.blob_path(gone.digest)).unlink()
    assert any(" lacks " in wrong for wrong in crash.looked_at(polyarch.root, before, set()))
