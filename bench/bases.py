"""Base images with package managers in them: Debian, and Python and Node.js on it, each for two platforms.

They are those of the applications in tests/apps, kept in the same store in the cache. Making them takes minutes, once.
"""

import tempfile
from functools import cache
from pathlib import Path

from tests.apps import bases
from tests.program import Program

# As the image of the Python project it has a pip that installs for everybody.
_PYTHON = """
FROM python
RUN python3 -m venv /opt/pip
ENV PATH=/opt/pip/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
"""
_PLATFORMS = "linux/amd64,linux/arm64"


@cache
def store() -> Program:
    """Polyarch on the store that has `debian`, `node` and `bench-python`. It needs root."""
    polyarch = bases.kept(["debian", "python", "node"])
    with tempfile.TemporaryDirectory(prefix="polyarch-bench-") as directory:
        Path(directory, "Dockerfile").write_text(_PYTHON)
        polyarch("build", "-q", f"--platform={_PLATFORMS}", "--tag=bench-python", directory, seconds=1800.0)
    return polyarch


@cache
def python_version() -> str:
    """The version of Python in `bench-python`: `3.11`."""
    command = "import sys; print('%d.%d' % sys.version_info[:2])"
    return store()("run", "--rm", "bench-python", "python3", "-c", command).stdout.strip()
