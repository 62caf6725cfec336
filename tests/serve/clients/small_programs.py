"""Programs without a store: crane, oras; and Polyarch."""

import sys
from collections.abc import Iterable
from pathlib import Path

from scripts import debian_root
from tests.serve.clients.client import Client, newest
from tests.serve.clients.layout import Layout, blobs_of


class Crane(Client):
    """Debian's newest crane. It takes a registry on loopback without TLS as it is."""

    name = "crane"
    quick = True

    def command(self) -> Iterable[str | Path]:
        return debian_root.command(newest(), "crane")

    def version(self) -> str:
        return "crane of Debian sid"  # it does not know

    def login(self) -> None:
        assert self.where.login
        name, password = self.where.login
        self.run("auth", "login", self.where.address, "--username", name, "--password-stdin", stdin=password)

    def push(self, layout: Layout, image: str) -> None:
        self.run("push", layout.directory, self.at(image))

    def pull(self, image: str, layout: Layout) -> set[str]:
        target = self.fresh()
        self.run("pull", "--format", "oci", self.at(image), target)
        return blobs_of(target)

    def tags(self, repository: str) -> list[str]:
        return sorted(self.run("ls", self.at(repository)).lines())

    def copy(self, source: str, target: str) -> bool:
        self.run("copy", self.at(source), self.at(target))
        return True

    def delete(self, image: str) -> bool:
        digest = self.run("digest", self.at(image)).stdout.strip()
        self.run("delete", f"{self.at(image.partition(':')[0])}@{digest}")
        return True


class Oras(Client):
    """Debian's newest oras."""

    name = "oras"
    quick = True

    def command(self) -> Iterable[str | Path]:
        return debian_root.command(newest(), "oras")

    def version(self) -> str:
        return f"oras {self.run('version').stdout.split()[1]}"

    def login(self) -> None:
        assert self.where.login
        name, password = self.where.login
        self.run("login", self.where.address, "--username", name, "--password-stdin", stdin=password)

    def push(self, layout: Layout, image: str) -> None:
        source = ("--from-oci-layout", f"{layout.directory}@{layout.index}")
        self.run("cp", "--recursive", *self._options("--to"), *source, self.at(image))

    def pull(self, image: str, layout: Layout) -> set[str]:
        target = self.fresh()
        self.run("cp", "--recursive", *self._options("--from"), self.at(image), "--to-oci-layout", f"{target}:it")
        return blobs_of(target)

    def tags(self, repository: str) -> list[str]:
        return sorted(self.run("repo", "tags", *self._options(), self.at(repository)).lines())

    def copy(self, source: str, target: str) -> bool:
        options = (*self._options("--from"), *self._options("--to"))
        self.run("cp", "--recursive", *options, self.at(source), self.at(target))
        return True

    def delete(self, image: str) -> bool:
        self.run("manifest", "delete", "--force", *self._options(), self.at(image))
        return True

    def refer(self, image: str) -> set[str]:
        (self.directory / "note.txt").write_text("a note\n")
        words = ("--artifact-type", "application/vnd.example.note", self.at(image), "note.txt:text/plain")
        self.run("attach", *self._options(), *words)
        found = self.run("discover", *self._options(), "--format", "json", self.at(image)).json()
        return {one["digest"] for one in found.get("referrers") or found.get("manifests")}

    def _options(self, side: str = "") -> tuple[str, ...]:
        return () if self.where.authority else (f"{side}-plain-http" if side else "--plain-http",)


class Polyarch(Client):
    """Polyarch with a store of its own, beside the one that is served."""

    name = "polyarch"
    quick = True

    def command(self) -> Iterable[str | Path]:
        return (Path(sys.executable).parent / "polyarch",)

    def login(self) -> None:
        assert self.where.login
        name, password = self.where.login
        self.run("login", self.where.address, "--username", name, "--password-stdin", stdin=password)

    def push(self, layout: Layout, image: str) -> None:
        env = {"POLYARCH_ROOT": str(self.fresh())}
        self.run("load", "-i", layout.archive, env=env)
        self.run("tag", layout.index, self.at(image), env=env)
        self.run("push", "-q", self.at(image), env=env)

    def pull(self, image: str, layout: Layout) -> set[str]:
        target = self.fresh()
        self.run("pull", "-q", "--all-platforms", self.at(image), env={"POLYARCH_ROOT": str(target)})
        return blobs_of(target / "oci")

    def copy(self, source: str, target: str) -> bool:
        words = ("imagetools", "create", "--tag", self.at(target), self.at(source))
        self.run("buildx", *words, env={"POLYARCH_ROOT": str(self.fresh())})
        return True

    def refer(self, image: str) -> set[str]:
        env = {"POLYARCH_ROOT": str(self.directory / "keys"), "COSIGN_PASSWORD": "secret"}
        self.run("generate-key-pair", env=env)
        self.run("sign", "--key", "cosign.key", self.at(image), env=env)
        self.run("verify", "--key", "cosign.pub", self.at(image), env=env)
        return {"signed"}
