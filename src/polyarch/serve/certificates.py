"""Certificates of `--tls-self-signed`: a certificate authority (CA) of this store, and what it signs for the server.

Clients are given the CA once. The server's own certificate is short-lived and renewed without them.
"""

import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING

from polyarch.serve import issuing
from polyarch.serve.issuing import CertificatePair, Validity

if TYPE_CHECKING:
    from cryptography import x509

_CA_DAYS = 3650
_SERVER_DAYS = 90
# A certificate is renewed when less than this is left of it.
_RENEW_DAYS = 30
_TOLERANCE = 3600


def make_ca(name: str, now: float) -> CertificatePair:
    """A new CA, called `name`. It may sign certificates of servers, and no other CA."""
    from cryptography.x509.oid import ExtendedKeyUsageOID

    validity = Validity(now, _CA_DAYS, _TOLERANCE)
    return issuing.make_authority(_name(name), validity, [ExtendedKeyUsageOID.SERVER_AUTH])


def make_server(ca: CertificatePair, names: Sequence[str], now: float) -> CertificatePair:
    """A certificate for a server with these names and addresses, signed by `ca`. Its PEM ends with that of the CA."""
    from cryptography.x509.oid import ExtendedKeyUsageOID

    validity = Validity(now, _SERVER_DAYS, _TOLERANCE)
    alternatives = [_general(name) for name in names]
    made = issuing.issue(ca, _name(names[0]), validity, [ExtendedKeyUsageOID.SERVER_AUTH], alternatives)
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


def _ends_soon(certificate: "x509.Certificate", now: float, days: int = _RENEW_DAYS) -> bool:
    return certificate.not_valid_after_utc.timestamp() - now < days * 86400
