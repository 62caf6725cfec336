"""Arguments of the wrong type are refused by name, before anything is opened."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polyarch import NotFoundError, Polyarch, UsageError
from tests.client.conftest import Clients

WRONG: dict[str, Callable[[Any], object]] = {
    "platforms cannot be 42 (int)": lambda p: p.images.pull("app", platforms=42),
    "platforms cannot be None (NoneType)": lambda p: p.images.push("app", platforms=None),
    "platforms cannot be 1 (int)": lambda p: p.images.push("app", platforms=["linux/amd64", 1]),
    "platforms cannot be {'linux/amd64': 1} (dict)": lambda p: p.images.check("app", platforms={"linux/amd64": 1}),
    "name cannot be None (NoneType)": lambda p: p.images.get(None),
    "name cannot be '' (str)": lambda p: p.images.get(""),
    "name cannot be ['a'] (list)": lambda p: p.images.remove(["a"]),
    "new_name cannot be b'x' (bytes)": lambda p: p.images.tag("app", b"x"),
    "unnamed cannot be 'yes' (str)": lambda p: p.images.list(unnamed="yes"),
    "force cannot be 1 (int)": lambda p: p.images.remove("app", force=1),
    "command cannot be 42 (int)": lambda p: p.images.run("app", "sleep", 42),
    "platform cannot be 'linux/amd64,linux/arm64' (str)": lambda p: p.images.run(
        "app", platform="linux/amd64,linux/arm64"
    ),
    "env cannot be a list": lambda p: p.images.run("app", env=["A=b"]),
    "env['A'] cannot be 1 (int)": lambda p: p.images.run("app", env={"A": 1}),
    "env['TOKEN'] cannot be a bytes": lambda p: p.images.run("app", env={"TOKEN": b"secret"}),
    "command cannot be ['ls', '-l'] (list)": lambda p: p.images.run("app", ["ls", "-l"]),
    "network cannot be 'bridge' (str)": lambda p: p.images.run("app", network="bridge"),
    "input cannot be 'text' (str)": lambda p: p.images.run("app", input="text"),
    "stdout cannot be 'file' (str)": lambda p: p.images.run("app", stdout="file"),
    "stdin cannot be -1 (int)": lambda p: p.images.run("app", stdin=-1),
    "capture_output cannot be combined": lambda p: p.images.run("app", stdout=1, capture_output=True),
    "allow cannot be 3 (int)": lambda p: p.images.check("app", allow=3),
    "names cannot be [] (list)": lambda p: p.images.save([], "file"),
    "destination cannot be 7 (int)": lambda p: p.images.save("app", 7),
    "format cannot be 'zip' (str)": lambda p: p.images.save("app", "file", format="zip"),
    "compress cannot be 'xz' (str)": lambda p: p.images.save("app", "file", compress="xz"),
    "source cannot be b'path' (bytes)": lambda p: p.images.load(b"path"),
    "members cannot be 1 (int)": lambda p: p.indexes.create("app", 1),
    "amend cannot be 'no' (str)": lambda p: p.indexes.create("app", "a", amend="no"),
    "annotations cannot be 'a=b' (str)": lambda p: p.indexes.annotate("app", "linux/amd64", annotations="a=b"),
    "variant cannot be 7 (int)": lambda p: p.indexes.add("app", "a", variant=7),
    "all cannot be 'yes' (str)": lambda p: p.prune(all="yes"),
    "keep_storage cannot be 1.5 (float)": lambda p: p.prune(keep_storage=1.5),
    "keep_storage cannot be -1 (int)": lambda p: p.prune(keep_storage=-1),
    "context cannot be '' (str)": lambda p: p.build(""),
    "file and dockerfile cannot be combined": lambda p: p.build(None, file="Dockerfile", dockerfile="FROM scratch"),
    "sources cannot be 1 (int)": lambda p: p.indexes.merge(1, "app"),
}


@pytest.mark.parametrize("message", WRONG)
def test_an_argument_of_the_wrong_type_is_named_with_what_it_got(
    client: Polyarch, tmp_path: Path, message: str
) -> None:
    with pytest.raises(UsageError) as raised:
        WRONG[message](client)
    assert str(raised.value).startswith(message)
    assert raised.value.hint
    assert not (tmp_path / "store").exists()


SETTINGS: dict[str, dict[str, Any]] = {
    "root cannot be 1 (int)": {"root": 1},
    "environment cannot be a list": {"environment": ["TOKEN=secret"]},
    "environment['TOKEN'] cannot be a bytes": {"environment": {"TOKEN": b"secret"}},
    "progress cannot be 'plain' (str)": {"progress": "plain"},
    "clock cannot be 0 (int)": {"clock": 0},
    "credentials cannot be a str": {"credentials": "ada"},
    "credentials['host'] cannot be a tuple": {"credentials": {"host": ("ada", "secret")}},
    "registries cannot be 1 (int)": {"registries": 1},
    "certificates cannot be 1 (int)": {"certificates": 1},
    "insecure cannot be True (bool)": {"insecure": True},
    "cache_limit cannot be 5 (int)": {"cache_limit": 5},
    "proxies cannot be a str": {"proxies": "http://ada:secret@proxy:3128"},
    "proxies['http'] cannot be a tuple": {"proxies": {"http": ("proxy", "secret")}},
    "proxies has no 'ftp'": {"proxies": {"ftp": "http://ada:secret@proxy:3128"}},
}


@pytest.mark.parametrize("message", SETTINGS)
def test_a_setting_of_the_wrong_type_is_named(clients: Clients, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        clients(**SETTINGS[message])
    assert str(raised.value).startswith(message)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("setting", ["registries", "certificates"])
def test_a_setting_that_names_a_missing_file_is_an_error(clients: Clients, tmp_path: Path, setting: str) -> None:
    with pytest.raises(NotFoundError, match=f"{setting}: {tmp_path}/nothing does not exist"):
        clients(**{setting: tmp_path / "nothing"})


def test_a_client_that_could_not_be_made_has_a_repr() -> None:
    # Debuggers and reports of errors show `self` of the frame that raised.
    assert repr(Polyarch.__new__(Polyarch)) == "Polyarch()"


def test_a_keyword_that_there_is_not_is_a_type_error(client: Any) -> None:
    with pytest.raises(TypeError, match="platfroms"):
        client.images.pull("app", platfroms="linux/amd64")
