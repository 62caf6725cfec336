"""Who builds: Polyarch and its peers, each with a store of its own that it can be made to forget."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from bench.measure import Command
from bench.site import Site
from scripts.buildkit_daemon import BuildKitDaemon


class Builder(Protocol):
    """A program that builds an image for several platforms and pushes it."""

    name: str

    def forget(self) -> None:
        """Begin with nothing cached."""

    def build(self, context: Path, platforms: Sequence[str], name: str) -> Sequence[Command]:
        """The commands that build the context and push the result."""

    def background(self) -> float:
        """Seconds of processor so far of what works in the background, for which commands do not wait."""


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

    def background(self) -> float:
        return 0.0

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

    def background(self) -> float:
        return 0.0

    def pull(self, name: str, platforms: Sequence[str]) -> Sequence[Command]:
        options = ("-q", "--tls-verify=false", *self.policy)
        return [self.command("pull", *options, "--platform", platform, name) for platform in platforms]

    def command(self, *arguments: str) -> Command:
        storage = ("--root", f"{self._root}/root", "--runroot", f"{self._root}/run", "--storage-driver", "overlay")
        return Command(("buildah", *storage, *arguments), self._site.environment)


class BuildKit:
    """dockerd, in which BuildKit is, asked by buildx. The daemon's processor time is counted, its memory is not."""

    name = "buildkit"

    def __init__(self, site: Site, daemon: BuildKitDaemon) -> None:
        self._site = site
        self._daemon = daemon

    def forget(self) -> None:
        self._daemon.forget()

    def build(self, context: Path, platforms: Sequence[str], name: str) -> Sequence[Command]:
        # What BuildKit does by itself, and nothing that only dockerd asks of it: no image is kept and unpacked for
        # `docker run`; no provenance, which nobody else makes; RUN has the host's network, as everybody else's.
        output = f"type=image,name={name},push=true,store=false"
        options = ("--platform", ",".join(platforms), "--provenance=false", "--network=host", "--output", output)
        environment = {**self._site.environment, **self._daemon.environment}
        return [Command(self._daemon.buildx("build", "--progress=plain", *options, str(context)), environment)]

    def background(self) -> float:
        return self._daemon.processor_seconds()


class RemoteBuildKit:
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

    def background(self) -> float:
        return 0.0

    def _command(self, *arguments: str) -> Command:
        environment = {**self._site.environment, "BUILDKIT_HOST": os.environ["BUILDKIT_HOST"]}
        return Command(("buildctl", *arguments), environment)


def builders(site: Site, *, emulating: bool = False) -> list[Builder]:
    """Polyarch, and those peers that this machine has.

    emulating: only those whose RUNs for another processor can be more than one process.
    """
    found: list[Builder] = [Polyarch(site)]
    if shutil.which("buildah") and not emulating:
        found.append(Buildah(site))
    if (daemon := site.buildkit(emulating=emulating)) is not None:
        found.append(BuildKit(site, daemon))
    elif os.environ.get("BUILDKIT_HOST") and shutil.which("buildctl"):
        found.append(RemoteBuildKit(site))
    return found
