"""Fixtures for all tests.

`polyarch`, `busybox`, `registry`, `password_registry`, `tls_registry`, `unprivileged` are the ones to know.
"""

import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest

from scripts.local_registry import LocalRegistry, running
from tests import bases, people
from tests.needs import ELSEWHERE, IN_CI, need
from tests.program import Program, run

pytest_plugins = ["pytester"]

# In CI hypothesis uses the same examples every time, so that a failure can be reproduced.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.register_profile("developer", deadline=None)
hypothesis.settings.load_profile("ci" if IN_CI else "developer")


def _give_peers_a_directory() -> None:
    """Where root's podman made /run/containers, it is root's alone, and other users' peers fail at looking into it."""
    if os.geteuid() != 0 and not os.environ.get("XDG_RUNTIME_DIR") and not os.access("/run/containers", os.X_OK):
        place = Path(tempfile.gettempdir()) / f"polyarch-tests-runtime-{os.geteuid()}"
        place.mkdir(mode=0o700, exist_ok=True)
        os.environ["XDG_RUNTIME_DIR"] = str(place)


_give_peers_a_directory()


class Login(NamedTuple):
    user: str
    password: str


class Authority(NamedTuple):
    """A certificate authority that only tests trust, and a server's certificate for loopback that it signed."""

    certificate: Path
    server_certificate: Path
    server_key: Path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test that uses a base may wait for a mirror and for mmdebstrap."""
    for item in items:
        if {"busybox_tars", "busybox_store", "debian_tar"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.timeout(600))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    """In CI a skipped test fails, however it was skipped."""
    outcome = yield
    report = outcome.get_result()
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if ELSEWHERE not in reason:
            report.outcome = "failed"
            report.longrepr = f"CI may skip nothing, and this was skipped: {reason}"


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, None]:
    """The same for a module that skips itself while it is collected."""
    outcome = yield
    report = outcome.get_result()
    if IN_CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"CI may skip nothing, and {collector.nodeid} skipped itself: {report.longrepr}"


@pytest.fixture
def store_root(tmp_path: Path) -> Path:
    """A path for a store that does not exist yet."""
    return tmp_path / "store"


@pytest.fixture
def polyarch(store_root: Path, tmp_path: Path) -> Program:
    """The command line, on an empty store: `polyarch("images")` gives a Result, `polyarch.fails(…)` wants an error."""
    home = tmp_path / "home"
    home.mkdir()
    return Program(store_root, home)


@pytest.fixture(scope="session")
def busybox_tars() -> dict[str, Path]:
    """A root file system as a tar for each of linux/amd64, linux/arm64, linux/arm/v7, linux/s390x."""
    return bases.busybox_tars()


@pytest.fixture(scope="session")
def busybox_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a store with `busybox` for four platforms. Copy it (bases.copy_store) instead of using it."""
    directory = tmp_path_factory.mktemp("busybox")
    bases.import_busybox(Program(directory / "store", directory))
    return directory / "store"


@pytest.fixture
def busybox(polyarch: Program, busybox_store: Path) -> str:
    """The name of an image for amd64, arm64, arm/v7 and s390x in the store of `polyarch`."""
    bases.copy_store(busybox_store, polyarch.root)
    return "busybox"


@pytest.fixture(scope="session")
def debian_tar() -> Callable[[str], Path]:
    """A Debian root file system as a tar: `debian_tar("linux/arm64")`. Made once, kept in the cache."""
    return bases.debian_tar


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[LocalRegistry]:
    """A real registry on loopback, empty, over plain HTTP: `f"{registry.address}/name:tag"`."""
    need("docker-registry")
    with running(tmp_path / "registry") as server:
        yield server


@pytest.fixture
def second_registry(tmp_path: Path) -> Iterator[LocalRegistry]:
    """Another one, for copies between two."""
    need("docker-registry")
    with running(tmp_path / "second-registry") as server:
        yield server


@pytest.fixture(scope="session")
def login() -> Login:
    """The user of `password_registry`. The password has characters that need quoting."""
    return Login("ada", "s3cret: ü/+%")


@pytest.fixture
def password_registry(tmp_path: Path, login: Login) -> Iterator[LocalRegistry]:
    """A registry that asks for the name and the password of `login`."""
    need("docker-registry", "htpasswd")
    file = tmp_path / "htpasswd"
    file.write_text(run(["htpasswd", "-nbB", login.user, login.password]).stdout.strip() + "\n")
    with running(tmp_path / "password-registry", htpasswd=file) as server:
        yield server


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority for the tests, as strict as Python 3.13 requires."""
    need("openssl")
    directory = tmp_path_factory.mktemp("authority")
    ca, ca_key, server, server_key = (directory / name for name in ("ca.crt", "ca.key", "server.crt", "server.key"))
    new = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj".split()
    run([*new, "/CN=Polyarch tests", "-keyout", ca_key, "-out", ca, "-addext", "keyUsage=critical,keyCertSign"])
    extensions = (
        "basicConstraints=critical,CA:FALSE",
        "keyUsage=critical,digitalSignature",
        "extendedKeyUsage=serverAuth",
        "subjectAltName=IP:127.0.0.1,IP:0.0.0.0,DNS:localhost",
        "authorityKeyIdentifier=keyid",
    )
    added = [part for extension in extensions for part in ("-addext", extension)]
    run([*new, "/CN=localhost", "-keyout", server_key, "-out", server, "-CA", ca, "-CAkey", ca_key, *added])
    return Authority(ca, server, server_key)


@pytest.fixture
def tls_registry(tmp_path: Path, authority: Authority) -> Iterator[LocalRegistry]:
    """A registry that speaks TLS, with a certificate that only `authority.certificate` vouches for."""
    need("docker-registry")
    pair = (authority.server_certificate, authority.server_key)
    with running(tmp_path / "tls-registry", certificate=pair) as server:
        yield server


@pytest.fixture
def unprivileged() -> Iterator[people.Person]:
    """A user without root who has a range of subordinate ids: `unprivileged.run("id")`, `unprivileged.polyarch(…)`."""
    need("newuidmap")
    with people.person("polyarch-test", ranges=True) as user:
        yield user


@pytest.fixture
def single_id_user() -> Iterator[people.Person]:
    """A user without root who has a single id and no range."""
    with people.person("polyarch-single", ranges=False) as user:
        yield user


@pytest.fixture(params=["root", "unprivileged"])
def either_user(request: pytest.FixtureRequest) -> Program:
    """For tests that must hold for root and for another user: `polyarch` as each, with `busybox` in its store."""
    template: Path = request.getfixturevalue("busybox_store")
    if request.param == "root" and os.geteuid() == 0:
        program: Program = request.getfixturevalue("polyarch")
        bases.copy_store(template, program.root)
        return program
    if request.param == "root":
        pytest.skip("needs root")
    user: people.Person = request.getfixturevalue("unprivileged")
    bases.copy_store(template, user.polyarch.root)
    user.give(user.polyarch.root)
    return user.polyarch
