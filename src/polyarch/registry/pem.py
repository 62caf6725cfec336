"""What is wrong with files of certificates and keys that OpenSSL refused: its own words name neither file nor form."""

import re
import ssl

from polyarch.errors import UsageError

_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_CERTIFICATE, _KEY = b"CERTIFICATE", b"PRIVATE KEY"
_NOUNS = {_CERTIFICATE: "certificate", _KEY: "private key"}
_TOOLS = {_CERTIFICATE: "x509", _KEY: "pkey"}
_MISMATCHES = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH")
# The first byte of DER, the binary form: a SEQUENCE (X.690, 8.9).
_DER = b"\x30"


def refusal(error: OSError, what: str, certificate: str, key: str = "") -> UsageError:
    """The error for a file with a certificate, and one with its key if it has one. `what` is what they are for."""
    for path, kind in ((certificate, _CERTIFICATE), (key or certificate, _KEY if key else _CERTIFICATE)):
        try:
            with open(path, "rb") as file:
                raw = file.read()
        except OSError as failure:
            return UsageError(f"{what}: {path} cannot be read: {failure.strerror}")
        begun = _BEGIN.findall(raw)
        if not any(one.endswith(kind) for one in begun):
            return _without(what, path, kind, raw, begun)
        if kind == _KEY and b"ENCRYPTED" in raw:
            return UsageError(
                f"{what}: {path} has a password, and a key without one is expected",
                f"openssl pkey -in {path} -out NEW makes one",
            )
    if isinstance(error, ssl.SSLError) and error.reason in _MISMATCHES:
        return UsageError(f"{what}: {key} is not the key of the first certificate in {certificate}")
    files = f"{certificate} or {key}" if key else certificate
    return UsageError(f"{what}: {files} is damaged: what is between the lines BEGIN and END is not what they say")


def _without(what: str, path: str, kind: bytes, raw: bytes, begun: list[bytes]) -> UsageError:
    noun, line = _NOUNS[kind], f"-----BEGIN {kind.decode()}-----"
    hint = f"it has {', '.join(dict.fromkeys(one.decode() for one in begun))}" if begun else None
    if raw.startswith(_DER):
        hint = f"it may be DER: openssl {_TOOLS[kind]} -inform der -in {path} -out NEW makes PEM of it"
    return UsageError(f"{what}: {path} has no {noun}: expected PEM, which has the line {line}", hint)
