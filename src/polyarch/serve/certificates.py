"""Certificates of `--tls-self-signed`: a certificate authority (CA) of this store, and what it signs for the server.

Clients are given the CA once. The server's own certificate is short-lived and renewed without them.
"""

import datetime
import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_CA_DAYS = 3650
_SERVER_DAYS = 90
# A certificate is renewed when less than this is left of it.
_RENEW_DAYS = 30
# Clocks of clients may be slow.
_BACKDATED = datetime.timedelta(hours=1)


class CertificatePair(msgspec.Struct, frozen=True):
    """A certificate and its key, as PEM. The repr has neither."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return f"CertificatePair(<{len(self.certificate)} bytes>)"


def make_ca(name: str, now: float) -> CertificatePair:
    """A new CA, called `name`. It may sign certificates of servers, and no other CA."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    builder = _begun(subject, subject, key.public_key(), now, _CA_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(is_ca=True), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return _signed(builder, key, key)


def make_server(ca: CertificatePair, names: Sequence[str], now: float) -> CertificatePair:
    """A certificate for a server with these names and addresses, signed by `ca`. Its PEM ends with that of the CA."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    issuer = x509.load_pem_x509_certificate(ca.certificate)
    signing: Any = serialization.load_pem_private_key(ca.key, None)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _begun(_name(names[0]), issuer.subject, key.public_key(), now, _SERVER_DAYS)
    builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(is_ca=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()),  # type: ignore[arg-type]
        critical=False,
    )
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    made = _signed(builder, key, signing)
    return CertificatePair(made.certificate + ca.certificate, made.key)


def is_current(pair: CertificatePair, names: Sequence[str], now: float) -> bool:
    """Whether a server's certificate has exactly these names and does not end soon."""
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(pair.certificate)
    stated = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(stated) == {_general(name) for name in names} and not _ends_soon(certificate, now)


def is_current_ca(pair: CertificatePair, now: float) -> bool:
    """Whether a CA does not end before a certificate that it would sign now."""
    from cryptography import x509

    left = _SERVER_DAYS + _RENEW_DAYS
    return not _ends_soon(x509.load_pem_x509_certificate(pair.certificate), now, left)


def fingerprint(certificate: bytes) -> str:
    """The SHA-256 fingerprint of the first certificate in a PEM, as openssl and browsers show it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    return x509.load_pem_x509_certificate(certificate).fingerprint(hashes.SHA256()).hex(":").upper()


def end(certificate: bytes) -> float:
    """The second since 1970 at which the first certificate in a PEM ends. Raises ValueError for no certificate."""
    from cryptography import x509

    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc.timestamp()


def _begun(subject: "x509.Name", issuer: "x509.Name", key: Any, now: float, days: int) -> "x509.CertificateBuilder":
    from cryptography import x509

    start = datetime.datetime.fromtimestamp(int(now), datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(start - _BACKDATED)
    return builder.not_valid_after(start + datetime.timedelta(days=days))


def _signed(
    builder: "x509.CertificateBuilder", key: "EllipticCurvePrivateKey", signing: "EllipticCurvePrivateKey"
) -> CertificatePair:
    from cryptography.hazmat.primitives import hashes, serialization

    certificate = builder.sign(signing, hashes.SHA256())
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return CertificatePair(certificate.public_bytes(serialization.Encoding.PEM), encoded)


def _name(text: str) -> "x509.Name":
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    # A common name has at most 64 characters (RFC 5280, ub-common-name). Clients look at the alternative names.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _general(name: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, is_ca: bool) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )


def _ends_soon(certificate: "x509.Certificate", now: float, days: int = _RENEW_DAYS) -> bool:
    return certificate.not_valid_after_utc.timestamp() - now < days * 86400
