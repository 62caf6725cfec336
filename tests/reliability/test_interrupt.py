"""An interrupted build ends at once, whatever the network is doing."""

import os
import signal
import subprocess
import time
from pathlib import Path

from scripts.local_registry import LocalRegistry
from tests import trees
from tests.program import Program
from tests.reliability.proxy import GOOD, Fault, between


def test_a_base_that_is_slow_to_come_is_not_waited_for(
    polyarch: Program, registry: LocalRegistry, tmp_path: Path
) -> None:
    base = trees.write(tmp_path / "base", {"Dockerfile": "FROM scratch\nCOPY data /\n", "data": os.urandom(4 << 20)})
    with between(registry.address) as proxy:
        name = f"{proxy.address}/base:1"
        polyarch("build", "-q", "-t", name, "--push", base)
        proxy.plan = lambda asked: Fault(rate=10_000) if asked.is_blob else GOOD
        context = trees.write(tmp_path / "context", {"Dockerfile": f"FROM {name}\nCOPY file /srv/\n", "file": "x"})
        fresh = polyarch.on(tmp_path / "fresh")
        command = [str(fresh.path), "build", "-q", "-t", "x", str(context)]
        with subprocess.Popen(command, env=fresh.env, stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 20
            # Its config comes first, then the layer, of which 4 MB take 400 s.
            while sum(asked.is_blob and asked.method == "GET" for asked in proxy.asked) < 2:
                assert time.monotonic() < deadline, [asked.path for asked in proxy.asked]
                time.sleep(0.05)
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
