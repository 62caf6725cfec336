"""Certificate authorities and what they sign, for `serve --tls-self-signed` and for farms: P-256 keys, SHA-256, PEM."""

import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey


class CertificatePair(msgspec.Struct, frozen=True):
    """A certificate and its key, as PEM. The repr has neither."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return f"CertificatePair(<{len(self.certificate)} bytes>)"


class Validity(msgspec.Struct, frozen=True):
    """A certificate is valid for `days` from `now`, in seconds since 1970, and for `tolerance` seconds before that,
    because clocks of other machines may be slow.
    """

    now: float
    days: int
    tolerance: int


def make_authority(
    subject: "x509.Name", validity: Validity, usages: "Sequence[x509.ObjectIdentifier]" = ()
) -> CertificatePair:
    """A new authority, which may sign no other one. `usages` restrict what its certificates are for."""
    from cryptography import x509

    key = _new_key()
    builder = _begun(subject, subject, key, validity, is_authority=True)
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return _signed(builder, key, key)


def issue(
    authority: CertificatePair,
    subject: "x509.Name",
    validity: Validity,
    usages: "Sequence[x509.ObjectIdentifier]",
    names: "Sequence[x509.GeneralName]" = (),
) -> CertificatePair:
    """A certificate that `authority` signs, for these usages and alternative names. Its PEM has not the authority's.

    Raises ValueError if the authority cannot be read.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    issuer = x509.load_pem_x509_certificate(authority.certificate)
    signing: Any = serialization.load_pem_private_key(authority.key, None)
    key = _new_key()
    builder = _begun(subject, issuer.subject, key, validity, is_authority=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key())
    return _signed(builder.add_extension(identifier, critical=False), key, signing)


def _new_key() -> "EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _begun(
    subject: "x509.Name", issuer: "x509.Name", key: "EllipticCurvePrivateKey", validity: Validity, *, is_authority: bool
) -> "x509.CertificateBuilder":
    from cryptography import x509

    start = datetime.datetime.fromtimestamp(int(validity.now), datetime.UTC)
    public = key.public_key()
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(start - datetime.timedelta(seconds=validity.tolerance))
    builder = builder.not_valid_after(start + datetime.timedelta(days=validity.days))
    constraints = x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None)
    builder = builder.add_extension(constraints, critical=True)
    builder = builder.add_extension(_usage(is_authority=is_authority), critical=True)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)


def _usage(*, is_authority: bool) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(
    builder: "x509.CertificateBuilder", key: "EllipticCurvePrivateKey", signing: "EllipticCurvePrivateKey"
) -> CertificatePair:
    from cryptography.hazmat.primitives import hashes, serialization

    certificate = builder.sign(signing, hashes.SHA256())
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return CertificatePair(certificate.public_bytes(serialization.Encoding.PEM), encoded)
