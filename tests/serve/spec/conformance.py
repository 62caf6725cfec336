"""Runs the specification's own conformance tests against both servers, and writes what they said and the page.

They are two Go programs: `conformance` of the main branch of opencontainers/distribution-spec (`go build`), and that of
the tag v1.1.1 (`go test -c`). Whoever has built them names each with its version:

    python -m tests.serve.spec.conformance main-0123abc=PROGRAM v1.1.1=PROGRAM

Debian has what the first one needs: golang-go, and golang-github-{goccy-go-yaml,opencontainers-go-digest,
opencontainers-image-spec}-dev as `replace` lines of its go.mod.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from scripts import generated
from tests.serve.spec import servers
from tests.serve.spec.__main__ import ROOT, below
from tests.serve.spec.clauses import World
from tests.serve.spec.passwords import NAME, PASSWORD
from tests.serve.spec.table import PAGE, SUITES, page, suites, witness

_SERVERS = {"polyarch serve": servers.ours, "docker-registry": servers.docker_registry}
_WORLDS: tuple[World, ...] = ("open", "password")
_RELEASE = {
    **{f"OCI_TEST_{part}": "1" for part in ("PULL", "PUSH", "CONTENT_DISCOVERY", "CONTENT_MANAGEMENT")},
    "OCI_NAMESPACE": "spec/conformance/one",
    "OCI_CROSSMOUNT_NAMESPACE": "spec/conformance/two",
    "OCI_HIDE_SKIPPED_WORKFLOWS": "0",
}
_MAIN = {"OCI_VERSION": "1.1", "OCI_TLS": "disabled"}


def _ask(program: Path, world: World, address: str, directory: Path, server: str) -> dict[str, int]:
    # Whether a blob is mounted from wherever it is, which the specification leaves to a registry.
    mounts = "1" if server == "polyarch serve" else "0"
    environment = {
        **os.environ,
        **_RELEASE,
        **_MAIN,
        "OCI_ROOT_URL": f"http://{address}",
        "OCI_REGISTRY": address,
        "OCI_AUTOMATIC_CROSSMOUNT": mounts,
        "OCI_REPORT_DIR": str(directory),
        "OCI_RESULTS_DIR": str(directory),
    }
    if world == "password":
        environment |= {"OCI_USERNAME": NAME, "OCI_PASSWORD": PASSWORD}
    subprocess.run([program.absolute()], cwd=directory, env=environment, capture_output=True, timeout=300, check=False)
    return _read(directory / "junit.xml")


def _read(report: Path) -> dict[str, int]:
    """How many tests passed, were left out and failed. Those that failed are printed."""
    counts: Counter[str] = Counter(passed=0, skipped=0, failed=0)
    for case in ElementTree.parse(report).iter("testcase"):
        name, status = case.get("name", ""), case.get("status", "")
        if not name.startswith("OCI"):
            continue  # what goes before and after the tests
        counts[status if status in {"passed", "skipped"} else "failed"] += 1
        if status not in {"passed", "skipped"}:
            print("  ", name)
    return dict(counts)


def main(arguments: list[str]) -> int:
    """Each argument is VERSION=PROGRAM."""
    found: dict[str, dict[str, dict[str, dict[str, int]]]] = {}
    for version, _, program in (argument.partition("=") for argument in arguments):
        for server, start in _SERVERS.items():
            for world in _WORLDS:
                with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
                    address = stack.enter_context(start(below(Path(directory), "server"), world))
                    said = _ask(Path(program), world, address, below(Path(directory), "report"), server)
                print(version, server, world, said)
                found.setdefault(version, {}).setdefault(server, {})[world] = said
    SUITES.write_text(json.dumps(found, indent=1) + "\n")
    return generated.main([], ROOT, {PAGE: page(witness(), suites())})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
