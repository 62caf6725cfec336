"""TLS of the server: files that change, certificates that are made and renewed, and clients that trust them."""

import http.client
import os
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from polyarch.errors import PolyarchError, UsageError
from polyarch.serve import certificates, issuing, server
from polyarch.serve.settings import Auth, ServeSettings, TLSFiles
from polyarch.serve.tls import FileTLS, SelfSignedTLS
from tests.needs import need
from tests.serve import logins
from tests.serve.around import AROUND

DAY = 86400
NAMES = ("registry.example", "localhost", "127.0.0.1", "::1")


def files(directory: Path, ca: issuing.CertificatePair, now: float) -> TLSFiles:
    made = certificates.make_server(ca, NAMES, now)
    (directory / "cert.pem").write_bytes(made.certificate)
    (directory / "key.pem").write_bytes(made.key)
    return TLSFiles(str(directory / "cert.pem"), str(directory / "key.pem"))


@pytest.fixture
def ca() -> issuing.CertificatePair:
    return certificates.make_ca("test", time.time())


def test_openssl_accepts_the_chain_for_its_names_and_for_servers(ca: issuing.CertificatePair, tmp_path: Path) -> None:
    need("openssl")
    files(tmp_path, ca, time.time())
    (tmp_path / "ca.pem").write_bytes(ca.certificate)

    def verify(*options: str) -> int:
        command = ["openssl", "verify", "-x509_strict", "-CAfile", "ca.pem", *options, "cert.pem"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True).returncode

    assert verify("-purpose", "sslserver", "-verify_hostname", "registry.example") == 0
    assert verify("-verify_ip", "127.0.0.1") == 0
    assert verify("-verify_ip", "::1") == 0
    assert verify("-verify_hostname", "other.example") != 0
    assert verify("-purpose", "sslclient") != 0


def test_a_certificate_is_current_for_its_names_until_it_ends_soon(ca: issuing.CertificatePair) -> None:
    now = time.time()
    pair = certificates.make_server(ca, NAMES, now)
    assert certificates.is_current(pair, NAMES, now)
    assert certificates.is_current(pair, NAMES[::-1], now + 59 * DAY)
    assert not certificates.is_current(pair, NAMES, now + 61 * DAY)
    assert not certificates.is_current(pair, NAMES[1:], now)
    assert not certificates.is_current(pair, (*NAMES, "more.example"), now)
    assert certificates.is_current_ca(ca, now + 3500 * DAY)
    assert not certificates.is_current_ca(ca, now + 3600 * DAY)
    assert repr(pair).startswith("CertificatePair(<")


def test_what_is_made_is_kept_for_its_owner_only_and_renewed_under_the_same_authority(tmp_path: Path) -> None:
    clock = [time.time()]
    made = SelfSignedTLS(str(tmp_path), NAMES, lambda: clock[0])
    directory = tmp_path / "serve"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {file.name: file.stat().st_mode & 0o777 for file in directory.iterdir()} == dict.fromkeys(
        ("ca.crt", "ca.key", "server.crt", "server.key"), 0o600
    )
    first, fingerprint = (directory / "server.crt").read_bytes(), made.fingerprint
    assert SelfSignedTLS(str(tmp_path), NAMES, lambda: clock[0]).fingerprint == fingerprint
    assert not made.refresh()
    assert (directory / "server.crt").read_bytes() == first
    clock[0] += 70 * DAY
    assert made.refresh()
    assert (directory / "server.crt").read_bytes() != first
    assert made.fingerprint == fingerprint
    clock[0] += 3500 * DAY
    assert made.refresh()
    assert made.fingerprint != fingerprint


def test_other_names_get_another_certificate_and_damage_is_repaired(tmp_path: Path) -> None:
    fingerprint = SelfSignedTLS(str(tmp_path), NAMES, time.time).fingerprint
    before = (tmp_path / "serve/server.crt").read_bytes()
    assert SelfSignedTLS(str(tmp_path), ("a.example",), time.time).fingerprint == fingerprint
    assert (tmp_path / "serve/server.crt").read_bytes() != before
    (tmp_path / "serve/server.crt").write_bytes(b"damaged")
    SelfSignedTLS(str(tmp_path), ("a.example",), time.time)
    (tmp_path / "serve/ca.key").unlink()
    assert SelfSignedTLS(str(tmp_path), ("a.example",), time.time).fingerprint != fingerprint


def test_a_directory_that_cannot_be_written_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "serve").write_text("a file")
    with pytest.raises(PolyarchError, match="cannot be kept in"):
        SelfSignedTLS(str(tmp_path), NAMES, time.time)


def test_files_are_loaded_again_when_they_change_and_bad_ones_leave_the_old(
    ca: issuing.CertificatePair, tmp_path: Path
) -> None:
    given = files(tmp_path, ca, time.time())
    made = FileTLS(given)
    assert not made.refresh()
    files(tmp_path, ca, time.time())
    assert made.refresh()
    (tmp_path / "key.pem").write_bytes(certificates.make_server(ca, NAMES, time.time()).key)
    with pytest.raises(UsageError, match=r"key\.pem is not the key of the first certificate in .*cert\.pem"):
        made.refresh()
    files(tmp_path, ca, time.time())
    assert made.refresh()


_DAMAGES = {
    "absent": r"key\.pem cannot be read: No such file",
    "empty": r"cert\.pem has no certificate: expected PEM",
    "no pem": r"key\.pem has no private key: expected PEM",
    "der": r"cert\.pem has no certificate: expected PEM",
    "swapped": r"key\.pem has no certificate: expected PEM",
    "encrypted": r"key\.pem has a password",
    "cut": r"cert\.pem or .*key\.pem is damaged",
}


@pytest.mark.parametrize("damage", _DAMAGES)
def test_files_that_are_no_certificate_and_key_are_named_with_what_was_expected(
    damage: str, ca: issuing.CertificatePair, tmp_path: Path
) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    given = files(tmp_path, ca, time.time())
    certificate, key = Path(given.certificate), Path(given.key)
    match damage:
        case "absent":
            key.unlink()
        case "empty":
            certificate.write_bytes(b"")
        case "no pem":
            key.write_bytes(b"hello")
        case "der":
            whole = x509.load_pem_x509_certificate(certificate.read_bytes())
            certificate.write_bytes(whole.public_bytes(serialization.Encoding.DER))
        case "swapped":
            given = TLSFiles(given.key, given.certificate)
        case "encrypted":
            loaded = serialization.load_pem_private_key(key.read_bytes(), None)
            encryption = serialization.BestAvailableEncryption(b"password")
            key.write_bytes(
                loaded.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
            )
        case "cut":
            lines = certificate.read_bytes().splitlines(keepends=True)
            certificate.write_bytes(b"".join(lines[:2] + lines[-1:]))
    with pytest.raises(UsageError, match=f"^--tls: .*{_DAMAGES[damage]}") as error:
        FileTLS(given)
    assert ("-inform der" in (error.value.hint or "")) == (damage == "der")


def settings(**options: object) -> ServeSettings:
    return ServeSettings(port=0, self_signed=True, **options)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_a_client_with_the_authority_speaks_tls_and_one_without_it_or_without_tls_does_not(tmp_path: Path) -> None:
    with server.running(tmp_path, settings(), AROUND) as address:
        trusting = ssl.create_default_context(cafile=str(tmp_path / "serve/ca.crt"))
        connection = http.client.HTTPSConnection(address, context=trusting, timeout=10)
        connection.request("GET", "/v2/")
        assert connection.getresponse().status == 200
        connection.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            http.client.HTTPSConnection(address, context=ssl.create_default_context(), timeout=10).connect()
        old = ssl.create_default_context(cafile=str(tmp_path / "serve/ca.crt"))
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("DEFAULT@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            http.client.HTTPSConnection(address, context=old, timeout=10).connect()
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as plain:
            plain.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200" not in plain.recv(100)


def test_skopeo_and_podman_log_in_with_the_authority_in_certs_d(tmp_path: Path) -> None:
    need("skopeo", "podman")
    tokens = tmp_path / "tokens.toml"
    secret = "0123456789abcdef01234567"
    tokens.write_text(logins.token("ci", secret, {"**": ["push"]}))
    given = settings(auth=Auth("token", str(tokens)))
    with server.running(tmp_path / "store", given, AROUND) as address:
        certs = tmp_path / "certs"
        certs.mkdir()
        shutil.copy(tmp_path / "store/serve/ca.crt", certs)
        environment = os.environ | {"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}
        for program in ("skopeo", "podman"):
            command = [program, "login", "--cert-dir", str(certs), "-u", "ci", "-p", secret, address]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
            command[-2] = "wrong"
            refused = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
            assert refused.returncode != 0
            assert "invalid username/password" in refused.stderr or "unauthorized" in refused.stderr
        untrusted = ["skopeo", "login", "-u", "ci", "-p", secret, address]
        done = subprocess.run(untrusted, env=environment, capture_output=True, text=True, timeout=60)
        assert "certificate" in done.stderr
