"""The certificates of a farm: what `farm init` writes, and what a bundle that is wrong is told."""

import stat
import time
from pathlib import Path

import pytest

from polyarch.errors import ConflictError, CorruptError, NotFoundError, UsageError
from polyarch.farm import certificates
from polyarch.farm.faults import FarmError

NOW = 1_800_000_000.0
DAY = 86400.0


def test_each_role_has_a_bundle_of_one_authority_that_only_its_owner_may_read(tmp_path: Path) -> None:
    made = certificates.init(tmp_path / "farm", NOW)
    assert [path.name for path in made] == ["scheduler.pem", "worker.pem", "client.pem"]
    bundles = [certificates.load(path, NOW) for path in made]
    assert len({bundle.authority for bundle in bundles}) == 1
    assert len({bundle.key for bundle in bundles}) == 3
    for path in (tmp_path / "farm").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "farm").stat().st_mode) == 0o700


def test_a_bundle_does_not_show_its_key(tmp_path: Path) -> None:
    bundle = certificates.load(certificates.init(tmp_path, NOW)[0], NOW)
    assert "PRIVATE" in bundle.key
    assert "PRIVATE" not in repr(bundle)


def test_a_directory_stands_for_the_bundle_of_the_role(tmp_path: Path) -> None:
    certificates.init(tmp_path, NOW)
    assert certificates.load(tmp_path, NOW, "client") == certificates.load(tmp_path / "client.pem", NOW)


def test_a_second_init_is_refused_and_renew_keeps_the_authority(tmp_path: Path) -> None:
    certificates.init(tmp_path, NOW)
    before = certificates.load(tmp_path, NOW, "worker")
    with pytest.raises(ConflictError, match="has the certificates of a farm"):
        certificates.init(tmp_path, NOW)
    certificates.init(tmp_path, NOW, renew=True)
    after = certificates.load(tmp_path, NOW, "worker")
    assert after.authority == before.authority
    assert after.certificate != before.certificate


def test_another_client_gets_a_certificate_of_its_name(tmp_path: Path) -> None:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    certificates.init(tmp_path, NOW)
    (path,) = certificates.init(tmp_path, NOW, name="ci")
    assert path == tmp_path / "ci.pem"
    subject = x509.load_pem_x509_certificate(certificates.load(path, NOW).certificate.encode()).subject
    assert subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "ci"
    with pytest.raises(ConflictError):
        certificates.init(tmp_path, NOW, name="ci")


@pytest.mark.parametrize(("renew", "name"), [(True, ""), (False, "ci")])
def test_there_must_be_an_authority_to_renew(tmp_path: Path, renew: bool, name: str) -> None:
    with pytest.raises(NotFoundError, match="has no certificates"):
        certificates.init(tmp_path, NOW, renew=renew, name=name)


def test_a_certificate_without_days_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--days 0"):
        certificates.init(tmp_path, NOW, days=0)


def test_a_clock_that_is_behind_is_named(tmp_path: Path) -> None:
    certificates.init(tmp_path, NOW)
    with pytest.raises(FarmError, match="the clock of this machine says") as raised:
        certificates.load(tmp_path, NOW - DAY, "worker")
    assert "set the clock" in (raised.value.hint or "")


def test_clocks_may_differ_by_minutes(tmp_path: Path) -> None:
    certificates.init(tmp_path, NOW)
    assert certificates.load(tmp_path, NOW - 240, "worker").key


def test_an_expired_certificate_is_named_with_its_time(tmp_path: Path) -> None:
    certificates.init(tmp_path, NOW, days=2)
    with pytest.raises(FarmError, match="has expired on 2027-01-17") as raised:
        certificates.load(tmp_path, NOW + 3 * DAY, "worker")
    assert "--renew" in (raised.value.hint or "")


@pytest.mark.parametrize("text", ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_that_is_no_bundle_says_what_it_has(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.pem").write_text(text)
    with pytest.raises(CorruptError, match="not a bundle of a farm: it has 0 keys"):
        certificates.load(tmp_path / "x.pem", NOW)


def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    certificates.init(tmp_path, NOW)
    bundle = certificates.load(tmp_path, NOW, "client")
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    with pytest.raises(CorruptError, match="cannot be read"):
        certificates.parse(bundle.key + broken + bundle.authority, "x.pem", NOW)


def test_no_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no certificate at") as raised:
        certificates.load(tmp_path, time.time(), "client")
    assert "farm init" in (raised.value.hint or "")
