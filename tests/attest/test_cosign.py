"""Debian sid's cosign and we verify what the other signed. Only loopback is reached: no log, no services."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from polyarch.attest.signing.keys import KeyPair
from scripts.local_registry import LocalRegistry
from tests.attest.cosign import PASSWORD, Cosign
from tests.attest.sigstore_services import ISSUER, SigstoreServices
from tests.attest.test_keys import MAKERS
from tests.program import Program

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("cosign"), pytest.mark.timeout(300)]

SECRET = {"COSIGN_PASSWORD": PASSWORD}
# What signing and verifying by a key needs so that nothing is sent anywhere, and that an older cosign takes as well.
LOCAL = ("--allow-http-registry", "--allow-insecure-registry")
UNLOGGED = (*LOCAL, "--insecure-ignore-tlog")
QUIET = (*LOCAL, "--use-signing-config=false", "--tlog-upload=false", "--yes")


@pytest.fixture
def image(polyarch: Program, busybox: str, registry: LocalRegistry) -> str:
    """An image for four platforms in a registry; the store has it under the same name."""
    name = f"{registry.address}/team/app:1"
    polyarch("tag", busybox, name)
    polyarch("push", name)
    return name


def digest_of(polyarch: Program, image: str) -> str:
    lines = polyarch("images", "--digests", "--format", "{{.Repository}}:{{.Tag}} {{.Digest}}").lines()
    return next(line.split()[1] for line in lines if line.startswith(f"{image} "))


def payloads(output: str) -> list[Any]:
    """What `cosign verify` prints: a list of documents, after an empty line."""
    found: list[Any] = json.loads(output.strip().splitlines()[-1])
    return found


def test_cosign_verifies_what_was_signed_in_the_store_and_pushed(
    polyarch: Program, image: str, cosign: Cosign, key_files: tuple[Path, Path]
) -> None:
    private, public = key_files
    polyarch("sign", "--key", private, "-a", "version=1.2", "--recursive", image, env=SECRET)
    polyarch("push", image)
    verified = cosign("verify", "--key", public, *UNLOGGED, "-a", "version=1.2", image)
    (found,) = payloads(verified.stdout)
    assert found["critical"]["image"]["docker-manifest-digest"] == digest_of(polyarch, image)
    assert found["optional"] == {"version": "1.2"}
    ours = polyarch("verify", "--key", public, "--output", "json", image).json()
    assert ours == [found | {"optional": found["optional"] | {"Key": ours[0]["optional"]["Key"]}}]
    # Each image of the index by itself.
    member = polyarch("manifest", "inspect", image).json()["manifests"][1]["digest"]
    cosign("verify", "--key", public, *UNLOGGED, f"{image.rpartition(':')[0]}@{member}")
    wrong = cosign("verify", "--key", public, *UNLOGGED, "-a", "version=1.3", image, check=False)
    assert wrong.status != 0
    assert "annotation" in wrong.stderr


@pytest.mark.parametrize("kind", MAKERS)
def test_cosign_verifies_signatures_of_every_kind_of_key(
    kind: str, polyarch: Program, image: str, cosign: Cosign, tmp_path: Path
) -> None:
    key = MAKERS[kind]()
    private, public = tmp_path / "some.key", tmp_path / "some.pub"
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    private.write_bytes(key.private_bytes(*form))
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    polyarch("sign", "--key", private, f"docker://{image}")
    cosign("verify", "--key", public, *UNLOGGED, image)


@pytest.mark.parametrize("kind", MAKERS)
def test_we_verify_what_cosign_signed_in_both_of_its_forms(
    kind: str, polyarch: Program, image: str, cosign: Cosign, tmp_path: Path
) -> None:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    plain, imported = tmp_path / "plain.key", tmp_path / "imported"
    plain.write_bytes(MAKERS[kind]().private_bytes(*form))
    cosign("import-key-pair", "--key", plain, "--output-key-prefix", imported)
    private, public = f"{imported}.key", f"{imported}.pub"
    cosign("sign", "--key", private, *QUIET, "-a", "form=old", "--new-bundle-format=false", image)
    (old,) = polyarch("verify", "--key", public, "--output", "json", f"docker://{image}").json()
    assert old["optional"]["form"] == "old"
    cosign("sign", "--key", private, *QUIET, "-a", "form=new", image)
    # The image is in the store, and its signatures are in the registry only.
    found = polyarch("verify", "--key", public, "--output", "json", image).json()
    assert sorted(one["optional"]["form"] for one in found) == ["new", "old"]
    assert {one["critical"]["image"]["docker-manifest-digest"] for one in found} == {digest_of(polyarch, image)}
    # And its encrypted key is ours.
    polyarch("sign", "--key", private, f"docker://{image}", env=SECRET)


def test_keys_that_we_make_are_cosigns(polyarch: Program, image: str, cosign: Cosign, tmp_path: Path) -> None:
    prefix = tmp_path / "made"
    polyarch("generate-key-pair", "--output-key-prefix", prefix, env=SECRET)
    assert cosign("public-key", "--key", f"{prefix}.key").stdout == Path(f"{prefix}.pub").read_text()
    cosign("sign", "--key", f"{prefix}.key", *QUIET, image)
    polyarch("verify", "--key", f"{prefix}.pub", image)


def test_attestations_are_verified_by_both(
    polyarch: Program, image: str, cosign: Cosign, key_files: tuple[Path, Path], tmp_path: Path
) -> None:
    private, public = key_files
    predicate = tmp_path / "scan.json"
    predicate.write_text('{"scanner": {"uri": "none"}}')
    polyarch("attest", "--key", private, "--type", "vuln", "--predicate", predicate, f"docker://{image}", env=SECRET)
    cosign("verify-attestation", "--key", public, *UNLOGGED, "--type", "vuln", image)
    polyarch("verify", "--key", public, "--type", "vuln", image)
    refused = polyarch.fails("verify", "--key", public, image)
    assert "it is an attestation of the type" in refused.stderr
    # cosign takes any statement for a signature.
    cosign("verify", "--key", public, *UNLOGGED, image)
    cosign("attest", "--key", private, *QUIET, "--type", "custom", "--predicate", predicate, image)
    polyarch("verify", "--key", public, "--type", "custom", image)


def test_cosign_verifies_a_signature_with_an_identity(
    polyarch: Program, image: str, cosign: Cosign, services: SigstoreServices, tmp_path: Path
) -> None:
    root, config = services.files(tmp_path)
    given = ("--trusted-root", root, "--signing-config", config, "--identity-token", services.token(), "--yes")
    polyarch("sign", *given, "-r", f"docker://{image}")
    expected = ("--certificate-identity", "dev@example.org", "--certificate-oidc-issuer", ISSUER)
    cosign("verify", "--trusted-root", root, *expected, *LOCAL, image)
    polyarch("verify", "--trusted-root", root, *expected, "-r", image)


def test_we_verify_what_cosign_signed_with_an_identity(
    polyarch: Program, image: str, cosign: Cosign, services: SigstoreServices, tmp_path: Path
) -> None:
    """In its form of today. That of cosign 2 has the log's promise and no proof, so it is refused by its name."""
    root, config = services.files(tmp_path)
    expected = ("--certificate-identity", "dev@example.org", "--certificate-oidc-issuer", ISSUER)
    token = ("--identity-token", services.token(), "--yes")
    at = ("--use-signing-config=false", "--fulcio-url", services.url, "--rekor-url", services.url)
    cosign("sign", *LOCAL, *token, *at, "--new-bundle-format=false", image, env=services.variables(tmp_path))
    cosign("verify", *LOCAL, *expected, image, env=services.variables(tmp_path))
    refused = polyarch.fails("verify", "--trusted-root", root, *expected, f"docker://{image}")
    assert "in the form that cosign had before version 3: use cosign verify" in refused.stderr
    cosign("sign", *LOCAL, *token, "--trusted-root", root, "--signing-config", config, image)
    polyarch("verify", "--trusted-root", root, *expected, f"docker://{image}")
    other = ("--certificate-identity", "mallory@example.org", *expected[2:])
    assert "is not the expected identity" in polyarch.fails("verify", "--trusted-root", root, *other, image).stderr


def test_a_key_with_another_password_or_none_is_an_error(
    polyarch: Program, image: str, key_files: tuple[Path, Path], pair: KeyPair
) -> None:
    private, _ = key_files
    wrong = polyarch.fails("sign", "--key", private, image, env={"COSIGN_PASSWORD": "hunter2"})
    assert f"{private} cannot be decrypted: the password is wrong" in wrong.stderr
    assert "hunter2" not in wrong.stderr + wrong.stdout
    none = polyarch.fails("sign", "--key", private, image)
    assert f"the password of {private} is not known" in none.stderr
    given = {"COSIGN_PRIVATE_KEY": bytes(pair.private).decode(), **SECRET}
    polyarch("sign", "--key", "env://COSIGN_PRIVATE_KEY", image, env=given)
