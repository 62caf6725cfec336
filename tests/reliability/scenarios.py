"""Commands that change a store or a registry, each repeatable from the same initial state."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from scripts.local_registry import LocalRegistry, running
from tests import bases, trees
from tests.program import Program, run


class Site:
    """What all points start from: a store with images, a registry, an archive and a build context, below `directory`.

    Made by `prepared()`, which also removes it.
    """

    def __init__(self, directory: Path, registry: LocalRegistry) -> None:
        self.directory = directory
        self.registry = registry
        self.template = directory / "template"
        self.home = directory / "home"
        self.context = directory / "context"
        self.archive = directory / "saved.tar"
        self.tar = bases.busybox_tars(("linux/amd64",))["linux/amd64"]

    def fresh(self, number: int) -> Program:
        """A store of its own, as the template is."""
        root = self.directory / f"store-{number}"
        bases.copy_store(self.template, root)
        return Program(root, self.home)

    def remote(self, name: str, number: int) -> str:
        """A repository of the registry that nothing was sent to yet."""
        return f"{self.registry.address}/{name}-{number}/image:1"


class Scenario(NamedTuple):
    """`words` gives the command for the point of a number; `again`, what must succeed afterwards (None: the same).

    `makes` are the names in the store, `sends` the places in the registry, that must be whole once it has succeeded.
    `writes` is an archive that must be whole at any time, or absent.
    """

    words: Callable[[Site, int], list[str]]
    again: Callable[[Site, int], list[str]] | None = None
    makes: Callable[[Site, int], list[str]] = lambda site, number: []
    sends: Callable[[Site, int], list[str]] = lambda site, number: []
    writes: Callable[[Site, int], Path | None] = lambda site, number: None


def _out(site: Site, number: int) -> Path:
    return site.directory / f"out-{number}.tar.gz"


def _build(site: Site, number: int) -> list[str]:
    return ["build", "-t", "built", "--progress", "plain", str(site.context)]


def _build_and_push(site: Site, number: int) -> list[str]:
    platforms = "linux/amd64,linux/arm64"
    dockerfile = str(site.context / "Dockerfile.copying")
    name = site.remote("built", number)
    return ["build", "--platform", platforms, "-f", dockerfile, "-t", name, "--push", str(site.context)]


SCENARIOS = {
    "build": Scenario(_build, makes=lambda site, number: ["built"]),
    "build --push": Scenario(_build_and_push, sends=lambda site, number: [site.remote("built", number)]),
    "pull": Scenario(
        lambda site, number: ["pull", f"{site.registry.address}/base:1"],
        makes=lambda site, number: [f"{site.registry.address}/base:1"],
    ),
    "push": Scenario(
        lambda site, number: ["manifest", "push", "busybox", site.remote("pushed", number)],
        sends=lambda site, number: [site.remote("pushed", number)],
    ),
    "load": Scenario(lambda site, number: ["load", "-i", str(site.archive)], makes=lambda site, number: ["saved"]),
    "save": Scenario(lambda site, number: ["save", "-o", str(_out(site, number)), "busybox", "tied"], writes=_out),
    "import": Scenario(
        lambda site, number: ["import", "--platform", "linux/amd64", str(site.tar), "imported"],
        makes=lambda site, number: ["imported"],
    ),
    "prune": Scenario(lambda site, number: ["system", "prune", "-a", "-f"]),
    "rmi": Scenario(lambda site, number: ["rmi", "old"], again=lambda site, number: ["rmi", "-f", "old"]),
    "manifest create": Scenario(
        lambda site, number: ["manifest", "create", "list", "one", "busybox"],
        again=lambda site, number: ["manifest", "create", "--amend", "list", "one", "busybox"],
        makes=lambda site, number: ["list"],
    ),
    "manifest annotate": Scenario(
        lambda site, number: ["manifest", "annotate", "--annotation", "a=b", "tied", "linux/amd64"],
        makes=lambda site, number: ["tied"],
    ),
    "run": Scenario(lambda site, number: ["run", "--rm", "busybox", "touch", "/made"]),
}


@contextlib.contextmanager
def prepared(directory: Path) -> Iterator[Site]:
    """The site; it takes about three seconds to make."""
    directory.mkdir(parents=True, exist_ok=True)
    with running(directory / "registry") as registry:
        site = Site(directory, registry)
        try:
            _fill(site)
            yield site
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def _fill(site: Site) -> None:
    site.home.mkdir()
    trees.write(
        site.context,
        {
            "Dockerfile": "FROM busybox\nCOPY files /files\nRUN echo done >/done && mkdir -p /a/b && rm /files/2\n",
            "Dockerfile.copying": "FROM busybox\nCOPY files /files\n",
            **{f"files/{number}": f"{number}\n" * 5_000 for number in range(8)},
        },
    )
    polyarch = Program(site.template, site.home)
    bases.import_busybox(polyarch, platforms=("linux/amd64", "linux/arm64"))
    base = f"{site.registry.address}/base:1"
    other = polyarch.on(site.directory / "other")
    bases.import_busybox(other, name=base, platforms=("linux/amd64", "linux/arm64"))
    trees.write(site.directory / "more", {"Dockerfile": f"FROM {base}\nCOPY . /more\n", "more": "more" * 100_000})
    other("build", "-t", base, "--platform", "linux/amd64,linux/arm64", site.directory / "more")
    other("push", base)
    other("tag", base, "saved")
    other("save", "-o", site.archive, "saved")
    for name in ("one", "old", "gone"):
        trees.write(site.directory / name, {"Dockerfile": "FROM scratch\nCOPY file /\n", "file": name * 1000})
        platform = "linux/amd64" if name != "one" else "linux/s390x"
        polyarch("build", "-t", name, "--platform", platform, site.directory / name)
    polyarch("manifest", "create", "tied", "one", "old")
    # A run leaves snapshots, and an image that lost its name is garbage for `prune`.
    polyarch("run", "--rm", "busybox", "true")
    polyarch("tag", "one", "gone")


def is_archive(path: Path) -> bool:
    """Whether another program reads all of it."""
    return run(["tar", "-tzf", path], check=False).stdout.endswith("manifest.json\n")


def whole_in_registry(site: Site, place: str) -> None:
    """A second witness: skopeo copies all platforms and verifies each digest."""
    target = site.directory / "witness"
    try:
        run(["skopeo", "copy", "--quiet", "--all", "--src-tls-verify=false", f"docker://{place}", f"dir:{target}"])
    finally:
        shutil.rmtree(target, ignore_errors=True)
