"""Builds cases in a separate process, because entering the sandbox's namespace cannot be undone.

A case comes as a line of JSON on standard input, its outcome goes as one to standard output.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from polyarch.builder import BuildRequest, BuildResult, build
from polyarch.buildflags import Surroundings, request
from polyarch.errors import PolyarchError
from polyarch.oci.config import DEFAULT_PATH
from polyarch.progress import Event, OutputChunk, Warned
from polyarch.registry import Registry, credentials, hosts
from polyarch.sandbox import host_platform
from polyarch.store import Store


class Told:
    """What a build tells meanwhile."""

    def __init__(self) -> None:
        self._warnings: list[str] = []
        self._output: list[str] = []

    def emit(self, event: Event) -> None:
        if isinstance(event, Warned):
            self._warnings.append(event.message)
        elif isinstance(event, OutputChunk):
            self._output.append(event.data.decode(errors="replace"))

    def outcome(self, ended: BuildResult | PolyarchError) -> dict[str, Any]:
        """The images by platform, or the error, with the warnings and the output."""
        told = {"warnings": self._warnings, "output": "".join(self._output)}
        if isinstance(ended, PolyarchError):
            return {"error": ended.message, "kind": type(ended).__name__, **told}
        return {"images": {str(image.platform): image.descriptor.digest for image in ended.images}, **told}


def asked(case: dict[str, Any]) -> BuildRequest:
    """The request of a case, of which nothing may be left but options of a build. Raises PolyarchError."""
    secrets = {name: value.encode() for name, value in case.pop("secrets", {}).items()}
    around = Surroundings(
        host=host_platform(),
        variables={"PATH": DEFAULT_PATH, **case.pop("environment", os.environ)},
        now=case.pop("created", time.time()),
    )
    return request(case.pop("context"), around, secrets=secrets, **case)


def perform(store: Store, case: dict[str, Any]) -> dict[str, Any]:
    """Build one case: its images by platform, its warnings and output, or its error."""
    told = Told()
    try:
        wanted = asked(case)
        with Registry(hosts.load(), credentials.Credentials(None), "tests") as registry:
            return told.outcome(build(wanted, store, registry, told.emit))
    except PolyarchError as error:
        return told.outcome(error)


def main() -> None:
    with Store.open(Path(sys.argv[1])) as store:
        for line in sys.stdin:
            print(json.dumps(perform(store, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
