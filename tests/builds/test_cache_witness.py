"""BuildKit keeps its cache in the service of our tests, so that is what GitHub's is. Ours beside it is another."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from scripts import buildkit_daemon
from tests.buildcache.actions_server import ActionsServer, actions_server, token
from tests.needs import need, need_root
from tests.program import Program

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def test_buildkit_keeps_and_finds_its_cache_in_the_service(polyarch: Program, tmp_path: Path) -> None:
    need_root()
    need("unshare")
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY file /\n")
    (context / "file").write_text("content")
    with buildkit_daemon.running() as daemon, actions_server() as service:
        variables = {
            "ACTIONS_CACHE_SERVICE_V2": "true",
            "ACTIONS_RESULTS_URL": service.url,
            "ACTIONS_RUNTIME_TOKEN": token(("refs/heads/main", 3), expires=time.time() + 3600),
        }
        environment = {**daemon.environment, **variables, "PATH": os.environ["PATH"], "HOME": str(tmp_path)}

        def buildx(*words: str) -> str:
            done = subprocess.run(
                daemon.buildx(*words), env=environment, capture_output=True, text=True, check=False, timeout=100
            )
            assert done.returncode == 0, done.stderr
            return done.stderr

        build = ("build", "--progress=plain", "--provenance=false", "--output=type=cacheonly", str(context))
        buildx(*build, "--cache-to", "type=gha,mode=max")
        _keep_ours_beside(polyarch, service, variables, context)
        buildx("prune", "--all", "--force")
        assert re.search(r"COPY file /\n#\d+ CACHED", buildx(*build, "--cache-from", "type=gha"))


def _keep_ours_beside(polyarch: Program, service: ActionsServer, variables: dict[str, str], context: Path) -> None:
    """Write our cache to the same scope, which is another one all the same."""
    before = service.keys()
    polyarch("build", "-q", "--cache-from", "type=gha", "--cache-to", "type=gha", context, env=variables)
    assert service.keys()[: len(before)] == before
    assert all(key.startswith("polyarch-1-") for key in service.keys()[len(before) :])
    assert polyarch("cache", "ls", "type=gha", env=variables).lines()[1].split()[:2] == ["linux/amd64", "1"]
