"""Commands that are short: their cost is starting, and asking."""

import shutil
import sys
from collections.abc import Sequence

from bench import images
from bench.contestants import Buildah, Polyarch
from bench.measure import Command, Contestant
from bench.site import EIGHT, Site
from bench.workloads.workload import Workload, nothing, versus


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
