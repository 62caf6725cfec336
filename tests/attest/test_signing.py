"""Signing with a key and verifying: what holds, and every way in which a signature does not."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.attest.signing import envelope as envelopes
from polyarch.attest.signing import sign as signs
from polyarch.attest.signing import signatures, simple
from polyarch.attest.signing import verify as verifying
from polyarch.attest.signing.keys import PrivateKey
from polyarch.attest.signing.sign import SignedImage, SignOptions
from polyarch.attest.signing.trust import KeyTrust, RejectedError
from polyarch.attest.signing.verify import VerifiedImage, VerifyOptions
from polyarch.errors import (
    CorruptError,
    NotFoundError,
    PolyarchError,
    RegistryError,
    SignatureError,
    UnsupportedError,
    UsageError,
)
from polyarch.oci import manifest as manifests
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.transfer import referrers
from polyarch.transfer.locate import Places
from scripts.local_registry import LocalRegistry
from tests.images.layered import entry, file, image, index
from tests.registry.referring import serving_referrers

# Nothing listens there.
APP = "127.0.0.1:9/app:1"
CREATED = "2026-11-30T12:00:00Z"
OTHER_DIGEST = Digest("sha256:" + "0" * 64)


@pytest.fixture
def app(places: Places) -> Descriptor:
    """An index of two images."""
    store = places.store
    platforms = ("linux/amd64", "linux/arm64")
    entries = [entry(image(store, one, [file("a", one)]), one) for one in platforms]
    return index(store, APP, *entries)


@pytest.fixture(scope="module")
def other_key() -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ed25519

    return PrivateKey(ed25519.Ed25519PrivateKey.generate())


def sign(places: Places, text: str, key: PrivateKey, **options: Any) -> tuple[SignedImage, ...]:
    return signs.sign(places, text, signs.with_key(key), SignOptions(created=CREATED, **options))


def verify(places: Places, text: str, key: PrivateKey, **options: Any) -> tuple[VerifiedImage, ...]:
    return verifying.verify(places, text, KeyTrust(key.public), VerifyOptions(**options))


def refused(places: Places, text: str, key: PrivateKey, **options: Any) -> str:
    """Why the image is not verified."""
    with pytest.raises(SignatureError) as caught:
        verify(places, text, key, **options)
    return f"{caught.value.message}\n{caught.value.hint}"


def attach(places: Places, subject: Descriptor, content: bytes, kind: str = envelopes.BUNDLE) -> None:
    """Attach any bytes as a bundle."""
    blob = places.store.put_bytes(kind, content)
    artifact = manifests.artifact(kind, [blob], subject)
    referrers.attach(places.store, artifact, {artifact.config.digest: manifests.EMPTY_CONFIG})


def bundle_of(key: PrivateKey, digest: str, predicate_type: str = envelopes.SIGNATURE) -> bytes:
    statement = envelopes.encode_statement(Digest(digest), predicate_type, {}, {})
    return signs.with_key(key)([statement])[0]


def test_a_signed_index_is_verified_by_its_digest_and_its_images_are_not(
    places: Places, app: Descriptor, key: PrivateKey
) -> None:
    (signed,) = sign(places, APP, key)
    assert (signed.digest, signed.where) == (app.digest, "the store")
    (verified,) = verify(places, APP, key)
    assert (verified.digest, verified.signatures[0].signer.key) == (app.digest, key.public.fingerprint)
    assert verified.signatures[0].artifact == signed.artifact
    member = places.store.load(app).manifests[0].digest  # type: ignore[union-attr]
    assert f"127.0.0.1:9/app@{member} has no signature in the store" in refused(
        places, f"127.0.0.1:9/app@{member}", key
    )


def test_a_recursive_signature_is_of_each_image_too(places: Places, app: Descriptor, key: PrivateKey) -> None:
    assert len(sign(places, APP, key, recursive=True)) == 3
    members = [entry.digest for entry in places.store.load(app).manifests]  # type: ignore[union-attr]
    assert [one.digest for one in verify(places, APP, key, recursive=True)] == [app.digest, *members]
    assert verify(places, f"127.0.0.1:9/app@{members[1]}", key)[0].digest == members[1]


def test_verify_recursive_wants_a_signature_of_each_image(places: Places, app: Descriptor, key: PrivateKey) -> None:
    sign(places, APP, key)
    member = places.store.load(app).manifests[0].digest  # type: ignore[union-attr]
    assert f"{APP} ({member}) has no signature" in refused(places, APP, key, recursive=True)


def test_annotations_are_signed_and_can_be_required(places: Places, app: Descriptor, key: PrivateKey) -> None:
    sign(places, APP, key, annotations={"version": "1.2", "who": "ci"})
    (verified,) = verify(places, APP, key, annotations={"version": "1.2"})
    assert verified.signatures[0].annotations == {"version": "1.2", "who": "ci"}
    assert "annotation version is '1.2', not '1.3'" in refused(places, APP, key, annotations={"version": "1.3"})
    assert "annotation stage is None, not 'x'" in refused(places, APP, key, annotations={"stage": "x"})


def test_an_image_without_a_signature_is_refused_wherever_it_is(
    places: Places, app: Descriptor, key: PrivateKey, registry: LocalRegistry
) -> None:
    said = refused(places, APP, key)
    assert f"{APP} ({app.digest}) has no signature in the store" in said
    assert "127.0.0.1:9/app could not be asked" in said
    name = f"{registry.address}/app:1"
    places.store.tag(name, app)
    # The registry has no such repository: the list of an unknown subject is empty there.
    assert f"{name} ({app.digest}) has no signature in the store or in {registry.address}/app" in refused(
        places, name, key
    )
    with pytest.raises((NotFoundError, RegistryError)):
        verify(places, f"{registry.address}/unknown:1", key)


def test_a_signature_of_another_key_is_refused_and_names_it(
    places: Places, app: Descriptor, key: PrivateKey, other_key: PrivateKey
) -> None:
    sign(places, APP, other_key)
    assert f"it was made with another key ({other_key.public.fingerprint})" in refused(places, APP, key)
    sign(places, APP, key)
    assert len(verify(places, APP, key)[0].signatures) == 1


def test_a_signature_of_another_image_does_not_hold(places: Places, app: Descriptor, key: PrivateKey) -> None:
    attach(places, app, bundle_of(key, OTHER_DIGEST))
    assert "the signature does not hold\n  sha256:" in refused(places, APP, key)
    assert f"it is of another image ({OTHER_DIGEST})" in refused(places, APP, key)


def test_an_attestation_is_no_signature_and_is_verified_by_its_type(
    places: Places, app: Descriptor, key: PrivateKey
) -> None:
    uri = "https://cosign.sigstore.dev/attestation/vuln/v1"
    sign(places, APP, key, predicate_type=uri, predicate={"scanner": "none"})
    assert f"it is an attestation of the type {uri}, not a signature" in refused(places, APP, key)
    (verified,) = verify(places, APP, key, predicate_type=uri)
    assert verified.signatures[0].predicate == {"scanner": "none"}
    assert signs.predicate_type("vuln") == uri
    with pytest.raises(UsageError, match="'nonsense' is not a type of attestation"):
        signs.predicate_type("nonsense")


def changed(bundle: bytes, change: Callable[[Any], None]) -> bytes:
    document = json.loads(bundle)
    change(document)
    return json.dumps(document).encode()


def _payload(document: Any) -> None:
    envelope = document["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"]).replace(b'"predicate":{}', b'"predicate":{"good":true}')
    envelope["payload"] = base64.b64encode(payload).decode()


TAMPERED: dict[str, tuple[Callable[[Any], None], str]] = {
    "another payload": (_payload, "the signature is wrong: its contents were changed"),
    "another type": (lambda d: d["dsseEnvelope"].update(payloadType="text/plain"), "the signature is wrong"),
    "no signature": (lambda d: d["dsseEnvelope"].update(signatures=[]), "the bundle has 0 signatures"),
    "two signatures": (lambda d: d["dsseEnvelope"].update(signatures=[{"sig": "AAAA"}] * 2), "has 2 signatures"),
    "an empty signature": (lambda d: d["dsseEnvelope"].update(signatures=[{"sig": ""}]), "the signature is wrong"),
    "no base64": (lambda d: d["dsseEnvelope"].update(signatures=[{"sig": "%"}]), "invalid base64"),
    "no envelope": (lambda d: d.pop("dsseEnvelope"), "the bundle has no signature"),
    "a message": (
        lambda d: (d.pop("dsseEnvelope"), d.update(messageSignature={"signature": "AAAA"})),
        "a signature without a statement",
    ),
    "another format": (lambda d: d.update(mediaType="application/json"), "it is not a Sigstore bundle"),
    "no format": (lambda d: d.pop("mediaType"), "it is not a Sigstore bundle"),
    "a certificate": (
        lambda d: (_payload(d), d.update(verificationMaterial={"certificate": {"rawBytes": "AAAA"}})),
        "it was made with a certificate",
    ),
    "another hint": (
        lambda d: (_payload(d), d["verificationMaterial"]["publicKey"].update(hint="AAAA")),
        r"it was made with another key (SHA256:AAAA)",
    ),
    "escapes in the hint": (
        lambda d: (_payload(d), d["verificationMaterial"]["publicKey"].update(hint="\x1b[2J\nall is well")),
        "another key (SHA256: [2J all is well)",
    ),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_a_changed_bundle_does_not_hold(case: str, places: Places, app: Descriptor, key: PrivateKey) -> None:
    change, message = TAMPERED[case]
    good = bundle_of(key, app.digest)
    attach(places, app, changed(good, change))
    assert message in refused(places, APP, key)


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_bundle_with_a_changed_byte_is_refused_or_says_the_same(key: PrivateKey, place: int, byte: int) -> None:
    # The length of a signature varies, so the place is not drawn from the length of this bundle.
    good = bundle_of(key, OTHER_DIGEST)
    at = place % len(good)
    bad = good[:at] + bytes([byte]) + good[at + 1 :]
    try:
        bundle = envelopes.decode_bundle(bad)
        KeyTrust(key.public).of_bundle(bundle)
    except (CorruptError, RejectedError):
        return
    assert bundle.envelope.payload == envelopes.decode_bundle(good).envelope.payload


def test_json_that_is_nested_too_deeply_does_not_hold(places: Places, app: Descriptor, key: PrivateKey) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    attach(places, app, b'{"mediaType":"x","verificationMaterial":{"certificate":%s}}' % deep)
    assert "the bundle is nested more than" in refused(places, APP, key)
    statement = b'{"_type":"x","subject":[],"predicateType":"x","predicate":%s}' % deep
    attach(places, app, signs.with_key(key)([statement])[0])
    assert "its payload is nested more than" in refused(places, APP, key)


def test_cosigns_older_signatures_are_verified_and_changed_ones_are_not(
    places: Places, app: Descriptor, key: PrivateKey
) -> None:
    """Debian's cosign makes real ones in test_cosign.py."""

    def document(digest: str) -> bytes:
        return json.dumps({"critical": {"image": {"docker-manifest-digest": digest}}, "optional": {"a": "1"}}).encode()

    def layer(payload: bytes, signature: bytes | str) -> Descriptor:
        text = signature if isinstance(signature, str) else base64.b64encode(signature).decode()
        blob = places.store.put_bytes(simple.LAYER, payload)
        return msgspec.structs.replace(blob, annotations={"dev.cosignproject.cosign/signature": text})

    right, wrong = document(app.digest), document(OTHER_DIGEST)
    cases = [
        ([layer(right, key.sign(wrong))], "another key, or its contents were changed"),
        ([layer(wrong, key.sign(wrong))], f"it is of another image ({OTHER_DIGEST})"),
        ([layer(right, "")], "it has no signature"),
        ([layer(right, "%")], "its signature has invalid base64"),
        ([layer(b"[]", key.sign(b"[]"))], "it is not a signed document of cosign"),
    ]
    for layers, message in cases:
        artifact = manifests.artifact(simple.ARTIFACT, layers, app)
        referrers.attach(places.store, artifact, {artifact.config.digest: manifests.EMPTY_CONFIG})
        assert message in refused(places, APP, key)
    several = manifests.artifact(simple.ARTIFACT, [layer(wrong, key.sign(wrong)), layer(right, key.sign(right))], app)
    referrers.attach(places.store, several, {})
    (verified,) = verify(places, APP, key)
    assert [(one.form, one.annotations) for one in verified.signatures] == [("simple", {"a": "1"})]


def test_a_cut_bundle_does_not_hold_at_any_length(app: Descriptor, key: PrivateKey) -> None:
    good = bundle_of(key, app.digest)
    for length in range(len(good)):
        with pytest.raises(PolyarchError, match="Sigstore bundle"):
            envelopes.decode_bundle(good[:length])


def test_a_statement_that_is_signed_and_wrong_does_not_hold(places: Places, app: Descriptor, key: PrivateKey) -> None:
    """The owner of the key made these, by mistake or by another tool."""
    encoded = app.digest.removeprefix("sha256:")
    subject = {"digest": {"sha256": encoded}}
    many = [{"digest": {"sha256": f"{number:064x}"}} for number in range(1025)]
    cases: list[tuple[Any, str]] = [
        ("no statement", "its payload is not a statement"),
        ({"_type": "https://example.org/x", "predicateType": "x", "subject": [subject]}, "of the unknown type"),
        ({"_type": "https://in-toto.io/Statement/v1", "predicateType": "x", "subject": []}, "without a digest"),
        ({"_type": "https://in-toto.io/Statement/v1", "predicateType": "x", "subject": many}, "1025 subjects"),
        (
            {"_type": "https://in-toto.io/Statement/v1", "predicateType": "x", "subject": [{"digest": {"sha1": "0"}}]},
            "it is of another image (sha1:0)",
        ),
    ]
    for statement, message in cases:
        attach(places, app, signs.with_key(key)([json.dumps(statement).encode()])[0])
        assert message in refused(places, APP, key)
    # One that holds is enough, whatever the others are.
    sign(places, APP, key)
    assert len(verify(places, APP, key)[0].signatures) == 1


def test_what_refers_to_an_image_and_is_no_signature_is_passed_over(
    places: Places, app: Descriptor, key: PrivateKey
) -> None:
    attach(places, app, b"{}", "application/vnd.example.report+json")
    assert "has no signature" in refused(places, APP, key)


def test_only_the_first_thousand_signatures_are_read(
    places: Places, app: Descriptor, key: PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signatures, "_MOST", 3)
    for number in range(5):
        attach(places, app, b'{"number": %d}' % number)
    said = refused(places, APP, key)
    assert "none of the 4 signatures holds" in said
    assert "only 3 manifests about an image are read" in said


def test_a_huge_bundle_is_not_read(
    places: Places, app: Descriptor, key: PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signatures, "_LARGEST", 10)
    attach(places, app, b"x" * 11)
    assert "it has 11 bytes; 10 are read" in refused(places, APP, key)


def test_nothing_is_attached_if_signing_fails(places: Places, app: Descriptor) -> None:
    def fails(statements: object) -> Any:
        raise PolyarchError("the password is wrong")

    with pytest.raises(PolyarchError, match="the password is wrong"):
        signs.sign(places, APP, fails, SignOptions(created=CREATED, recursive=True))
    assert referrers.find(places.store, app.digest) == ()


@pytest.mark.parametrize("lists", [True, False], ids=["referrers API", "tag for referrers"])
def test_an_image_that_is_only_in_a_registry_is_signed_there(lists: bool, places: Places, key: PrivateKey) -> None:
    store = places.store
    root = image(store, "linux/amd64", [file("a", "b")])
    with serving_referrers() as registry:
        registry.lists = lists
        name = f"{registry.server.address}/team/app:1"
        store.tag(name, root)
        from polyarch.images.push import push
        from polyarch.oci import reference as references

        push(store, places.registry, references.parse(name), None)
        store.untag(name)
        (signed,) = sign(places, name, key)
        assert signed.where == f"{registry.server.address}/team/app"
        assert verify(places, name, key)[0].digest == root.digest
        # An image that is in the store may have its signatures in the registry only.
        store.tag(name, root)
        assert verify(places, name, key)[0].digest == root.digest


def test_an_archive_takes_no_signature(places: Places, app: Descriptor, key: PrivateKey, tmp_path: Path) -> None:
    from polyarch.images.save import save

    with open(tmp_path / "app.tar", "w+b") as archive:
        save(places.store, places.registry, [APP], archive)
    with pytest.raises(UnsupportedError, match="cannot list manifests"):
        sign(places, f"oci-archive:{tmp_path}/app.tar", key)
