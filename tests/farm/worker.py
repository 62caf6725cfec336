"""Builds with members of a farm, in a process of its own: see `tests/builds/worker.py`.

A case is as there, with `members` (the stores of members), `carrier` (a repository; empty for the own one), `local`
(platforms that are run where the build is), and `search_path` (that of the members). With `cannot_run`, no step can run
where the build is. The outcome has `steps`, where each step ran, and `tickets`, how many were given to members.
"""

import json
import sys
import threading
from pathlib import Path
from typing import Any

from polyarch.builder import build
from polyarch.errors import PolyarchError
from polyarch.farm.carrier import LayerCarrier, RepositoryCarrier
from polyarch.farm.own_carrier import OwnCarrier
from polyarch.oci import reference as references
from polyarch.oci.config import DEFAULT_PATH
from polyarch.registry import Registry, credentials, hosts
from polyarch.store import Store
from polyarch.transfer.read_through import ReadThroughSource
from tests.builds.worker import Told, asked
from tests.farm.direct import DirectRunner


def perform(store: Store, case: dict[str, Any]) -> dict[str, Any]:
    told = Told()
    members, local = [Path(root) for root in case.pop("members", [])], case.pop("local", [])
    carrier, search_path = case.pop("carrier", ""), case.pop("search_path", DEFAULT_PATH)
    if case.pop("cannot_run", False):
        # With a second thread, this process cannot enter a user namespace.
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    runner: DirectRunner | None = None
    try:
        wanted = asked(case)
        with Registry(hosts.load(), credentials.Credentials(None), "tests") as registry:
            if members:
                source = ReadThroughSource(store, registry)
                carries: LayerCarrier = OwnCarrier(store, source, told.emit)
                if carrier:
                    carries = RepositoryCarrier(registry.repository(references.parse(carrier)), store, source, None)
                runner = DirectRunner(carries, members, local=local, emit=told.emit, search_path=search_path)
            try:
                result = build(wanted, store, registry, told.emit, remote=runner)
            finally:
                if runner is not None:
                    runner.close()
    except PolyarchError as error:
        return told.outcome(error)
    steps = [] if runner is None else [one.report for one in runner.results]
    return {
        **told.outcome(result),
        "tickets": 0 if runner is None else runner.tickets,
        "steps": [{"member": one.member, "how": one.how, "cached": one.cached} for one in steps],
    }


def main() -> None:
    with Store.open(Path(sys.argv[1])) as store:
        print(json.dumps(perform(store, json.loads(sys.stdin.read()))), flush=True)


if __name__ == "__main__":
    main()
