"""The page that the server shows to browsers."""

from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from polyarch.serve import server
from polyarch.serve.settings import ServeSettings
from polyarch.store import Store
from tests.page import samples


def ask(address: str, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    request = Request(f"http://{address}{path}", method=method)
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urlopen(request, timeout=20) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with Store.open(tmp_path / "store") as store:
        samples.repository(store)
        samples.repository(store, "docker.io/library/app")
    return tmp_path / "store"


def test_what_is_in_the_store_is_shown_under_its_shortest_name_with_commands_for_this_server(root: Path) -> None:
    with server.running(root) as address:
        status, headers, first = ask(address, "/")
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert 'href="/app"' in first
        assert 'href="/team/app"' in first
        _, _, image = ask(address, "/team/app:1.0")
        assert f"{address}/team/app:1.0" in image
        assert ask(address, "/team/app:1.0/linux/arm64")[0] == 200
        assert "docker.io" not in ask(address, "/app")[2]
        status, headers, body = ask(address, "/team/app:1.0", "HEAD")
        assert (status, body) == (200, "")
        assert int(headers["Content-Length"]) == len(image.encode())
        assert ask(address, "/team/app:1.0", If_None_Match=headers["ETag"])[0] == 304
        assert "仓库" in ask(address, "/", Accept_Language="zh")[2]


def test_what_is_not_there_is_a_page_and_below_v2_an_error_of_the_registry(root: Path) -> None:
    with server.running(root) as address:
        status, headers, body = ask(address, "/team/nosuch")
        assert status == 404
        assert "There is no repository team/nosuch." in body
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        digest = "sha256:" + "0" * 64
        assert ask(address, f"/team/app@{digest}")[0] == 404
        assert '"errors"' in ask(address, "/v2/team/nosuch/manifests/1")[2]
        assert ask(address, "/team/app", "POST")[0] == 405


def test_without_the_page_there_is_only_the_registry(root: Path) -> None:
    with server.running(root, ServeSettings(port=0, page=False)) as address:
        assert ask(address, "/")[0] == 404
        assert ask(address, "/v2/")[0] == 200
