"""Sigstore's services on loopback: Fulcio (certificates) and its log, Rekor (a log of signatures), and a CI's tokens.

They answer as the real ones do to who behaves, and refuse on request. Their keys are made for each test.
"""

import base64
import contextlib
import datetime
import hashlib
import json
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ISSUER = "https://issuer.example.org"
_SINCE = {"start": "2020-01-01T00:00:00Z"}
_ORIGIN = "rekor.example.org - 1"


class SigstoreServices:
    """The services. `refusing` names one that refuses: "fulcio" or "rekor"."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.refusing = ""
        self.job = "https://github.com/org/app/.github/workflows/release.yml@refs/heads/main"
        self.entries: list[bytes] = []
        self.requests: list[tuple[str, str]] = []
        self._ca_key, self._ct_key, self._log_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        self._ca = self._authority()

    def token(self, identity: str = "dev@example.org", *, audience: str = "sigstore", lasts: int = 600) -> str:
        """An OpenID token. Nobody checks its signature here; the real Fulcio does. cosign takes RS256 only."""
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": identity, "aud": audience, "iat": now, "exp": now + lasts}
        parts = [json.dumps(part).encode() for part in ({"alg": "RS256", "typ": "JWT"}, claims)]
        return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*parts, b"signature"))

    def files(self, directory: Path) -> tuple[Path, Path]:
        """A trusted root and a signing config for these services."""
        root, config = directory / "trusted_root.json", directory / "signing_config.json"
        root.write_text(json.dumps(self._trusted_root()))
        config.write_text(json.dumps(self._signing_config()))
        return root, config

    def _trusted_root(self) -> dict[str, Any]:
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [self._log(self._log_key)],
            "certificateAuthorities": [
                {
                    "subject": {"organization": "tests", "commonName": "tests"},
                    "uri": self.url,
                    "certChain": {
                        "certificates": [{"rawBytes": _text(self._ca.public_bytes(serialization.Encoding.DER))}]
                    },
                    "validFor": _SINCE,
                }
            ],
            "ctlogs": [self._log(self._ct_key)],
            "timestampAuthorities": [],
        }

    def _log(self, key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
        return {
            "baseUrl": self.url,
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": _text(_spki(key)),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": _SINCE,
            },
            "logId": {"keyId": _text(_log_id(key))},
        }

    def _signing_config(self) -> dict[str, Any]:
        service = [{"url": self.url, "majorApiVersion": 1, "validFor": _SINCE, "operator": "tests"}]
        return {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": service,
            "oidcUrls": service,
            "rekorTlogUrls": service,
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaUrls": [],
            "tsaConfig": {"selector": "ANY"},
        }

    # ── Fulcio
    def _authority(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "tests")])
        now = datetime.datetime.now(datetime.UTC)
        public = self._ca_key.public_key()
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        return (
            x509.CertificateBuilder(name, name, public, x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(True, 0), True)
            .add_extension(usage, True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
            .sign(self._ca_key, hashes.SHA256())
        )

    def variables(self, directory: Path) -> dict[str, str]:
        """The variables and files by which cosign knows these services where it has no trusted root."""
        files = {
            "SIGSTORE_REKOR_PUBLIC_KEY": _pem(self._log_key),
            "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE": _pem(self._ct_key),
            "SIGSTORE_ROOT_FILE": self._ca.public_bytes(serialization.Encoding.PEM),
        }
        for name, content in files.items():
            (directory / name).write_bytes(content)
        return {name: str(directory / name) for name in files}

    def certificates(self, token: str, request: dict[str, Any]) -> list[str]:
        """A certificate for the identity in the token, and that of the authority, in PEM."""
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        public: Any
        if "certificateSigningRequest" in request:
            public = x509.load_pem_x509_csr(base64.b64decode(request["certificateSigningRequest"])).public_key()
        else:
            public = serialization.load_pem_public_key(request["publicKeyRequest"]["publicKey"]["content"].encode())
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        name = claims["sub"]
        san = x509.RFC822Name(name) if "@" in name and "/" not in name else x509.UniformResourceIdentifier(name)
        issuer = claims["iss"].encode()
        builder = (
            x509.CertificateBuilder(self._ca.subject, x509.Name([]), public, x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(seconds=5))
            .not_valid_after(now + datetime.timedelta(minutes=10))
            .add_extension(usage, True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca_key.public_key()), False)
            .add_extension(x509.SubjectAlternativeName([san]), True)
            .add_extension(_unrecognized("1.3.6.1.4.1.57264.1.1", issuer), False)
            .add_extension(_unrecognized("1.3.6.1.4.1.57264.1.8", b"\x0c" + bytes([len(issuer)]) + issuer), False)
        )
        # The log signs the certificate without its own answer, which is the last extension (RFC 6962, 3.2).
        before = builder.sign(self._ca_key, hashes.SHA256())
        stamps = self._stamped(before.tbs_certificate_bytes)
        leaf = builder.add_extension(_unrecognized("1.3.6.1.4.1.11129.2.4.2", stamps), False).sign(
            self._ca_key, hashes.SHA256()
        )
        return [one.public_bytes(serialization.Encoding.PEM).decode() for one in (leaf, self._ca)]

    def _stamped(self, tbs: bytes) -> bytes:
        """A list with one signed certificate timestamp, as the value of the extension."""
        at = struct.pack("!Q", int(time.time() * 1000))
        entry = hashlib.sha256(_spki(self._ca_key)).digest() + len(tbs).to_bytes(3, "big") + tbs
        signature = self._ct_key.sign(b"\0\0" + at + b"\0\1" + entry + b"\0\0", ec.ECDSA(hashes.SHA256()))
        stamp = b"\0" + _log_id(self._ct_key) + at + b"\0\0" + b"\4\3" + struct.pack("!H", len(signature)) + signature
        listed = struct.pack("!H", len(stamp)) + stamp
        listed = struct.pack("!H", len(listed)) + listed
        return b"\x04" + _length(len(listed)) + listed

    # ── Rekor
    def record(self, proposed: dict[str, Any]) -> dict[str, Any]:
        """The entry for a DSSE envelope or the digest of what was signed, with the proof that the log has it."""
        body = proposed
        if proposed["kind"] == "dsse":
            content = proposed["spec"]["proposedContent"]
            envelope = json.loads(content["envelope"])
            spec = {
                "envelopeHash": _hash(content["envelope"].encode()),
                "payloadHash": _hash(base64.b64decode(envelope["payload"])),
                "signatures": [
                    {"signature": one["sig"], "verifier": content["verifiers"][0]} for one in envelope["signatures"]
                ],
            }
            body = {"apiVersion": "0.0.1", "kind": "dsse", "spec": spec}
        raw = _canonical(body)
        self.entries.append(raw)
        index, size = len(self.entries) - 1, len(self.entries)
        leaves = [hashlib.sha256(b"\0" + entry).digest() for entry in self.entries]
        root = _root(leaves)
        note = f"{_ORIGIN}\n{size}\n{_text(root)}\n"
        signed = self._log_key.sign(note.encode(), ec.ECDSA(hashes.SHA256()))
        checkpoint = f"{note}\n\u2014 rekor.example.org {_text(_log_id(self._log_key)[:4] + signed)}\n"
        found = {
            "body": _text(raw),
            "integratedTime": int(time.time()),
            "logID": _log_id(self._log_key).hex(),
            "logIndex": index,
        }
        promise = self._log_key.sign(_canonical(found), ec.ECDSA(hashes.SHA256()))
        proof = {
            "checkpoint": checkpoint,
            "hashes": [one.hex() for one in _proof(leaves, index)],
            "logIndex": index,
            "rootHash": root.hex(),
            "treeSize": size,
        }
        verification = {"inclusionProof": proof, "signedEntryTimestamp": _text(promise)}
        return {leaves[index].hex(): found | {"verification": verification}}


@contextlib.contextmanager
def running() -> Iterator[SigstoreServices]:
    """The services, on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # The token service of a CI job, as GitHub's: it wants a secret of the job's own.
            services.requests.append((self.path, self.headers.get("Authorization", "")))
            audience = self.path.rpartition("audience=")[2]
            self._answer(200, {"value": services.token(services.job, audience=audience)})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            services.requests.append((self.path, self.headers.get("Authorization", "")))
            name = {"/api/v2/signingCert": "fulcio", "/api/v1/log/entries": "rekor"}[self.path]
            if services.refusing == name:
                self._answer(400, {"code": 400, "message": "there was an error: not today"})
            elif name == "fulcio":
                token = self.headers["Authorization"].removeprefix("Bearer ")
                chain = services.certificates(token, body)
                self._answer(200, {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}})
            else:
                recorded = services.record(body)
                # cosign takes the entry that this names.
                self._answer(201, recorded, {"ETag": next(iter(recorded))})

        def _answer(self, status: int, document: Any, headers: Mapping[str, str] | None = None) -> None:
            raw = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        services = SigstoreServices(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield services
        finally:
            server.shutdown()
            thread.join()


def _root(leaves: list[bytes]) -> bytes:
    """The hash of a Merkle tree (RFC 6962, 2.1)."""
    if len(leaves) == 1:
        return leaves[0]
    half = _half(len(leaves))
    return hashlib.sha256(b"\1" + _root(leaves[:half]) + _root(leaves[half:])).digest()


def _proof(leaves: list[bytes], index: int) -> list[bytes]:
    """The hashes that lead from a leaf to the root (RFC 6962, 2.1.1)."""
    if len(leaves) == 1:
        return []
    half = _half(len(leaves))
    if index < half:
        return [*_proof(leaves[:half], index), _root(leaves[half:])]
    return [*_proof(leaves[half:], index - half), _root(leaves[:half])]


def _half(count: int) -> int:
    """The largest power of two below this."""
    return 1 << (count - 1).bit_length() - 1


def _unrecognized(oid: str, value: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)


def _length(count: int) -> bytes:
    """A length in DER."""
    if count < 128:
        return bytes([count])
    raw = count.to_bytes((count.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(raw)]) + raw


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _log_id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(_spki(key)).digest()


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _hash(data: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}


def _canonical(document: Any) -> bytes:
    """JSON as in RFC 8785, as far as these documents need it."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
