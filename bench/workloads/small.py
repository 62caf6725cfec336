"""Commands that are short: their cost is starting, and asking."""

import shutil
import sys
from collections.abc import Sequence

from bench import images
from bench.contestants import Buildah, Polyarch
from bench.measure import Command, Contestant, Results, median
from bench.site import EIGHT, TWO, Site
from bench.workloads.workload import Figure, Workload, nothing, versus


def version(site: Site) -> Workload:
    """`--version`, beside a Python that does nothing"""
    root = site.fresh("store")
    contestants = [
        Contestant("polyarch", nothing, lambda run: [site.polyarch(root, "--version")]),
        Contestant("python", nothing, lambda run: [Command((sys.executable, "-c", "pass"), site.environment)]),
    ]
    return Workload(contestants, versus({}, within=0.06), times=5)


def tags(site: Site) -> Workload:
    """`images` with 2,000 tags in the store"""
    root = site.fresh("store")
    images.fill(root, [f"example.com/many/image{n % 100}:v{n}" for n in range(2000)], "tags", size=1000)
    contestants = [Contestant("polyarch", nothing, lambda run: [site.polyarch(root, "images")])]
    return Workload(contestants, versus({}, within=0.15), times=3)


def archive(site: Site) -> Workload:
    """`save` and `load` of 500 and of 2,500 images, `rmi` of a tenth of them: processor"""
    contestants: list[Contestant] = []
    for count in (500, 2500):
        contestants += _archived(site, count)

    def figures(results: Results) -> list[Figure]:
        found = []
        for what in ("save", "load", "rmi"):
            few, many = (median(results[f"{what} {count}"]).processor for count in (500, 2500))
            # Five times as many images; above that is growth that is worse than linear.
            found.append(Figure(f"processor of {what}: 2,500 images / 500", many / few, "x", 7))
        return found

    return Workload(contestants, figures)


def _archived(site: Site, count: int) -> list[Contestant]:
    """Who saves, loads and removes so many images."""
    root, file = site.fresh("store"), site.fresh("archive")
    names = [f"example.com/many/image{number}:1" for number in range(count)]
    images.fill(root, names, "archive", size=1000)
    save = site.polyarch(root, "save", "-o", str(file), *names)
    site.run(save)
    loaded, rest = site.fresh("loaded"), site.fresh("rest")

    def again(run: int) -> None:
        shutil.rmtree(loaded, ignore_errors=True)

    def copied(run: int) -> None:
        shutil.rmtree(rest, ignore_errors=True)
        shutil.copytree(root, rest)

    return [
        Contestant(f"save {count}", nothing, lambda run: [save]),
        Contestant(f"load {count}", again, lambda run: [site.polyarch(loaded, "load", "-q", "-i", str(file))]),
        Contestant(f"rmi {count}", copied, lambda run: [site.polyarch(rest, "rmi", *names[: count // 10])]),
    ]


def check(site: Site) -> Workload:
    """`check` of a Debian for two platforms, pulled a moment ago (`first`) and checked before (`again`)"""
    name = site.debian()
    pulled, checked = site.fresh("pulled"), site.fresh("checked")
    site.run(site.polyarch(pulled, "pull", "-q", "--platform", ",".join(TWO), name))

    def copied(run: int) -> None:
        shutil.rmtree(checked, ignore_errors=True)
        shutil.copytree(pulled, checked)

    contestants = [
        Contestant("first", copied, lambda run: [site.polyarch(checked, "check", name)]),
        Contestant("again", nothing, lambda run: [site.polyarch(checked, "check", name)]),
    ]

    def figures(results: Results) -> list[Figure]:
        return [Figure("first, whole", median(results["first"]).wall, "s", 2.0)]

    return Workload(contestants, figures)


def index(site: Site) -> Workload:
    """`manifest create` and `push` of a list of 8 platforms whose members are in the registry"""
    root = site.fresh("store")
    names = [site.name("member", platform.replace("/", "-")) for platform in EIGHT]
    images.members(root, names, EIGHT)
    site.run(site.polyarch(root, "push", "-q", "-a", site.name("member").rpartition(":")[0]))
    polyarch, buildah = Polyarch(site), Buildah(site)

    def ours(run: int) -> Sequence[Command]:
        name = site.name(f"list-{run}")
        return [polyarch.command("manifest", "create", name, *names), polyarch.command("manifest", "push", "-q", name)]

    def theirs(run: int) -> Sequence[Command]:
        options = ("--tls-verify=false",)
        added = [buildah.command("manifest", "add", *options, "it", f"docker://{name}") for name in names]
        target = f"docker://{site.name(f'buildah-list-{run}')}"
        push = buildah.command("manifest", "push", *options, *buildah.policy, "--all", "it", target)
        return [buildah.command("manifest", "create", "it"), *added, push]

    contestants = [Contestant("polyarch", lambda run: polyarch.forget(), ours)]
    if shutil.which("buildah"):
        contestants.append(Contestant("buildah", lambda run: buildah.forget(), theirs))
    return Workload(contestants, versus({"buildah": 1}), times=2)
