"""`python -m tests.page FILE`: the picture of a page for the guide, from a real browser; part of `make picture`."""

import random
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from polyarch.store import Store
from tests.devtools import Browser
from tests.images import elves
from tests.images.layered import entry, file, image, index, program
from tests.page import samples
from tests.page.serving import served, site_of

_MACHINES = {"linux/amd64": "amd64", "linux/arm64": "arm64", "linux/arm/v7": "amd64", "linux/s390x": "s390x"}
_SIZES = {"linux/amd64": 5_430, "linux/arm64": 5_210, "linux/arm/v7": 4_120, "linux/s390x": 5_010}
_HISTORY = ["/bin/sh -c #(nop) ADD rootfs.tar / ", "COPY app /app # buildkit"]


def fill(store: Store) -> None:
    """An image for four platforms, one of which has a program for another processor."""
    chosen = random.Random(1)
    entries = []
    for platform, machine in _MACHINES.items():
        base = [file("usr/lib/data", chosen.randbytes(_SIZES[platform] * 1000) + b"data" * _SIZES[platform] * 320)]
        made = image(
            store,
            platform,
            base,
            [program("app", elves.elf(machine, kind=2) + chosen.randbytes(300_000))],
            steps=_HISTORY,
            config={"created": samples.CREATED},
            Entrypoint=["/app"],
        )
        entries.append(entry(made, platform))
    index(store, "localhost/team/app:1", *entries)


def main(target: Path) -> None:
    """Take the picture."""
    with tempfile.TemporaryDirectory() as scratch:
        profile = Path(scratch, "profile")
        profile.mkdir()
        with Store.open(Path(scratch, "store")) as store:
            fill(store)
            site = site_of(store, samples.NOW)
            with served(site) as origin, Browser(profile) as browser:
                assert urlsplit(origin).hostname == "127.0.0.1"
                browser.tab.emulate(width=1180, height=560)
                browser.tab.open(f"{origin}/team/app:1")
                browser.tab.until("!document.querySelector('[data-fill]')")
                browser.tab.picture(target, whole=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
