"""Resolving USER with an image's /etc/passwd and /etc/group, as docker does."""

import os
from pathlib import Path

import pytest

from polyarch.errors import NotFoundError, PolyarchError
from polyarch.sandbox import Account, resolve_user

_PASSWD = """\
root:x:0:0:root:/root:/bin/sh
app:x:1000:1001:App:/srv/app:/bin/sh
42:x:4242:4243::/home/number:/bin/sh
homeless:x:1002:1002

  indented:x:1003:1004::/srv/indented:/bin/sh
+nis::::::
"""
_GROUP = """\
root:x:0:
app:x:1001:
docker:x:999:app,other
wheel:x:10:root,app
"""


@pytest.fixture
def rootfs(tmp_path: Path) -> str:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(_PASSWD)
    (tmp_path / "etc/group").write_text(_GROUP)
    return str(tmp_path)


@pytest.mark.parametrize(
    ("user", "account"),
    [
        ("", Account(0, 0, (0, 10), "/root")),
        ("root", Account(0, 0, (0, 10), "/root")),
        ("0", Account(0, 0, (0, 10), "/root")),
        ("app", Account(1000, 1001, (1001, 999, 10), "/srv/app")),
        ("1000", Account(1000, 1001, (1001, 999, 10), "/srv/app")),
        ("app:docker", Account(1000, 999, (999,), "/srv/app")),
        ("app:5", Account(1000, 5, (5,), "/srv/app")),
        ("5000", Account(5000, 0, (0,), "/")),
        ("5000:6000", Account(5000, 6000, (6000,), "/")),
        # A user whose name is a number is found by name first.
        ("42", Account(4242, 4243, (4243,), "/home/number")),
        ("homeless", Account(1002, 1002, (1002,), "/")),
        # As in moby/sys/user: spaces around a line do not belong to it.
        ("indented", Account(1003, 1004, (1004,), "/srv/indented")),
    ],
)
def test_a_user_is_resolved_as_docker_does(rootfs: str, user: str, account: Account) -> None:
    assert resolve_user(rootfs, user) == account


def test_an_unknown_user_is_an_error_in_buildkits_words(rootfs: str) -> None:
    with pytest.raises(NotFoundError, match="unable to find user nobody: no matching entries in passwd file"):
        resolve_user(rootfs, "nobody")


def test_an_unknown_group_is_an_error(rootfs: str) -> None:
    with pytest.raises(NotFoundError, match="unable to find group staff: no matching entries in group file"):
        resolve_user(rootfs, "app:staff")


@pytest.mark.parametrize("user", ["2147483648", "app:99999999999"])
def test_a_number_beyond_all_ids_is_an_error(rootfs: str, user: str) -> None:
    with pytest.raises(PolyarchError, match="out of range"):
        resolve_user(rootfs, user)


def test_without_a_passwd_numbers_work_and_names_do_not(tmp_path: Path) -> None:
    assert resolve_user(str(tmp_path), "1000:1000") == Account(1000, 1000, (1000,), "/")
    assert resolve_user(str(tmp_path), "") == Account(0, 0, (0,), "/")
    with pytest.raises(NotFoundError):
        resolve_user(str(tmp_path), "app")


@pytest.mark.parametrize("link", ["/outside", "../../outside", "../../../../../../outside"])
def test_a_passwd_that_is_a_link_is_looked_for_inside_the_image(tmp_path: Path, link: str) -> None:
    (tmp_path / "outside").write_text("app:x:1:1::/:\n")
    rootfs = tmp_path / "rootfs"
    (rootfs / "etc").mkdir(parents=True)
    (rootfs / "outside").write_text("app:x:2:2::/:\n")
    (rootfs / "etc/passwd").symlink_to(link)
    assert resolve_user(str(rootfs), "app").uid == 2


def test_a_passwd_that_is_a_fifo_does_not_hang(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/passwd")
    assert resolve_user(str(tmp_path), "7").uid == 7
