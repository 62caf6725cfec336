"""docker's config.json, containers' auth.json and credential helpers."""

import base64
import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.errors import PolyarchError, RegistryError, UsageError
from polyarch.registry import Credential, Credentials
from polyarch.registry.credentials import load

ADA = Credential(username="ada", password="s3cret: ü/+%")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / ".docker" / "config.json"


def write(file: Path, document: object) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(document))
    return file


def pair(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def test_what_is_stored_is_found_and_what_is_erased_is_gone(file: Path) -> None:
    credentials = load(file)
    assert credentials.get("example.com") is None
    assert credentials.store("example.com", ADA) == str(file)
    assert credentials.get("example.com") == ADA
    assert credentials.get("example.com:5000") is None
    assert credentials.erase("example.com")
    assert credentials.get("example.com") is None
    assert not credentials.erase("example.com")


def test_the_file_is_as_docker_writes_it(file: Path) -> None:
    load(file).store("docker.io", ADA)
    assert json.loads(file.read_text()) == {
        "auths": {"https://index.docker.io/v1/": {"auth": pair("ada", ADA.password)}}
    }


def test_only_the_owner_can_read_the_file_even_if_it_was_open_before(file: Path) -> None:
    write(file, {"auths": {}})
    file.chmod(0o644)
    load(file).store("example.com", ADA)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(file.parent) == ["config.json"]


def test_what_else_is_in_the_file_stays(file: Path) -> None:
    other = {"auth": pair("bob", "b")}
    write(file, {"HttpHeaders": {"X": "y"}, "auths": {"other.example": other, "https://example.com/v1/": other}})
    credentials = load(file)
    credentials.store("example.com", ADA)
    document = json.loads(file.read_text())
    assert document["HttpHeaders"] == {"X": "y"}
    assert document["auths"] == {"other.example": other, "example.com": {"auth": pair("ada", ADA.password)}}


def test_a_config_that_is_a_link_stays_one(file: Path, tmp_path: Path) -> None:
    real = write(tmp_path / "real.json", {})
    file.parent.mkdir()
    file.symlink_to(real)
    load(file).store("example.com", ADA)
    assert file.is_symlink()
    assert load(real).get("example.com") == ADA


@pytest.mark.parametrize(
    "key",
    [
        "example.com",
        "https://example.com",
        "http://example.com/",
        "https://example.com/v2/",
        "https://example.com/v1",
        "https://example.com/any/path",
        "example.com/path",
    ],
)
def test_the_keys_of_older_clients_are_understood(file: Path, key: str) -> None:
    """docker drops scheme and path of a key."""
    write(file, {"auths": {"other.example.com": {"auth": pair("x", "x")}, key: {"auth": pair("ada", "x")}}})
    assert load(file).get("example.com") == Credential(username="ada", password="x")
    assert load(file).get("example.com", "team/app") == Credential(username="ada", password="x")
    assert load(file).get("example.co") is None
    if "://" in key:
        assert load(file).erase("example.com")
        assert load(file).get("example.com") is None


def test_in_an_auth_json_a_path_is_a_part_of_the_registry(file: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "auth.json", {"auths": {"example.com/team": {"auth": pair("ada", "x")}}})
    credentials = load(file, others=[other])
    assert credentials.get("example.com", "team/app") is not None
    assert credentials.get("example.com", "app") is None


@pytest.mark.parametrize(
    "text", ["", " \n", "{}", '{"auths": null}', '{"auths": {"example.com": null}, "credHelpers": null}']
)
def test_a_file_that_says_nothing_is_none(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_text(text)
    assert load(file).get("example.com") is None
    load(file).store("example.com", ADA)
    assert load(file).get("example.com") == ADA
    assert load(None, others=[Path("/dev/null")]).get("example.com") is None


def test_line_breaks_in_base64_are_passed_over(file: Path) -> None:
    text = pair("ada", "a long password " * 5)
    write(file, {"auths": {"example.com": {"auth": f"{text[:40]}\r\n{text[40:]}\n"}}})
    found = load(file).get("example.com")
    assert found is not None
    assert found.password == "a long password " * 5


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
def test_docker_hub_has_one_key_under_all_its_names(file: Path, host: str) -> None:
    write(file, {"auths": {"https://index.docker.io/v1/": {"auth": pair("ada", "x")}}})
    assert load(file).get(host, "library/debian") == Credential(username="ada", password="x")


def test_identity_tokens_are_kept_beside_the_user(file: Path) -> None:
    credential = Credential(username="<token>", identity_token="refresh")
    load(file).store("example.com", credential)
    assert load(file).get("example.com") == credential
    assert json.loads(file.read_text())["auths"]["example.com"]["identitytoken"] == "refresh"


def test_the_most_exact_key_of_an_auth_json_wins(file: Path, tmp_path: Path) -> None:
    other = write(
        tmp_path / "auth.json",
        {"auths": {name: {"auth": pair(name, "x")} for name in ("example.com", "example.com/team", "other.example")}},
    )
    credentials = load(file, others=[other])
    found = [credentials.get("example.com", path) for path in ("team/app", "team", "teams/app", "")]
    assert [credential.username for credential in found if credential] == [
        "example.com/team",
        "example.com/team",
        "example.com",
        "example.com",
    ]
    write(file, {"auths": {"example.com": {"auth": pair("docker", "x")}}})
    assert credentials.get("example.com") == Credential(username="docker", password="x")


@given(
    st.text(st.characters(exclude_characters=":\0", exclude_categories=["Cs"]), min_size=1),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
)
def test_any_user_and_password_come_back(user: str, password: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        credentials = load(Path(directory, "config.json"))
        credential = Credential(username=user, password=password)
        credentials.store("example.com", credential)
        assert credentials.get("example.com") == credential


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": [1]}', '{"auths": {"example.com": 1}}'])
def test_a_broken_file_is_named_and_left_alone(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(UsageError, match=r"config\.json"):
        load(file).store("example.com", ADA)
    with pytest.raises(UsageError, match=r"config\.json"):
        load(file).get("example.com")
    assert file.read_text() == text


def test_an_auth_that_cannot_be_decoded_is_an_error(file: Path) -> None:
    write(file, {"auths": {"example.com": {"auth": "?"}}})
    with pytest.raises(UsageError, match="cannot be decoded"):
        load(file).get("example.com")


def test_a_directory_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PolyarchError, match="cannot be"):
        load(tmp_path / "file" / "config.json").store("example.com", ADA)


HELPER = """#!/bin/sh
# docker-credential-helpers' protocol, on files beside this program.
cd "$(dirname "$0")" || exit 1
request=$(cat)
case $1 in
  store) printf %s "$request" > stored ;;
  get)
    if [ -f "broken" ]; then echo "the keychain is locked"; exit 1; fi
    if [ -f "stored" ] && grep -qF "\\"ServerURL\\":\\"$request\\"" stored; then cat stored
    else echo "credentials not found in native keychain"; exit 1; fi ;;
  erase) rm -f stored; printf %s "$request" > erased ;;
esac
"""


@pytest.fixture
def helper(tmp_path: Path) -> Path:
    directory = tmp_path / "bin"
    directory.mkdir()
    program = directory / "docker-credential-fake"
    program.write_text(HELPER)
    program.chmod(0o755)
    return directory


def with_helper(file: Path, helper: Path) -> Credentials:
    return load(file, search_path=f"{helper}:/usr/bin:/bin")


@pytest.mark.parametrize("configuration", [{"credsStore": "fake"}, {"credHelpers": {"example.com": "fake"}}])
def test_a_helper_keeps_what_the_file_does_not(file: Path, helper: Path, configuration: dict[str, object]) -> None:
    write(file, configuration)
    credentials = with_helper(file, helper)
    assert credentials.get("example.com") is None
    assert credentials.store("example.com", ADA) == "docker-credential-fake"
    assert credentials.get("example.com") == ADA
    assert "auth" not in json.loads(file.read_text())["auths"]["example.com"]
    assert credentials.erase("example.com")
    assert (helper / "erased").read_text() == "example.com"
    assert credentials.get("example.com") is None


def test_a_helper_of_one_host_is_not_asked_for_another(file: Path, helper: Path) -> None:
    write(file, {"credHelpers": {"example.com": "fake"}})
    (helper / "broken").touch()
    assert with_helper(file, helper).get("other.example") is None


def test_a_helper_says_token_for_a_user(file: Path, helper: Path) -> None:
    write(file, {"credsStore": "fake"})
    credentials = with_helper(file, helper)
    credentials.store("docker.io", Credential(username="ada", identity_token="refresh"))
    assert credentials.get("registry-1.docker.io") == Credential(identity_token="refresh")


def test_a_helper_that_fails_says_why(file: Path, helper: Path) -> None:
    write(file, {"credsStore": "fake"})
    (helper / "broken").touch()
    with pytest.raises(RegistryError, match="the keychain is locked"):
        with_helper(file, helper).get("example.com")


@pytest.mark.parametrize("name", ["absent", "../bin/docker-credential-fake", "fake; touch ran", "$(touch ran)"])
def test_a_helper_that_is_not_on_the_path_is_named_and_nothing_runs(file: Path, helper: Path, name: str) -> None:
    write(file, {"credsStore": name})
    with pytest.raises(RegistryError, match="is not installed"):
        with_helper(file, helper).get("example.com")
    assert not (helper / "ran").exists()
