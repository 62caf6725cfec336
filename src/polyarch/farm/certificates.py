"""The certificates of a farm: an authority of its own, and one certificate for each role.

Every connection of a farm is TLS, and both sides show a certificate of the same authority. Whoever has one may run code
on every member, as SECURITY.md says, so the files are for their owner alone. A bundle is one PEM file with a key, its
certificate and that of the authority, so that one file is handed to each machine.
"""

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import msgspec

from polyarch.errors import ConflictError, CorruptError, NotFoundError, PolyarchError, UsageError
from polyarch.farm.faults import FarmError
from polyarch.serve import issuing
from polyarch.serve.issuing import CertificatePair, Validity

if TYPE_CHECKING:
    from cryptography import x509

Role = Literal["scheduler", "worker", "client"]
ROLES: tuple[Role, ...] = get_args(Role)

_AUTHORITY, _AUTHORITY_KEY = "ca.pem", "ca-key.pem"
_AUTHORITY_DAYS = 3650
# Machines of a farm may disagree about the time by so many seconds without being refused.
_TOLERANCE = 300
_BLOCK = re.compile(r"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----\n?", re.DOTALL)
_HINT = "polyarch farm init DIRECTORY makes the certificates of a farm"


class Bundle(msgspec.Struct, frozen=True):
    """A key with its certificate, and the certificate of the authority, as PEM. `origin` is where they are from."""

    key: str
    certificate: str
    authority: str
    origin: str = ""

    def __repr__(self) -> str:
        return f"Bundle(origin={self.origin!r})"

    @property
    def pem(self) -> str:
        """The text of the file."""
        return self.key + self.certificate + self.authority


def init(directory: Path, now: float, *, days: int = 365, renew: bool = False, name: str = "") -> tuple[Path, ...]:
    """Make an authority in `directory`, and a bundle for each role. Returns their paths.

    With `renew`, the authority stays and only new bundles are made. With `name`, only a client's bundle of that name is
    made. Raises ConflictError if there is an authority, NotFoundError if there is none to renew.
    """
    if days < 1:
        raise UsageError(f"--days {days}: a certificate is valid for at least one day")
    existing = (directory / _AUTHORITY).exists()
    if existing and not (renew or name):
        raise ConflictError(
            f"{directory} has the certificates of a farm", "--renew makes new ones of the same authority"
        )
    if not existing and (renew or name):
        raise NotFoundError(f"{directory} has no certificates of a farm", _HINT)
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        authority = _opened(directory) if existing else _authority(directory, now)
        made = []
        for role in ("client",) if name else ROLES:
            path = directory / f"{name or role}.pem"
            if name and path.exists() and not renew:
                raise ConflictError(f"{path} exists", "--renew replaces it")
            _write(path, _issue(authority, role, name or role, now, days))
            made.append(path)
    except OSError as error:
        raise PolyarchError(f"cannot write certificates to {directory}: {error.strerror}") from error
    return tuple(made)


def load(path: Path, now: float, role: Role | None = None) -> Bundle:
    """Read a bundle; of a directory, the one for `role`. Raises NotFoundError, CorruptError, and FarmError if it is not
    valid at `now`.
    """
    file = path / f"{role}.pem" if role and path.is_dir() else path
    try:
        text = file.read_text("ascii")
    except FileNotFoundError:
        raise NotFoundError(f"no certificate at {file}", _HINT) from None
    except (OSError, UnicodeError) as error:
        raise PolyarchError(f"cannot read the certificate {file}: {error}") from error
    return parse(text, str(file), now)


def parse(text: str, origin: str, now: float) -> Bundle:
    """The bundle in a text of PEM blocks. Raises CorruptError, and FarmError if a certificate is not valid at `now`."""
    blocks = [(match[1], match[0].rstrip("\n") + "\n") for match in _BLOCK.finditer(text)]
    keys = [block for kind, block in blocks if kind.endswith("PRIVATE KEY")]
    certificates = [block for kind, block in blocks if kind == "CERTIFICATE"]
    if len(keys) != 1 or len(certificates) != 2:
        raise CorruptError(
            f"{origin} is not a bundle of a farm: it has {len(keys)} keys and {len(certificates)} certificates, not 1 "
            "and 2",
            _HINT,
        )
    for block in certificates:
        _check_time(block, origin, now)
    return Bundle(keys[0], certificates[0], certificates[1], origin)


def _issue(authority: CertificatePair, role: Role, name: str, now: float, days: int) -> str:
    """The text of a new bundle."""
    from cryptography.x509.oid import ExtendedKeyUsageOID

    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    made = issuing.issue(authority, _name(name, role), Validity(now, days, _TOLERANCE), usages)
    return (made.key + made.certificate + authority.certificate).decode()


def _authority(directory: Path, now: float) -> CertificatePair:
    made = issuing.make_authority(_name("Polyarch farm", "authority"), Validity(now, _AUTHORITY_DAYS, _TOLERANCE))
    _write(directory / _AUTHORITY_KEY, made.key.decode())
    _write(directory / _AUTHORITY, made.certificate.decode())
    return made


def _opened(directory: Path) -> CertificatePair:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        found = CertificatePair((directory / _AUTHORITY).read_bytes(), (directory / _AUTHORITY_KEY).read_bytes())
        key = serialization.load_pem_private_key(found.key, None)
        x509.load_pem_x509_certificate(found.certificate)
    except FileNotFoundError as error:
        raise NotFoundError(
            f"the key of the authority is not here: {error.filename}",
            "certificates are made where polyarch farm init was run first",
        ) from None
    except ValueError as error:
        raise CorruptError(f"{directory}: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CorruptError(f"{directory / _AUTHORITY_KEY} is not a key that polyarch farm init made")
    return found


def _check_time(block: str, origin: str, now: float) -> None:
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(block.encode())
    except ValueError as error:
        raise CorruptError(f"{origin} has a certificate that cannot be read: {error}") from error
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    here = datetime.fromtimestamp(now, UTC)
    if here < first:
        raise FarmError(
            f"{origin} has a certificate that is valid from {first:%Y-%m-%d %H:%M:%S} UTC, and the clock of this "
            f"machine says {here:%Y-%m-%d %H:%M:%S}",
            "set the clock of this machine, or of that where polyarch farm init was run",
        )
    if here > last:
        raise FarmError(
            f"{origin} has a certificate that has expired on {last:%Y-%m-%d %H:%M:%S} UTC; the clock of this machine "
            f"says {here:%Y-%m-%d %H:%M:%S}",
            "polyarch farm init --renew DIRECTORY makes new ones",
        )


def _name(common: str, unit: str) -> "x509.Name":
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    parts: Sequence[tuple[x509.ObjectIdentifier, str]] = (
        (NameOID.ORGANIZATION_NAME, "Polyarch"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
        (NameOID.COMMON_NAME, common[:64]),
    )
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])


def _write(path: Path, text: str) -> None:
    """Write a file that only its owner may read. It is whole or not there."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
    temporary.replace(path)
