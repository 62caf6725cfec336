"""`manifest` with wrong arguments and misbehaving registries: a clear error, and the list is unchanged."""

import json
from collections.abc import Callable

import pytest

from polyarch.oci import digest as digests
from polyarch.oci import index as indexes
from polyarch.oci import manifest as manifests
from polyarch.oci import media_types
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.store import Store
from scripts.local_registry import LocalRegistry
from tests.oci.examples import blob
from tests.program import Program, Result
from tests.registry.faults import Answer, Asked, serving

_OCI_INDEX = media_types.OCI_INDEX


def _documents(documents: dict[str, tuple[bytes, str]]) -> Callable[[Asked], Answer]:
    """A registry that has these manifests of the repository `app`, by tag or digest, whatever their bytes are."""

    def answer(asked: Asked) -> Answer:
        raw, media_type = documents.get(asked.path.rpartition("/")[2], (b"", ""))
        if asked.path == "/v2/":
            return Answer()
        if "/manifests/" in asked.path and raw:
            return Answer(headers={"Content-Type": media_type, "Content-Length": str(len(raw))}, body=raw)
        return Answer(404, body=b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')

    return answer


def _index(*entries: Descriptor) -> bytes:
    return indexes.create(entries).raw


def _entry(raw: bytes, digest: Digest | None = None, media_type: str = _OCI_INDEX) -> Descriptor:
    return Descriptor(media_type=media_type, digest=digest or digests.of(raw), size=len(raw))


def _tagged(raw: bytes) -> dict[str, tuple[bytes, str]]:
    """An index by the tag `bad`, and by its digest."""
    return {"bad": (raw, _OCI_INDEX), digests.of(raw): (raw, _OCI_INDEX)}


def _circle() -> dict[str, tuple[bytes, str]]:
    """An index that names itself, by a digest that its bytes cannot have."""
    name = Digest("sha256:" + "a" * 64)
    raw = _index(Descriptor(media_type=_OCI_INDEX, digest=name, size=len(_index(_entry(b"x" * 200, name)))))
    return _tagged(raw) | {name: (raw, _OCI_INDEX)}


def _five_levels() -> dict[str, tuple[bytes, str]]:
    raw = _index()
    documents = {}
    for _ in range(5):
        documents[digests.of(raw)] = (raw, _OCI_INDEX)
        raw = _index(_entry(raw))
    return documents | _tagged(raw)


def _five_megabytes() -> dict[str, tuple[bytes, str]]:
    raw = json.dumps({"schemaVersion": 2, "mediaType": _OCI_INDEX, "manifests": [], "x": "y" * (5 << 20)}).encode()
    return _tagged(raw)


def _wrong_digest() -> dict[str, tuple[bytes, str]]:
    raw = json.dumps({"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "config": {}, "layers": []}).encode()
    spoilt = {digests.of(raw): (raw[:-1] + b" ", media_types.OCI_MANIFEST)}
    return _tagged(_index(_entry(raw, media_type=media_types.OCI_MANIFEST))) | spoilt


def _not_json() -> dict[str, tuple[bytes, str]]:
    return _tagged(b"<html>a proxy's page</html>")


@pytest.mark.parametrize(
    ("documents", "reason"),
    [
        (_circle, "a" * 64),
        (_five_levels, "nested more than 4 levels deep"),
        (_five_megabytes, "bytes"),
        (_wrong_digest, "sha256:"),
        (_not_json, "a manifest is not valid JSON"),
    ],
    ids=["an index that names itself", "five levels", "five megabytes", "wrong digest", "not a manifest"],
)
def test_what_a_registry_should_not_have_is_an_error_and_the_list_stays(
    polyarch: Program, app: str, documents: Callable[[], dict[str, tuple[bytes, str]]], reason: str
) -> None:
    polyarch("manifest", "create", app, f"{app}-amd64")
    with serving(_documents(documents())) as server:
        result = _refused(polyarch, app, f"{server.address}/app:bad")
        assert reason in result.stderr
        assert len(server.asked) < 60, "nothing goes round in circles"


def _refused(polyarch: Program, name: str, member: str) -> Result:
    """No command takes this member, and neither the list nor the store's other names change for it."""
    names = (polyarch.root / "oci/index.json").read_bytes()
    result = polyarch.fails("manifest", "create", "new", member)
    for command in (["create", "--amend"], ["add"], ["annotate", "--arch", "arm64"]):
        result = polyarch.fails("manifest", *command, name, member)
        assert result.status == 1
    polyarch.fails("manifest", "remove", name, member)
    assert (polyarch.root / "oci/index.json").read_bytes() == names
    return result


class TestBadWords:
    """Every one an error that says what there is, and the names of the store as they were."""

    def test_a_member_that_is_nowhere(self, polyarch: Program, app: str, registry: LocalRegistry) -> None:
        polyarch("manifest", "create", app, f"{app}-amd64")
        nowhere = _refused(polyarch, app, f"{registry.address}/no/such:1")
        assert f"{registry.address}/no/such:1: manifest unknown (MANIFEST_UNKNOWN)" in nowhere.stderr
        for member, reason in {
            "127.0.0.1:1/app:1": "cannot be reached",
            "oci-layout:///nowhere": "is not an OCI image layout",
            "oci-archive:/nowhere.tar": "No such file",
            "docker-archive:/etc/passwd": "is not a tar archive",
        }.items():
            assert reason in polyarch.fails("manifest", "add", app, member).stderr

    def test_a_member_that_is_no_image(self, polyarch: Program, store: Store, app: str) -> None:
        chart = manifests.create(blob(store, b"{}", "application/vnd.example.chart.v1+json"), [])
        store.write_manifest(chart.descriptor(), chart.raw, f"{app}-chart")
        polyarch("manifest", "create", app, f"{app}-amd64")
        names = (polyarch.root / "oci/index.json").read_bytes()
        for command in (["create", "--amend"], ["add"]):
            result = polyarch.fails("manifest", *command, app, f"{app}-chart")
            assert f"{app}-chart is not an image" in result.stderr
            assert "application/vnd.example.chart.v1+json" in result.stderr
        assert (polyarch.root / "oci/index.json").read_bytes() == names

    def test_a_registry_that_refuses(self, polyarch: Program, app: str) -> None:
        refusal = Answer(403, body=b'{"errors":[{"code":"DENIED","message":"the quota is used up"}]}')
        answers = {"GET": Answer(), "HEAD": Answer(404)}
        polyarch("manifest", "create", app, f"{app}-amd64")
        names = (polyarch.root / "oci/index.json").read_bytes()
        with serving(lambda asked: answers.get(asked.method, refusal)) as server:
            result = polyarch.fails("manifest", "push", "--purge", app, f"{server.address}/app:1")
            assert "the quota is used up" in result.stderr
            assert server.address in result.stderr
        assert (polyarch.root / "oci/index.json").read_bytes() == names

    def test_an_unknown_list_is_answered_with_those_that_there_are(self, polyarch: Program, app: str) -> None:
        polyarch("manifest", "create", app, f"{app}-amd64")
        for command in (
            *(["add", "none", f"{app}-arm64"], ["annotate", "--arch", "arm64", "none", app], ["remove", "none", "x"]),
            *(["push", "none"], ["rm", "none"], ["rm", app, "none"]),
        ):
            result = polyarch.fails("manifest", *command)
            assert "there is no list none:latest in the store" in result.stderr
            assert app in result.stderr
        assert polyarch("manifest", "exists", app).status == 0
        single = polyarch.fails("manifest", "rm", f"{app}-amd64")
        assert "is a single image, not a list" in single.stderr

    def test_a_list_goes_by_a_tag_and_an_annotation_has_a_value(self, polyarch: Program, app: str) -> None:
        digest = "sha256:" + "0" * 64
        assert polyarch.fails("manifest", "create", f"app@{digest}").status == 2
        assert polyarch.fails("manifest", "create", "--annotation", "novalue", app).status == 2
        polyarch("manifest", "create", app, f"{app}-amd64")
        stored = polyarch.fails("manifest", "add", app, "containers-storage:localhost/app:2")
        assert "podman save localhost/app:2 | polyarch load" in stored.stderr
        assert "is pushed to a registry" in polyarch.fails("manifest", "push", app, "oci-archive:app.tar").stderr
        assert "nothing to annotate" in polyarch.fails("manifest", "annotate", app, "linux/amd64").stderr
        assert "missing entry of the list" in polyarch.fails("manifest", "annotate", "--arch", "arm", app).stderr
        assert digest in polyarch.fails("manifest", "remove", app, digest).stderr
