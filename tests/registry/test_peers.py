"""skopeo as a witness: it reads what we wrote, and we read what it wrote."""

import json
import subprocess
from pathlib import Path

import pytest

from polyarch.oci import document as documents
from polyarch.oci import index as indexes
from polyarch.oci.document import Index, Manifest
from scripts.local_registry import LocalRegistry
from tests.needs import need
from tests.registry.conftest import Client, image

pytestmark = pytest.mark.integration


def skopeo(*arguments: str) -> str:
    need("skopeo")
    done = subprocess.run(["skopeo", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_skopeo_reads_what_we_wrote_and_we_read_what_skopeo_wrote(
    shared_registry: LocalRegistry, client: Client, tmp_path: Path
) -> None:
    ours = client.at(shared_registry.address, "peers/ours")
    manifest = image(ours, b"\0" * 10240, None)
    index = indexes.create([manifest.descriptor()])
    ours.write_manifest(index.descriptor(), index.raw, "1")
    name = f"docker://{shared_registry.address}/peers"
    assert json.loads(skopeo("inspect", "--tls-verify=false", "--raw", f"{name}/ours:1")) == index.decode()
    plain = ["--src-tls-verify=false", "--dest-tls-verify=false"]
    # Without --preserve-digests skopeo would compress the layer on its way.
    skopeo("copy", "--all", "--preserve-digests", *plain, f"{name}/ours:1", f"{name}/theirs:2")

    theirs = client.at(shared_registry.address, "peers/theirs")
    descriptor, raw = theirs.fetch_manifest("2")
    found = documents.load(raw, descriptor.media_type)
    assert isinstance(found, Index)
    assert [entry.digest for entry in found.manifests] == [manifest.digest]
    member = documents.load(theirs.read_manifest(found.manifests[0]))
    assert isinstance(member, Manifest)
    for layer in (member.config, *member.layers):
        with theirs.open_blob(layer) as reader:
            assert len(reader.read()) == layer.size
