"""The fixtures do what their docstrings say."""

import json
import os
import ssl
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import busybox, debian
from scripts.local_registry import LocalRegistry
from tests.conftest import Authority, Login
from tests.needs import elsewhere
from tests.people import Person
from tests.program import run


def test_a_registry_answers_and_tells_what_it_was_asked(registry: LocalRegistry) -> None:
    with urllib.request.urlopen(f"{registry.url}/v2/_catalog", timeout=10) as answer:
        assert json.load(answer) == {"repositories": []}
    assert registry.requests() == ["GET /v2/_catalog 200"]


def test_two_registries_live_side_by_side(registry: LocalRegistry, second_registry: LocalRegistry) -> None:
    assert registry.address != second_registry.address


def test_a_registry_with_a_password_refuses_strangers(password_registry: LocalRegistry, login: Login) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{password_registry.url}/v2/", timeout=10)
    token = b64encode(f"{login.user}:{login.password}".encode()).decode()
    request = urllib.request.Request(f"{password_registry.url}/v2/", headers={"Authorization": f"Basic {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def test_a_registry_with_tls_is_trusted_through_its_authority_only(
    tls_registry: LocalRegistry, authority: Authority
) -> None:
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(f"{tls_registry.url}/v2/", timeout=10)
    context = ssl.create_default_context(cafile=authority.certificate)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with urllib.request.urlopen(f"{tls_registry.url}/v2/", timeout=10, context=context) as answer:
        assert answer.status == 200


def test_an_unprivileged_user_is_not_root_and_has_a_range_of_ids(unprivileged: Person) -> None:
    uid = int(unprivileged.run("id", "-u").stdout)
    # In a chroot user namespaces are refused, and util-linux' unshare then waits for ever.
    command = ("unshare", "--map-root-user", "--map-auto", "cat", "/proc/self/uid_map")
    mapped = unprivileged.run(*command, seconds=20).lines()
    assert uid != 0
    assert mapped[0].split() == ["0", str(uid), "1"]
    assert sum(int(line.split()[2]) for line in mapped) > 60_000


def test_an_unprivileged_user_owns_its_directory_and_can_run_polyarch(unprivileged: Person) -> None:
    unprivileged.run("sh", "-c", "echo mine > $HOME/file")
    assert (unprivileged.directory / "file").read_text() == "mine\n"
    assert unprivileged.polyarch("--version").stdout.startswith("polyarch ")


def test_a_user_with_a_single_id_has_no_range(single_id_user: Person) -> None:
    name = single_id_user.run("id", "-un").stdout.strip()
    assert not any(line.startswith(f"{name}:") for line in Path("/etc/subuid").read_text().splitlines())


def test_a_base_is_a_root_file_system_with_a_shell_of_its_platform(busybox_tars: dict[str, Path]) -> None:
    machines = {"linux/amd64": 62, "linux/arm64": 183, "linux/arm/v7": 40, "linux/s390x": 22}
    for platform, tar in busybox_tars.items():
        program = run(["tar", "--to-command=head -c 20 | od -An -tu1", "-xf", tar, "bin/busybox"]).stdout.split()
        machine = bytes(int(byte) for byte in program[18:20])
        assert int.from_bytes(machine, "little" if program[5] == "1" else "big") == machines[platform]
        names = run(["tar", "-tf", tar]).lines()
        assert {"bin/sh", "bin/uname", "etc/passwd", "tmp/"} <= set(names)


def test_the_applets_are_read_from_the_program_as_it_would_tell_them(
    busybox_tars: dict[str, Path], tmp_path: Path
) -> None:
    own = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}.get(os.uname().machine)
    if own is None:
        elsewhere("there is no base of its own processor to run")
    run(["tar", "-C", tmp_path, "-xf", busybox_tars[own], "bin/busybox"])
    program = tmp_path / "bin/busybox"
    told = run([program, "--list"]).lines()
    assert sorted(busybox.applets(program.read_bytes())) == sorted(set(told) - {"busybox"})


def test_a_debian_has_its_shared_libraries_and_the_list_of_its_packages(debian_tar: Callable[[str], Path]) -> None:
    for platform in ("linux/amd64", "linux/arm64"):
        tar = debian_tar(platform)
        names = set(run(["tar", "-tf", tar]).lines())
        assert {"./etc/passwd", "./usr/bin/dpkg", "./bin"} <= names
        status = run(["tar", "-xOf", tar, "./var/lib/dpkg/status"]).stdout
        assert "Package: libc6\n" in status


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (
            "deb [arch=amd64 signed-by=/k.gpg] https://de.archive.example.org/ubuntu noble main\n",
            "deb [ signed-by=/k.gpg] http://ports.example.org/ubuntu-ports noble main\n",
        ),
        (
            "Types: deb\nURIs: http://security.example.org/ubuntu/\nArchitectures: amd64\nSuites: noble\n",
            "Types: deb\nURIs: http://ports.example.org/ubuntu-ports\nSuites: noble\n",
        ),
        ("URIs: http://mirror.example.org/debian\n", "URIs: http://mirror.example.org/debian\n"),
    ],
)
def test_the_other_architectures_of_ubuntu_are_sought_on_its_other_mirrors(given: str, wanted: str) -> None:
    assert debian.ports(given) == wanted


def test_in_ci_a_skip_is_a_failure(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path(__file__).parent
    pytester.makepyfile("import pytest\ndef test_skips(): pytest.skip('no such tool')\n")
    options = ["-p", "tests.conftest", "-p", "no:cacheprovider", "-p", "no:xdist"]
    monkeypatch.setenv("PYTHONPATH", str(here.parent))
    monkeypatch.setenv("CI", "true")
    pytester.runpytest_subprocess(*options).assert_outcomes(failed=1)
    monkeypatch.delenv("CI")
    pytester.runpytest_subprocess(*options).assert_outcomes(skipped=1)
