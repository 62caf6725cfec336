"""`imagetools inspect --format` prints what buildx prints, byte for byte: recorded by buildx_answers.py."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from polyarch.images import attested
from polyarch.indexes import imagetools
from polyarch.oci.attestation import ARTIFACT_TYPE
from polyarch.registry import Credentials, Hosts, Registry
from polyarch.render import imagetools as rendering
from polyarch.store import Store
from polyarch.transfer.locate import Places
from tests.integration.buildx_answers import RECORDED
from tests.program import Program
from tests.registry.referring import ReferringRegistry, serving_referrers

_ANSWERS: dict[str, Any] = json.loads(RECORDED.read_text())


@pytest.fixture(scope="module")
def recorded() -> Iterator[ReferringRegistry]:
    """A registry with the images of the record."""
    with serving_referrers() as registry:
        registry.tags = _ANSWERS["tags"]
        registry.blobs = {digest: base64.b64decode(raw) for digest, raw in _ANSWERS["blobs"].items()}
        registry.manifests = {
            digest: (media_type, base64.b64decode(raw)) for digest, (media_type, raw) in _ANSWERS["manifests"].items()
        }
        yield registry


@pytest.fixture
def client() -> Iterator[Registry]:
    with Registry(Hosts(), Credentials(None), "polyarch-test") as opened:
        yield opened


def _in_order(text: str) -> str:
    """Go prints the annotations of an entry in random order."""
    return re.sub(
        r"(?m)((?:^    \S+: +\S+\n)+)", lambda block: "".join(sorted(block[0].splitlines(keepends=True))), text
    )


@pytest.mark.parametrize("tag", _ANSWERS["tags"])
def test_every_template_prints_what_buildx_prints(
    store: Store, client: Registry, recorded: ReferringRegistry, tmp_path: Path, tag: str
) -> None:
    places = Places(store, client, lambda: (tmp_path / "spool").open("w+b"))
    name = f"{recorded.address}/app:{tag}"
    image = imagetools.inspect(places, name)
    answers = _ANSWERS["answers"][tag]
    assert len(answers) > 10
    for template, answer in answers.items():
        shown = rendering.rendered(
            template,
            image,
            name,
            lambda: imagetools.predicates(places, name, image, provenance=True).provenance,
            lambda: imagetools.predicates(places, name, image, sbom=True).sbom,
        )
        assert _in_order(shown.replace(recorded.address, _ANSWERS["address"])) == _in_order(answer), template


@pytest.mark.parametrize("template", ["", "{{json .SBOM}}"])
def test_the_command_adds_nothing(polyarch: Program, recorded: ReferringRegistry, template: str) -> None:
    words = ["--format", template] if template else []
    shown = polyarch("buildx", "imagetools", "inspect", *words, f"{recorded.address}/app:two").stdout
    answer = _ANSWERS["answers"]["two"][template]
    assert _in_order(shown.replace(recorded.address, _ANSWERS["address"])) == _in_order(answer)


def test_an_image_for_one_platform_is_not_keyed_by_it(polyarch: Program, recorded: ReferringRegistry) -> None:
    template = '{{json (index .SBOM "linux/arm64").SPDX}}'
    failed = polyarch.fails("buildx", "imagetools", "inspect", "--format", template, f"{recorded.address}/app:one")
    assert "the image is for one platform" in failed.stderr
    assert "write .SBOM.SPDX" in failed.stderr


def test_statements_are_read_only_if_a_template_asks(polyarch: Program, recorded: ReferringRegistry) -> None:
    before = len(recorded.server.asked)
    polyarch("buildx", "imagetools", "inspect", "--format", "{{json .Provenance}}", f"{recorded.address}/app:two")
    read = [asked.path for asked in recorded.server.asked[before:] if "/blobs/" in asked.path]
    assert len(read) == 4, "two configs and two statements, and none of the six SBOMs"


def test_json_has_everything(polyarch: Program, recorded: ReferringRegistry) -> None:
    shown = polyarch("buildx", "imagetools", "inspect", "--format", "json", f"{recorded.address}/app:two").json()
    assert list(shown) == ["name", "manifest", "image", "Provenance", "SBOM"]
    bills = shown["SBOM"]["linux/arm64"]
    assert bills["SPDX"]["name"] == "core"
    assert [bill["name"] for bill in bills["AdditionalSPDXs"]] == ["sbom-context", "sbom-base"]


@pytest.mark.parametrize("tag", ["two", "one", "artifact", "provenance"])
def test_what_buildkit_attested_holds(
    store: Store, client: Registry, recorded: ReferringRegistry, tmp_path: Path, tag: str
) -> None:
    places = Places(store, client, lambda: (tmp_path / "spool").open("w+b"))
    report = attested.report(places, f"docker://{recorded.address}/app:{tag}")
    assert report.problems == ()
    listed = {one.artifact_type for one in report.attestations if one.listed == "index"}
    assert listed == {ARTIFACT_TYPE if tag == "artifact" else ""}
    assert all(one.statements for one in report.attestations)
