"""Builds with members of a farm, in a process of its own: see `tests/builds/worker.py`.

A case is as there, with `members` (the stores of members), `carrier` (a repository; empty for the own one), `local`
(platforms that are run where the build is), and `search_path` (that of the members). With `cannot_run`, no step can run
where the build is. The outcome has `steps`, where each step ran, and `tickets`, how many were given to members.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from polyarch.builder import build
from polyarch.buildflags import Surroundings, request
from polyarch.errors import PolyarchError
from polyarch.farm.carrier import LayerCarrier, RepositoryCarrier
from polyarch.farm.own_carrier import OwnCarrier
from polyarch.oci import reference as references
from polyarch.oci.config import DEFAULT_PATH
from polyarch.progress import Event, OutputChunk, Warned
from polyarch.registry import Registry, credentials, hosts
from polyarch.sandbox import host_platform
from polyarch.store import Store
from polyarch.transfer.read_through import ReadThroughSource
from tests.farm.direct import DirectRunner


def perform(store: Store, case: dict[str, Any]) -> dict[str, Any]:
    said: list[str] = []
    output: list[str] = []

    def emit(event: Event) -> None:
        if isinstance(event, Warned):
            said.append(event.message)
        elif isinstance(event, OutputChunk):
            output.append(event.data.decode(errors="replace"))

    secrets = {name: value.encode() for name, value in case.pop("secrets", {}).items()}
    members, local = [Path(root) for root in case.pop("members", [])], case.pop("local", [])
    carrier, search_path = case.pop("carrier", ""), case.pop("search_path", DEFAULT_PATH)
    if case.pop("cannot_run", False):
        # With a second thread, this process cannot enter a user namespace.
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    around = Surroundings(
        host=host_platform(),
        variables={"PATH": DEFAULT_PATH, **case.pop("environment", os.environ)},
        now=case.pop("created", time.time()),
    )
    runner: DirectRunner | None = None
    try:
        asked = request(case.pop("context"), around, secrets=secrets, **case)
        with Registry(hosts.load(), credentials.Credentials(None), "tests") as registry:
            if members:
                source = ReadThroughSource(store, registry)
                carries: LayerCarrier = OwnCarrier(store, source, emit)
                if carrier:
                    carries = RepositoryCarrier(registry.repository(references.parse(carrier)), store, source, None)
                runner = DirectRunner(carries, members, local=local, emit=emit, search_path=search_path)
            try:
                result = build(asked, store, registry, emit, remote=runner)
            finally:
                if runner is not None:
                    runner.close()
    except PolyarchError as error:
        return {"error": error.message, "kind": type(error).__name__, "warnings": said, "output": "".join(output)}
    images = {str(image.platform): image.descriptor.digest for image in result.images}
    steps = [] if runner is None else [one.report for one in runner.results]
    return {
        "images": images,
        "warnings": said,
        "output": "".join(output),
        "tickets": 0 if runner is None else runner.tickets,
        "steps": [{"member": one.member, "how": one.how, "cached": one.cached} for one in steps],
    }


def main() -> None:
    with Store.open(Path(sys.argv[1])) as store:
        print(json.dumps(perform(store, json.loads(sys.stdin.read()))), flush=True)


if __name__ == "__main__":
    main()
