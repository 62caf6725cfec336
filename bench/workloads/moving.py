"""Images between registries, stores and directories."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import images, limits
from bench.contestants import Buildah, Polyarch
from bench.measure import Command, Contestant
from bench.site import TWO, Site, debian_tars
from bench.workloads.workload import Workload, versus


def unpack(site: Site) -> Workload:
    """Pull and unpack of the Debian base, both platforms"""
    name = site.debian()
    polyarch, buildah, bundles = Polyarch(site), Buildah(site), Bundles(site)

    def ours(run: int) -> Sequence[Command]:
        program = (sys.executable, "-m", "bench.unpack", str(polyarch.root), name, *TWO)
        pull = polyarch.command("pull", "-q", "--platform", TWO[0], "--platform", TWO[1], name)
        return [pull, Command(program, site.environment)]

    contestants = [Contestant("polyarch", lambda run: polyarch.forget(), ours)]
    if shutil.which("skopeo") and shutil.which("umoci"):
        contestants.append(
            Contestant("skopeo+umoci", lambda run: bundles.forget(), lambda run: bundles.unpack(name, TWO))
        )
    if shutil.which("buildah"):
        contestants.append(Contestant("buildah", lambda run: buildah.forget(), lambda run: buildah.pull(name, TWO)))
    return Workload(contestants, versus({"skopeo+umoci": 2, "buildah": 2}), _plain_copy(site, name))


def push_layers(site: Site) -> Workload:
    """Push of an image of 40 layers of 100 kB"""
    return push(site, "layers", ["latest"], layers=40, size=100_000)


def pull_layers(site: Site) -> Workload:
    """Pull of an image of 40 layers of 100 kB"""
    return pull(site, "layers", ["latest"], layers=40, size=100_000)


def push_images(site: Site) -> Workload:
    """Push of 200 small images: all tags of a repository (skopeo: one after the other)"""
    return push(site, "images", _TAGS, layers=1, size=10_000)


def pull_images(site: Site) -> Workload:
    """Pull of 200 small images: all tags of a repository (skopeo: one after the other)"""
    return pull(site, "images", _TAGS, layers=1, size=10_000)


_TAGS = [f"v{number}" for number in range(200)]


class Bundles:
    """skopeo and umoci: a layout a platform, and a bundle that it is unpacked to."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._directory = site.fresh("bundles")

    def forget(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory = self._site.fresh("bundles")
        self._directory.mkdir()

    def unpack(self, name: str, platforms: Sequence[str]) -> Sequence[Command]:
        commands = []
        for platform in platforms:
            architecture = platform.split("/")[1]
            layout = f"{self._directory}/{architecture}"
            commands += [
                skopeo(
                    site=self._site, source=f"docker://{name}", target=f"oci:{layout}:it", architecture=architecture
                ),
                Command(("umoci", "unpack", "--image", f"{layout}:it", f"{layout}-bundle"), self._site.environment),
            ]
        return commands


def skopeo(site: Site, source: str, target: str, architecture: str = "amd64", *, everything: bool = False) -> Command:
    which = ("--all",) if everything else ()
    options = ("--src-tls-verify=false" if source.startswith("docker:") else "--dest-tls-verify=false",)
    command = (
        "skopeo",
        "--insecure-policy",
        "--override-arch",
        architecture,
        "copy",
        "-q",
        *which,
        *options,
        source,
        target,
    )
    return Command(command, site.environment)


def push(site: Site, kind: str, tags: Sequence[str], *, layers: int, size: int) -> Workload:
    """Other images in each run, so that nobody can have sent them before."""
    root: dict[str, Path] = {}
    names: dict[str, list[str]] = {}

    def prepare(who: str, run: int) -> None:
        root[who] = site.fresh("store")
        repository = f"{kind}-{site.fresh('name').name}"
        names[who] = [site.name(repository, tag) for tag in tags]
        images.fill(root[who], names[who], f"run {run} of {who}", layers=layers, size=size)

    def ours(run: int) -> Sequence[Command]:
        several = ("push", "-q", "-a", names["polyarch"][0].rpartition(":")[0])
        one = ("push", "-q", names["polyarch"][0])
        return [site.polyarch(root["polyarch"], *(several if len(tags) > 1 else one))]

    def theirs(run: int) -> Sequence[Command]:
        layout = f"oci:{root['skopeo']}/oci"
        return [skopeo(site, f"{layout}:{name}", f"docker://{name}") for name in names["skopeo"]]

    contestants = [Contestant("polyarch", lambda run: prepare("polyarch", run), ours)]
    if shutil.which("skopeo"):
        contestants.append(Contestant("skopeo", lambda run: prepare("skopeo", run), theirs))
    return Workload(contestants, versus({"skopeo": 1.3}))


def pull(site: Site, kind: str, tags: Sequence[str], *, layers: int, size: int) -> Workload:
    repository = f"pulled-{kind}"
    names = [site.name(repository, tag) for tag in tags]
    full = site.fresh("store")
    images.fill(full, names, "pulled", layers=layers, size=size)
    site.run(site.polyarch(full, "push", "-q", "-a", site.name(repository).rpartition(":")[0]))
    polyarch = Polyarch(site)
    layout: dict[str, Path] = {}

    def forget() -> None:
        layout["path"] = site.fresh("layout")

    def ours(run: int) -> Sequence[Command]:
        several = ("pull", "-q", "-a", "--platform", TWO[0], names[0].rpartition(":")[0])
        return [polyarch.command(*(several if len(tags) > 1 else ("pull", "-q", "--platform", TWO[0], names[0])))]

    def theirs(run: int) -> Sequence[Command]:
        pairs = zip(names, tags, strict=True)
        return [skopeo(site, f"docker://{name}", f"oci:{layout['path']}:{tag}") for name, tag in pairs]

    contestants = [Contestant("polyarch", lambda run: polyarch.forget(), ours)]
    if shutil.which("skopeo"):
        contestants.append(Contestant("skopeo", lambda run: forget(), theirs))
    return Workload(contestants, versus({"skopeo": 1.3}))


def _plain_copy(site: Site, name: str) -> float:
    """Copying the compressed blobs and the tars within them: what a pull and an unpack must write at least."""
    root = site.fresh("store")
    site.run(site.polyarch(root, "pull", "-q", "--platform", TWO[0], "--platform", TWO[1], name))
    blobs = [path for path in (root / "oci" / "blobs").rglob("*") if path.is_file()]
    return limits.copying([*blobs, *debian_tars().values()], site.fresh("copy"))
