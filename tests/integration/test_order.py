"""Whole commands to a registry that takes a manifest only after its subject, as GitLab's does."""

import http.client
import json
from collections.abc import Iterator

import pytest

from polyarch.oci import media_types
from polyarch.store import Store
from scripts.local_registry import LocalRegistry
from tests.oci.examples import AMD64, ARM, ARM64, S390X, attestation, image, index
from tests.program import Program
from tests.registry.faults import Answer, Asked, serving


@pytest.fixture
def strict(registry: LocalRegistry) -> Iterator[str]:
    """The address of such a registry: a real one behind a proxy that refuses."""

    def passed_on(method: str, asked: Asked, path: str, body: bytes) -> Answer:
        upstream = http.client.HTTPConnection(registry.address)
        kept = {"Accept": ", ".join(media_types.ACCEPTED), "Content-Type": asked.headers.get("Content-Type", "")}
        query = "&".join(f"{name}={value}" for name, values in asked.query.items() for value in values)
        upstream.request(method, f"{path}?{query}" if query else path, body, kept)
        answer = upstream.getresponse()
        content = answer.read()
        headers = {name: value for name, value in answer.getheaders() if name != "Transfer-Encoding"}
        return Answer(answer.status, headers, content)

    def answer(asked: Asked) -> Answer:
        if asked.method == "PUT" and "/manifests/" in asked.path and (subject := json.loads(asked.body).get("subject")):
            path = f"{asked.path.rpartition('/')[0]}/{subject['digest']}"
            if passed_on("HEAD", asked, path, b"").status != 200:
                refused = b'{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}'
                return Answer(400, {}, refused)
        return passed_on(asked.method, asked, asked.path, asked.body)

    with serving(answer) as server:
        yield server.address


def test_attestations_go_after_their_images(polyarch: Program, strict: str, registry: LocalRegistry) -> None:
    with Store.open(polyarch.root) as store:
        images = [image(store, platform) for platform in (AMD64, ARM64, ARM, S390X)]
        entries = [*(attestation(store, entry) for entry in images), *images]
        index(store, entries, name=f"{strict}/pushed:1")
        index(store, entries, name=f"{registry.address}/source:1")
    polyarch("push", "-q", f"{strict}/pushed:1")
    polyarch("manifest", "create", f"{strict}/list:1", f"{strict}/pushed:1")
    polyarch("manifest", "push", f"{strict}/list:1")
    polyarch("push", "-q", f"{registry.address}/source:1")
    polyarch("buildx", "imagetools", "create", "-t", f"{strict}/tools:1", f"{registry.address}/source:1")
    for name in ("pushed", "list", "tools"):
        sent = polyarch("buildx", "imagetools", "inspect", "--raw", f"{strict}/{name}:1").json()["manifests"]
        assert sorted(entry["digest"] for entry in sent) == sorted(entry.digest for entry in entries), name
