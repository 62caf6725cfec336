"""`--attest`, `--provenance` and `--sbom`, as buildx and BuildKit read them; nothing unless it is asked for."""

from collections.abc import Mapping
from typing import Any

import pytest

from polyarch.builder.request.attestation import AttestationRequest, ProvenanceRequest, SbomRequest
from polyarch.buildflags import attest
from polyarch.errors import UsageError

MAX, MIN, BUILTIN = ProvenanceRequest(), ProvenanceRequest(mode="min"), SbomRequest()


def asked(
    attests: object = None,
    provenance: object = None,
    sbom: object = None,
    arguments: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
) -> AttestationRequest:
    return attest.request(attests, provenance, sbom, arguments or {}, variables or {})


def test_nothing_is_made_by_default() -> None:
    assert not asked()
    assert asked() == AttestationRequest()
    assert not asked((), "", "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"provenance": "true"}, MAX),
        ({"provenance": True}, MAX),
        ({"provenance": "1"}, MAX),
        ({"provenance": "mode=max"}, MAX),
        # BuildKit reads "full" as "max".
        ({"provenance": "mode=full"}, MAX),
        ({"provenance": "mode=min"}, MIN),
        ({"provenance": {"mode": "min"}}, MIN),
        ({"attests": "type=provenance"}, MAX),
        ({"attests": "type=provenance,mode=min"}, MIN),
        ({"attests": "type=provenance,disabled=false"}, MAX),
        ({"attests": "TYPE=Provenance"}, MAX),
        ({"provenance": "version=v0.2"}, ProvenanceRequest(version="v0.2")),
        ({"provenance": "builder-id=https://ci/1,mode=min"}, ProvenanceRequest(mode="min", builder_id="https://ci/1")),
        ({"provenance": '"builder-id=a,b"'}, ProvenanceRequest(builder_id="a,b")),
        ({"provenance": {"builder_id": "a,b"}}, ProvenanceRequest(builder_id="a,b")),
        ({"provenance": "reproducible=true"}, ProvenanceRequest(reproducible=True)),
        ({"provenance": "inline-only=T"}, ProvenanceRequest(inline_only=True)),
        ({"provenance": {"inline-only": True}}, ProvenanceRequest(inline_only=True)),
        ({"provenance": "capture-usage=1"}, ProvenanceRequest(capture_usage=True)),
        ({"provenance": "complete-materials=true"}, ProvenanceRequest(complete_materials=True)),
        ({"provenance": "filename=slsa.json"}, ProvenanceRequest(filename="slsa.json")),
        # BuildKit takes the last part of a path.
        ({"provenance": "filename=a/slsa.json"}, ProvenanceRequest(filename="slsa.json")),
        ({"arguments": {"BUILDKIT_ATTEST_PROVENANCE": "mode=min"}}, MIN),
        ({"arguments": {"BUILDKIT_ATTEST_PROVENANCE": ""}}, MAX),
        ({"provenance": "false"}, None),
        ({"provenance": False}, None),
        ({"attests": "type=provenance,disabled=true"}, None),
        ({"attests": "type=provenance,disabled=true,mode=max"}, None),
        ({"provenance": ""}, None),
        # Of a type the last one counts, and the short form comes after --attest.
        ({"attests": ["type=provenance,mode=max", "type=provenance,mode=min"]}, MIN),
        ({"attests": ["type=provenance,mode=max", "type=provenance,disabled=true"]}, None),
        ({"attests": ["type=provenance,disabled=true", "type=provenance"]}, MAX),
        ({"attests": "type=provenance,mode=min,builder-id=x", "provenance": "mode=max"}, MAX),
        ({"attests": "type=provenance", "provenance": "false"}, None),
        ({"arguments": {"BUILDKIT_ATTEST_PROVENANCE": "mode=min"}, "provenance": "false"}, None),
    ],
)
def test_provenance(words: dict[str, Any], expected: ProvenanceRequest | None) -> None:
    assert asked(**words) == AttestationRequest(provenance=expected)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"sbom": "true"}, BUILTIN),
        ({"attests": "type=sbom"}, BUILTIN),
        ({"arguments": {"BUILDKIT_ATTEST_SBOM": ""}}, BUILTIN),
        ({"sbom": "generator=scanner"}, SbomRequest(generator="docker.io/library/scanner:latest")),
        (
            {"sbom": "generator=ghcr.io/a/b:1,SELECT=x"},
            SbomRequest(generator="ghcr.io/a/b:1", parameters={"SELECT": "x"}),
        ),
        ({"sbom": "false"}, None),
        ({"attests": "type=sbom", "sbom": "0"}, None),
    ],
)
def test_sbom(words: dict[str, Any], expected: SbomRequest | None) -> None:
    assert asked(**words) == AttestationRequest(sbom=expected)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"attests": "type=signature"}, "unknown attestation type 'signature'"),
        ({"attests": "mode=max"}, "has no type"),
        ({"attests": "provenance"}, "'provenance' is not a KEY=VALUE"),
        ({"attests": ""}, "has no type"),
        ({"attests": "false"}, "'false' is not a KEY=VALUE"),
        ({"attests": "type=provenance,disabled=maybe"}, "disabled=maybe is neither"),
        ({"provenance": "yes"}, "'yes' is not a KEY=VALUE"),
        ({"provenance": "mode=most"}, "unknown mode 'most'"),
        ({"provenance": "version=v2"}, "unknown version 'v2'"),
        ({"provenance": "inline-only=maybe"}, "inline-only=maybe is neither"),
        ({"provenance": "builder=x"}, "does not accept 'builder'"),
        ({"provenance": "generator=x"}, "does not accept 'generator'"),
        ({"provenance": "filename=.."}, "not the name of a file"),
        ({"provenance": "filename="}, "not the name of a file"),
        ({"provenance": 1}, "takes bool or str"),
        ({"provenance": {"mode": 1}}, "takes str or bool"),
        ({"sbom": "generator="}, "the generator is empty"),
        ({"sbom": "generator=UPPER"}, "must be lower case"),
        ({"sbom": "docker/scanner"}, "is not a KEY=VALUE"),
        ({"sbom": "select=x"}, "without a generator"),
        ({"arguments": {"BUILDKIT_ATTEST_OTHER": ""}}, "unknown attestation type 'other'"),
    ],
)
def test_what_is_wrong_is_refused(words: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        asked(**words)


def test_facts_of_git_are_switched_by_the_environment() -> None:
    found = asked(provenance="true", variables={"BUILDX_GIT_INFO": "false", "BUILDX_GIT_CHECK_DIRTY": "1"}).provenance
    assert found == ProvenanceRequest(git_info=False, git_check_dirty=True)
    # As in buildx, a value that is not a boolean leaves the default.
    assert asked(provenance="true", variables={"BUILDX_GIT_INFO": "full"}).provenance == MAX
