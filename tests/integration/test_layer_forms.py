"""Every form of our layers unpacked by containerd (BuildKit in today's dockerd) and by podman."""

import random
import subprocess
from pathlib import Path

import pytest

from scripts.local_registry import LocalRegistry
from tests import engines
from tests.program import Program, run

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("engines")]

FORMS = {
    "gzip": "",
    "small": ",compression-level=6",
    "stored": ",compression-level=0",
    "zstd": ",compression=zstd",
    "estargz": ",compression=estargz",
}


@pytest.fixture
def images(polyarch: Program, registry: LocalRegistry, tmp_path: Path) -> dict[str, str]:
    """An image of 5 MB in each form, in the registry."""
    tree = tmp_path / "context/tree"
    tree.mkdir(parents=True)
    source = random.Random(1)
    for number in range(400):
        (tree / f"{number}").write_bytes(source.choice([source.randbytes, bytes])(source.randrange(20_000)))
    (tree / "large").write_bytes(source.randbytes(3 << 20))
    (tree.parent / "Dockerfile").write_text("FROM scratch\nCOPY tree /tree\n")
    names: dict[str, str] = {}
    for form, options in FORMS.items():
        names[form] = f"{registry.address}/{form}:1"
        polyarch(
            "build",
            "-q",
            "--platform",
            "linux/amd64",
            "-o",
            f"type=registry,name={names[form]}{options},force-compression=true",
            tree.parent,
        )
    return names


def test_containerd_unpacks_every_form(images: dict[str, str], tmp_path: Path) -> None:
    with engines.todays_dockerd(containerd_store=True) as daemon:
        for form, name in images.items():
            dockerfile = f"FROM {name}\nCOPY --from={name} /tree/large /again\n"
            built = daemon.buildx(
                "build", "--progress=quiet", "--platform=linux/amd64", "-o", str(tmp_path / form), "-"
            )
            subprocess.run(built, input=dockerfile.encode(), env={**daemon.environment, "PATH": "/usr/bin"}, check=True)
            assert run(["diff", "-r", tmp_path / "context/tree", tmp_path / form / "tree"]).stdout == ""
            assert (tmp_path / form / "again").read_bytes() == (tmp_path / "context/tree/large").read_bytes()


def test_podman_unpacks_every_form(images: dict[str, str], tmp_path: Path) -> None:
    with engines.podman() as podman:
        for name in images.values():
            podman("pull", "--quiet", "--tls-verify=false", name)
            root = podman("image", "mount", name).stdout.strip()
            assert run(["diff", "-r", tmp_path / "context/tree", f"{root}/tree"]).stdout == ""
            podman("image", "umount", name)
