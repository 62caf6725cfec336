"""What importing the room costs: no HTTP library, not even for a proxy; helpers and TOML only when they are needed."""

import subprocess
import sys

HEAVY = ("urllib3", "ssl", "http.client", "subprocess", "tempfile", "tomllib", "logging", "queue")


def loaded_after(code: str) -> set[str]:
    report = f"{code}\nimport sys\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    return set(
        subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True).stdout.split()
    )


def test_a_registry_that_is_not_asked_loads_nothing_heavy() -> None:
    code = """
from polyarch.oci import reference
from polyarch.registry import Credentials, Hosts, Registry
with Registry(Hosts(), Credentials(None), "x") as registry:
    registry.repository(reference.parse("debian"))
"""
    assert loaded_after(code) == set()


def test_reading_configuration_that_does_not_exist_loads_no_toml_reader() -> None:
    code = """
from pathlib import Path
from polyarch.registry import hosts
hosts.load([Path("/nonexistent/registries.conf")])
"""
    assert loaded_after(code) == set()


def test_plain_http_makes_no_tls_context() -> None:
    code = """
from polyarch.errors import RegistryError
from polyarch.oci import reference
from polyarch.registry import Credentials, Hosts, Registry
import polyarch.registry.http
def refuse(tls):
    raise AssertionError("a TLS context was made")
polyarch.registry.http._context = refuse
with Registry(Hosts(), Credentials(None), "x", sleep=lambda seconds: None) as registry:
    try:
        registry.repository(reference.parse("127.0.0.1:1/app")).resolve("1")
    except RegistryError as error:
        assert "cannot be reached" in error.message
"""
    assert loaded_after(code) == set()


def test_a_proxy_and_the_socket_of_an_engine_load_no_other_http_library() -> None:
    code = """
from polyarch.registry.tunnels import through
from polyarch.transfer import engine
through("http://127.0.0.1:1", None)
assert engine.find(["/nowhere.sock"]) is None
"""
    assert loaded_after(code) == set()
