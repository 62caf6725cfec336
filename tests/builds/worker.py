"""Builds cases in a separate process, because entering the sandbox's namespace cannot be undone.

A case comes as a line of JSON on standard input, its outcome goes as one to standard output.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from polyarch.builder import build
from polyarch.buildflags import Surroundings, request
from polyarch.errors import PolyarchError
from polyarch.oci.config import DEFAULT_PATH
from polyarch.progress import Event, OutputChunk, Warned
from polyarch.registry import Registry, credentials, hosts
from polyarch.sandbox import host_platform
from polyarch.store import Store


def perform(store: Store, case: dict[str, Any]) -> dict[str, Any]:
    """Build one case: its images by platform, its warnings and output, or its error."""
    said: list[str] = []
    output: list[str] = []

    def emit(event: Event) -> None:
        if isinstance(event, Warned):
            said.append(event.message)
        elif isinstance(event, OutputChunk):
            output.append(event.data.decode(errors="replace"))

    secrets = {name: value.encode() for name, value in case.pop("secrets", {}).items()}
    around = Surroundings(
        host=host_platform(),
        variables={"PATH": DEFAULT_PATH, **case.pop("environment", os.environ)},
        now=case.pop("created", time.time()),
    )
    try:
        asked = request(case.pop("context"), around, secrets=secrets, **case)
        with Registry(hosts.load(), credentials.Credentials(None), "tests") as registry:
            result = build(asked, store, registry, emit)
    except PolyarchError as error:
        return {"error": error.message, "kind": type(error).__name__, "warnings": said, "output": "".join(output)}
    images = {str(image.platform): image.descriptor.digest for image in result.images}
    return {"images": images, "warnings": said, "output": "".join(output)}


def main() -> None:
    with Store.open(Path(sys.argv[1])) as store:
        for line in sys.stdin:
            print(json.dumps(perform(store, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
