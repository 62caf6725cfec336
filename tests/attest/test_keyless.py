"""Signatures with an identity, against Sigstore's services as tests have them on loopback."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sigstore.dsse import Statement as SignableStatement

from polyarch.attest.signing import envelope as envelopes
from polyarch.attest.signing import keyless
from polyarch.attest.signing import sign as signs
from polyarch.attest.signing.keyless import ExpectedIdentity, IdentityTrust
from polyarch.attest.signing.keyless import SigstoreServices as ServiceFiles
from polyarch.attest.signing.keys import PrivateKey
from polyarch.attest.signing.trust import RejectedError, Signer
from polyarch.errors import PolyarchError, UsageError
from polyarch.oci import digest as digests
from polyarch.secret import SecretBytes
from tests.attest import sigstore_services
from tests.attest.sigstore_services import ISSUER, SigstoreServices

DIGEST = digests.of(b"an image")
STATEMENT = envelopes.encode_statement(DIGEST, envelopes.SIGNATURE, {}, {})
DEVELOPER = ExpectedIdentity(identity="dev@example.org", issuer=ISSUER)


@pytest.fixture
def files(services: SigstoreServices, tmp_path: Path) -> ServiceFiles:
    root, config = services.files(tmp_path)
    return ServiceFiles(trusted_root=root, signing_config=config)


def signed(services: SigstoreServices, files: ServiceFiles, identity: str = "dev@example.org") -> bytes:
    (bundle,) = keyless.sign([STATEMENT], SecretBytes(services.token(identity).encode()), files)
    return bundle


def signer_of(bundle: bytes, files: ServiceFiles, expected: ExpectedIdentity = DEVELOPER) -> Signer:
    return IdentityTrust(expected, files).of_bundle(envelopes.decode_bundle(bundle))


def test_a_signature_names_the_identity_and_its_issuer(services: SigstoreServices, files: ServiceFiles) -> None:
    assert signer_of(signed(services, files), files) == Signer(identity="dev@example.org", issuer=ISSUER)


def test_several_statements_are_signed_with_one_certificate(services: SigstoreServices, files: ServiceFiles) -> None:
    keyless.sign([STATEMENT] * 3, SecretBytes(services.token().encode()), files)
    assert [path for path, _ in services.requests] == ["/api/v2/signingCert"] + ["/api/v1/log/entries"] * 3
    # Only the authority gets the token.
    assert [bool(authorization) for _, authorization in services.requests] == [True, False, False, False]


@pytest.mark.parametrize(
    ("expected", "accepted"),
    [
        ({"identity": "dev@example.org", "issuer": ISSUER}, True),
        ({"identity": "DEV@example.org", "issuer": ISSUER}, False),
        ({"identity": "dev@example.or", "issuer": ISSUER}, False),
        ({"identity": "dev@example.org", "issuer": f"{ISSUER}/"}, False),
        ({"identity_regexp": "^dev@", "issuer_regexp": r"^https://issuer\.example\.org$"}, True),
        ({"identity_regexp": "example", "issuer": ISSUER}, True),
        ({"identity_regexp": "^example", "issuer": ISSUER}, False),
        ({"identity_regexp": ".*", "issuer_regexp": "^http://"}, False),
    ],
)
def test_identities_and_issuers_are_compared(
    expected: dict[str, str], accepted: bool, services: SigstoreServices, files: ServiceFiles
) -> None:
    bundle = signed(services, files)
    if accepted:
        assert signer_of(bundle, files, ExpectedIdentity(**expected)).identity == "dev@example.org"
    else:
        with pytest.raises(RejectedError, match=r"it is of dev@example\.org \(issuer https://issuer\.example\.org\)"):
            signer_of(bundle, files, ExpectedIdentity(**expected))


def test_the_identity_of_a_ci_job_is_a_uri(services: SigstoreServices, files: ServiceFiles) -> None:
    expected = ExpectedIdentity(identity=services.job, issuer=ISSUER)
    assert signer_of(signed(services, files, services.job), files, expected).identity == services.job


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({}, "the identity of a certificate is needed once"),
        ({"identity": "a"}, "the issuer of a certificate is needed once"),
        ({"identity": "a", "identity_regexp": "a", "issuer": "b"}, "the identity of a certificate is needed once"),
        ({"identity_regexp": "(", "issuer": "b"}, r"'\(' is not a regular expression"),
    ],
)
def test_an_expectation_that_is_incomplete_is_refused(expected: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ExpectedIdentity(**expected)


def _payload(bundle: Any) -> None:
    other = STATEMENT.replace(DIGEST[7:].encode(), b"0" * 64)
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(other).decode()


def _entry(change: dict[str, Any]) -> Callable[[Any], None]:
    return lambda bundle: bundle["verificationMaterial"]["tlogEntries"][0].update(change)


def _proof(change: dict[str, Any]) -> Callable[[Any], None]:
    return lambda bundle: bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"].update(change)


def _certificate(value: Any) -> Callable[[Any], None]:
    return lambda bundle: bundle["verificationMaterial"].update(certificate=value)


TAMPERED: dict[str, Callable[[Any], None]] = {
    "another payload": _payload,
    "another signature": lambda bundle: bundle["dsseEnvelope"]["signatures"][0].update(sig="AAAA"),
    "no entry": lambda bundle: bundle["verificationMaterial"].update(tlogEntries=[]),
    "another time": _entry({"integratedTime": "1"}),
    "another log": _entry({"logId": {"keyId": "AAAA"}}),
    "no promise": _entry({"inclusionPromise": None}),
    "another entry": _entry({"canonicalizedBody": "e30="}),
    "another root": _proof({"rootHash": base64.b64encode(b"x" * 32).decode()}),
    "another checkpoint": _proof({"checkpoint": {"envelope": "a\n1\nAAAA\n\n\u2014 a AAAAAAAAAA==\n"}}),
    "a proof too long": _proof({"hashes": ["AAAA"]}),
    "no certificate": _certificate({}),
    "a broken certificate": _certificate({"rawBytes": "AAAA"}),
    "a chain": lambda bundle: bundle["verificationMaterial"].update(
        certificate=None, x509CertificateChain={"certificates": []}
    ),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_a_changed_bundle_is_rejected(case: str, services: SigstoreServices, files: ServiceFiles) -> None:
    document = json.loads(signed(services, files))
    TAMPERED[case](document)
    with pytest.raises(RejectedError) as caught:
        signer_of(json.dumps(document).encode(), files)
    assert str(caught.value)


def test_a_bundle_of_other_services_is_rejected(
    services: SigstoreServices, files: ServiceFiles, tmp_path: Path
) -> None:
    with sigstore_services.running() as others:
        directory = tmp_path / "others"
        directory.mkdir()
        root, config = others.files(directory)
        theirs = ServiceFiles(trusted_root=root, signing_config=config)
        bundle = signed(others, theirs)
    with pytest.raises(RejectedError, match=r"signature does not match|certificate"):
        signer_of(bundle, files)


def test_signatures_with_keys_and_with_identities_are_told_apart(
    services: SigstoreServices, files: ServiceFiles, key: PrivateKey
) -> None:
    from polyarch.attest.signing.trust import KeyTrust

    (with_key,) = signs.with_key(key)([STATEMENT])
    with pytest.raises(RejectedError, match="it was made with a key: verify it with --key"):
        signer_of(with_key, files)
    with pytest.raises(RejectedError, match="it was made with a certificate: verify it with --certificate-identity"):
        KeyTrust(key.public).of_bundle(envelopes.decode_bundle(signed(services, files)))


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (lambda services: "secret-nonsense", "malformed or missing claims"),
        (lambda services: services.token(lasts=-100), "it has expired"),
        (lambda services: services.token(audience="other"), "it is for another audience than sigstore"),
    ],
)
def test_a_token_that_does_not_serve_is_named_and_not_shown(
    token: Callable[[SigstoreServices], str], message: str, services: SigstoreServices, files: ServiceFiles
) -> None:
    text = token(services)
    with pytest.raises(PolyarchError, match=message) as caught:
        keyless.sign([STATEMENT], SecretBytes(text.encode()), files)
    assert text not in f"{caught.value} {caught.value.hint}"
    assert services.requests == []


def test_without_any_token_it_is_said_how_to_get_one(files: ServiceFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    with pytest.raises(UsageError, match="there is no identity to sign with"):
        keyless.sign([STATEMENT], None, files)


@pytest.mark.parametrize(("service", "message"), [("fulcio", "400 Client Error"), ("rekor", "400: .*not today")])
def test_a_service_that_refuses_is_an_error_with_its_words(
    service: str, message: str, services: SigstoreServices, files: ServiceFiles
) -> None:
    services.refusing = service
    with pytest.raises(PolyarchError, match=f"the image cannot be signed: {message}"):
        signed(services, files)


def test_services_that_do_not_answer_are_an_error(tmp_path: Path) -> None:
    with sigstore_services.running() as gone:
        root, config = gone.files(tmp_path)
    with pytest.raises(PolyarchError, match=r"the image cannot be signed: .*Connection refused"):
        signed(gone, ServiceFiles(trusted_root=root, signing_config=config))


def test_an_authority_that_the_root_does_not_know_is_an_error(
    services: SigstoreServices, files: ServiceFiles, tmp_path: Path
) -> None:
    """The certificate log of the services is not that of the root: other services answer."""
    with sigstore_services.running() as others:
        directory = tmp_path / "others"
        directory.mkdir()
        root, _ = others.files(directory)
    with pytest.raises(PolyarchError, match="the image cannot be signed: SCT verify failed"):
        signed(services, ServiceFiles(trusted_root=root, signing_config=files.signing_config))


def test_files_that_are_no_trusted_root_or_signing_config_are_named(
    services: SigstoreServices, files: ServiceFiles, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    for wrong, message in (
        (ServiceFiles(trusted_root=bad, signing_config=files.signing_config), "is not a trusted root"),
        (ServiceFiles(trusted_root=files.trusted_root, signing_config=bad), "is not a signing config"),
        (ServiceFiles(trusted_root=tmp_path / "none", signing_config=files.signing_config), "there is no file"),
        (ServiceFiles(trusted_root=files.trusted_root), "--trusted-root needs --signing-config"),
    ):
        with pytest.raises(UsageError, match=message):
            signed(services, wrong)


def test_public_services_that_are_not_reached_are_an_error_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(PolyarchError, match="the public root of trust cannot be fetched") as caught:
        IdentityTrust(DEVELOPER, ServiceFiles())
    assert "--trusted-root" in str(caught.value.hint)


def test_what_is_signed_is_about_something_with_a_name() -> None:
    """The library signs no statement whose subject has no name."""
    raw = envelopes.encode_statement(DIGEST, "https://example.org/t", {"a": 1}, {"b": "c"})
    assert json.loads(raw)["subject"] == [
        {"name": DIGEST, "digest": {"sha256": DIGEST.removeprefix("sha256:")}, "annotations": {"b": "c"}}
    ]
    SignableStatement(raw)
