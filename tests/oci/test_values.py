"""Digests, configs and the verifying reader."""

import hashlib
import io
import sys
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.errors import CorruptError
from polyarch.oci import config as configs
from polyarch.oci import digest as digests
from polyarch.oci import media_types
from polyarch.oci.config import History
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.verify import VerifyingReader, verified
from tests.oci import schemas
from tests.oci.examples import AMD64, ARM


def described(raw: bytes) -> Descriptor:
    return Descriptor(media_type="a/b", digest=digests.of(raw), size=len(raw))


@pytest.mark.parametrize(
    "text", ["", "sha256:", "sha256:" + "A" * 64, "md5:" + "a" * 32, "sha512:" + "a" * 64, "a" * 64]
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    assert not digests.is_digest(text)
    with pytest.raises(CorruptError, match="is not a digest"):
        digests.parse(text)


@given(st.binary(max_size=500))
def test_a_little_data_has_the_same_digest_without_hashlib(raw: bytes) -> None:
    expected = hashlib.sha256(raw)
    with patch.dict(sys.modules):
        del sys.modules["hashlib"]
        hasher = digests.new(little=True)
        hasher.update(raw)
        assert digests.sha256(raw) == hasher.hexdigest() == expected.hexdigest()
        assert hasher.digest() == expected.digest()
        assert "hashlib" not in sys.modules


def test_much_data_and_other_algorithms_are_hashed_by_hashlib() -> None:
    raw = bytes(digests.LITTLE + 1)
    with patch.dict(sys.modules):
        del sys.modules["hashlib"]
        assert digests.sha256(raw) == hashlib.sha256(raw).hexdigest()
        assert "hashlib" in sys.modules
    assert digests.new("sha512", little=True).hexdigest() == hashlib.sha512().hexdigest()


def test_chain_ids_are_the_specifications() -> None:
    one, two = digests.of(b"one"), digests.of(b"two")
    assert digests.chain_ids(()) == ()
    assert digests.chain_ids((one, two)) == (one, digests.of(f"{one} {two}".encode()))


@given(st.binary(max_size=5000), st.integers(1, 700))
def test_right_bytes_pass_the_verifying_reader_in_any_cut(raw: bytes, size: int) -> None:
    reader = VerifyingReader(io.BytesIO(raw), described(raw))
    assert b"".join(iter(lambda: reader.read(size), b"")) == raw


@given(st.binary(min_size=1, max_size=300), st.data())
def test_a_changed_byte_does_not_pass(raw: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(raw) - 1))
    spoilt = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
    with pytest.raises(CorruptError, match="is corrupt"):
        VerifyingReader(io.BytesIO(spoilt), described(raw)).read()
    with pytest.raises(CorruptError, match="is corrupt"):
        verified(spoilt, described(raw))


@pytest.mark.parametrize(("given_bytes", "reason"), [(b"abcd", "ends 1 bytes before"), (b"abcdef", "is longer than")])
def test_a_wrong_length_does_not_pass(given_bytes: bytes, reason: str) -> None:
    with pytest.raises(CorruptError, match=reason):
        VerifyingReader(io.BytesIO(given_bytes), described(b"abcde")).read()


def test_the_reader_closes_its_source_once() -> None:
    closed: list[int] = []
    reader = VerifyingReader(io.BytesIO(b"x"), described(b"x"), lambda: closed.append(1))
    with reader:
        reader.read()
    reader.close()
    assert closed == [1]


def test_a_config_keeps_what_it_does_not_know() -> None:
    config = configs.load(b'{"os":"linux","architecture":"arm","x":1,"config":{"Healthcheck":{"Test":["NONE"]}}}')
    changed = config.with_run(Cmd=["/app"]).with_platform(AMD64).with_layers((digests.of(b"l"),), (History(),))
    assert changed.document["x"] == 1
    assert changed.run == {"Healthcheck": {"Test": ["NONE"]}, "Cmd": ["/app"]}
    assert changed.platform == AMD64
    schemas.validate(changed.encode(), media_types.OCI_CONFIG)


def test_a_configs_platform_is_normal() -> None:
    assert configs.load(b'{"os":"linux","architecture":"arm"}').platform == ARM


def test_later_settings_of_the_environment_win() -> None:
    config = configs.load(b'{"config":{"Env":["A=1","B=x=y","A=2","C"]}}')
    assert config.env == {"A": "2", "B": "x=y", "C": ""}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b'{"rootfs":{"diff_ids":["x"]}}',
        b'{"rootfs":[1]}',
        b'{"history":[{"created":5}]}',
        b'{"history":5}',
        b'{"config":[1]}',
        b'{"config":{"Env":5}}',
        b'{"config":{"Labels":["a"]}}',
        b'{"os":5}',
    ],
)
def test_a_malformed_config_is_refused(raw: bytes) -> None:
    with pytest.raises(CorruptError):
        configs.load(raw)
