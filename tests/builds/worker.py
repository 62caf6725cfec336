"""Builds cases in a separate process, because entering the sandbox's namespace cannot be undone.

A case comes as a line of JSON on standard input, its outcome goes as one to standard output.
"""

import json
import sys
from pathlib import Path
from typing import Any

from polyarch import Store
from polyarch.api import build
from polyarch.builder import Secrets
from polyarch.errors import PolyarchError
from polyarch.progress import Event, OutputChunk, Warned


def perform(store: Store, case: dict[str, Any]) -> dict[str, Any]:
    """Build one case: its images by platform, its warnings and output, or its error."""
    said: list[str] = []
    output: list[str] = []

    def emit(event: Event) -> None:
        if isinstance(event, Warned):
            said.append(event.message)
        elif isinstance(event, OutputChunk):
            output.append(event.data.decode(errors="replace"))

    secrets = Secrets({name: value.encode() for name, value in case.pop("secrets", {}).items()})
    context = case.pop("context")
    case["hosts"] = [tuple(pair) for pair in case.get("hosts", ())]
    try:
        result = build(context, store, secrets=secrets, emit=emit, **{"workers": 2, **case})
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
