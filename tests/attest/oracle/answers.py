"""The recorded answers, and what Polyarch says of the same images."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from polyarch.attest.sbom import bills
from polyarch.images.compare.views import members
from polyarch.store import Store
from tests.attest.oracle.differences import Found
from tests.attest.oracle.images import IMAGES
from tests.images.layered import entry, image, index

_FILE = Path(__file__).parent / "answers.json"


def read() -> dict[str, list[Found]]:
    """What syft said of each image."""
    return {
        name: [(package[0], package[1], package[2]) for package in packages]
        for name, packages in json.loads(_FILE.read_text()).items()
    }


def write(asked: Mapping[str, Sequence[Found]]) -> None:
    """Record what syft says, one package a line."""
    images = []
    for name, packages in asked.items():
        lines = ",\n".join(f"  {json.dumps(package)}" for package in packages)
        images.append(f"{json.dumps(name)}: [\n{lines}\n]")
    _FILE.write_text("{\n" + ",\n".join(images) + "\n}\n")


def packages_of(store: Store, name: str) -> list[Found]:
    """Make an image in the store, and list its packages."""
    descriptor = image(store, "linux/amd64", *IMAGES[name]())
    index(store, f"docker.io/library/{name}:latest", entry(descriptor, "linux/amd64"))
    (bill,) = bills(store, name, members(store, descriptor), store)
    assert bill.notes == () or name == "java"
    return [(package.name, package.version, package.purl) for package in bill.packages]
