"""Environment variables, and the defaults without them."""

from pathlib import Path

import pytest

from polyarch.client import environment
from polyarch.errors import UsageError


def test_roots_store_belongs_to_the_machine_and_a_users_to_the_user() -> None:
    assert environment.read({"HOME": "/root"}, 0).root == Path("/var/lib/polyarch")
    assert environment.read({"HOME": "/home/ada"}, 1000).root == Path("/home/ada/.local/share/polyarch")
    assert environment.read({"HOME": "/h", "XDG_DATA_HOME": "/data"}, 1000).root == Path("/data/polyarch")
    assert environment.read({"HOME": "/h", "POLYARCH_ROOT": "/srv/images"}, 0).root == Path("/srv/images")


def test_credentials_are_where_docker_and_podman_keep_them() -> None:
    found = environment.read({"HOME": "/h", "XDG_RUNTIME_DIR": "/run/user/7"}, 7)
    assert found.files.credentials == (
        Path("/h/.docker/config.json"),
        Path("/run/user/7/containers/auth.json"),
        Path("/h/.config/containers/auth.json"),
    )
    assert environment.read({"HOME": "/h", "DOCKER_CONFIG": "/d"}, 7).files.credentials[0] == Path("/d/config.json")
    assert environment.read({"HOME": "/h", "REGISTRY_AUTH_FILE": "/a.json"}, 7).files.credentials == (Path("/a.json"),)


def test_registries_conf_may_be_named() -> None:
    assert environment.read({"HOME": "/h"}, 7).files.registries == (
        Path("/h/.config/containers/registries.conf"),
        Path("/etc/containers/registries.conf"),
    )
    named = environment.read({"HOME": "/h", "CONTAINERS_REGISTRIES_CONF": "/r.conf"}, 7)
    assert named.files.registries == (Path("/r.conf"),)


def test_proxies_are_read_in_both_spellings() -> None:
    found = environment.read({"http_proxy": "http://a:1", "HTTPS_PROXY": "http://b:2", "NO_PROXY": "x, y"}, 7)
    assert (found.proxies.http, found.proxies.https, found.proxies.bypass) == ("http://a:1", "http://b:2", ("x", "y"))
    assert environment.read({"ALL_PROXY": "http://c", "all_proxy": "http://c"}, 7).proxies.https == "http://c"


def test_a_request_header_is_not_taken_for_a_proxy() -> None:
    assert environment.read({"HTTP_PROXY": "http://evil", "REQUEST_METHOD": "GET"}, 7).proxies.http == ""


def test_no_color_is_kept() -> None:
    assert environment.read({}, 7).terminal.colour
    assert not environment.read({"NO_COLOR": "1"}, 7).terminal.colour
    assert environment.read({"NO_COLOR": ""}, 7).terminal.colour


def test_source_date_epoch_is_a_number_or_an_error() -> None:
    assert environment.read({"SOURCE_DATE_EPOCH": "1700000000"}, 7).source_date_epoch == 1_700_000_000
    assert environment.read({}, 7).source_date_epoch is None
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
        environment.read({"SOURCE_DATE_EPOCH": "yesterday"}, 7)


def test_no_other_module_reads_the_environment() -> None:
    directory = Path(environment.__file__).parent.parent
    readers = {str(path.relative_to(directory)) for path in directory.rglob("*.py") if "os.environ" in path.read_text()}
    assert readers == {"client/environment.py"}
