"""Who builds: Polyarch and its peers, each with a store of its own that it can be made to forget."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from bench.measure import Command
from bench.site import Site


class Builder(Protocol):
    """A program that builds an image for several platforms and pushes it."""

    name: str

    def forget(self) -> None:
        """Begin with nothing cached."""

    def build(self, context: Path, platforms: Sequence[str], name: str) -> Sequence[Command]:
        """The commands that build the context and push the result."""


class Polyarch:
    """Polyarch with a store of its own."""

    name = "polyarch"

    def __init__(self, site: Site) -> None:
        self._site = site
        self.root = site.fresh("polyarch")

    def forget(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        self.root = self._site.fresh("polyarch")

    def build(self, context: Path, platforms: Sequence[str], name: str) -> Sequence[Command]:
        return [self.command("build", "-q", "--platform", ",".join(platforms), "-t", name, "--push", str(context))]

    def command(self, *arguments: str) -> Command:
        return self._site.polyarch(self.root, *arguments)


class Buildah:
    """Debian's buildah with a store of its own, on overlay as it is usually set up."""

    name = "buildah"

    def __init__(self, site: Site) -> None:
        self._site = site
        self._number = 0
        self._root = site.fresh("buildah")
        # Without it every user's file is asked for.
        policy = site.directory / "policy.json"
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        self.policy = ("--signature-policy", str(policy))

    def forget(self) -> None:
        self._site.run(self.command("rm", "--all"), self.command("rmi", "--all", "--force"))
        shutil.rmtree(self._root, ignore_errors=True)
        self._root = self._site.fresh("buildah")

    def build(self, context: Path, platforms: Sequence[str], name: str) -> Sequence[Command]:
        self._number += 1
        listed = f"list-{self._number}"
        # chroot is its quickest isolation, and needs no runtime.
        options = ("--isolation", "chroot", "--layers", "--jobs", "2", "--tls-verify=false")
        wanted = ("--platform", ",".join(platforms), "--manifest", listed)
        return [
            self.command("build", *self.policy, *options, *wanted, str(context)),
            self.command("manifest", "push", *self.policy, "--all", "--tls-verify=false", listed, f"docker://{name}"),
        ]

    def pull(self, name: str, platforms: Sequence[str]) -> Sequence[Command]:
        options = ("-q", "--tls-verify=false", *self.policy)
        return [self.command("pull", *options, "--platform", platform, name) for platform in platforms]

    def command(self, *arguments: str) -> Command:
        storage = ("--root", f"{self._root}/root", "--runroot", f"{self._root}/run", "--storage-driver", "overlay")
        return Command(("buildah", *storage, *arguments), self._site.environment)


class BuildKit:
    """The daemon that BUILDKIT_HOST points at, asked by buildctl. Only its client's processor time is seen."""

    name = "buildkit"

    def __init__(self, site: Site) -> None:
        self._site = site

    def forget(self) -> None:
        self._site.run(self._command("prune", "--all"))

    def build(self, context: Path, platforms: Sequence[str], name: str) -> Sequence[Command]:
        sources = ("--local", f"context={context}", "--local", f"dockerfile={context}")
        output = f"type=image,name={name},push=true,registry.insecure=true"
        options = ("--opt", f"platform={','.join(platforms)}", "--output", output)
        return [self._command("build", "--frontend", "dockerfile.v0", *sources, *options)]

    def _command(self, *arguments: str) -> Command:
        environment = {**self._site.environment, "BUILDKIT_HOST": os.environ["BUILDKIT_HOST"]}
        return Command(("buildctl", *arguments), environment)


def builders(site: Site) -> list[Builder]:
    """Polyarch, and those peers that this machine has."""
    found: list[Builder] = [Polyarch(site)]
    if shutil.which("buildah"):
        found.append(Buildah(site))
    if os.environ.get("BUILDKIT_HOST") and shutil.which("buildctl"):
        found.append(BuildKit(site))
    return found
