"""Programs that stand on the library containers/image: skopeo, buildah, podman."""

from collections.abc import Iterable
from pathlib import Path

from scripts import debian_root
from tests.serve.clients.client import Client, newest
from tests.serve.clients.layout import Layout, blobs_of


class Skopeo(Client):
    """This machine's skopeo."""

    name = "skopeo"
    quick = True

    def command(self) -> Iterable[str | Path]:
        return ("skopeo", "--insecure-policy")

    def login(self) -> None:
        assert self.where.login
        name, password = self.where.login
        self.run("login", "--username", name, "--password-stdin", self.where.address, stdin=password)

    def push(self, layout: Layout, image: str) -> None:
        source = f"oci:{layout.directory}"
        self._copy("--dest-tls-verify", "--preserve-digests", source, f"docker://{self.at(image)}")

    def pull(self, image: str, layout: Layout) -> set[str]:
        target = self.fresh()
        self._copy("--src-tls-verify", f"docker://{self.at(image)}", f"oci:{target}:it")
        return blobs_of(target)

    def tags(self, repository: str) -> list[str]:
        told = self.run("list-tags", self._plain("--tls-verify"), f"docker://{self.at(repository)}").json()
        return sorted(told["Tags"])

    def copy(self, source: str, target: str) -> bool:
        names = (f"docker://{self.at(source)}", f"docker://{self.at(target)}")
        self._copy("--dest-tls-verify", self._plain("--src-tls-verify"), *names)
        return True

    def delete(self, image: str) -> bool:
        self.run("delete", self._plain("--tls-verify"), f"docker://{self.at(image)}")
        return True

    def _copy(self, option: str, *words: str) -> None:
        self.run("copy", "-q", "--all", self._plain(option), *words)

    def _plain(self, option: str) -> str:
        return f"{option}={'true' if self.where.authority else 'false'}"


class NewestSkopeo(Skopeo):
    """Debian's newest skopeo."""

    name = "skopeo-newest"
    quick = False

    def command(self) -> Iterable[str | Path]:
        return (*debian_root.command(newest(), "skopeo"), "--insecure-policy")


class DockerSchema(Skopeo):
    """skopeo, which sends docker's schema 2: a list of manifests with docker's media types."""

    name = "skopeo-v2s2"
    makes_index = True

    def push(self, layout: Layout, image: str) -> None:
        source = f"oci:{layout.directory}"
        self._copy("--dest-tls-verify", "--format", "v2s2", source, f"docker://{self.at(image)}")


class Buildah(Client):
    """This machine's buildah. It makes an index of its own from the images of the layout."""

    name = "buildah"
    makes_index = True

    def command(self) -> Iterable[str | Path]:
        storage = ("--root", f"{self.directory}/root", "--runroot", f"{self.directory}/run")
        return (self.name, *storage, "--storage-driver", "vfs")

    def login(self) -> None:
        assert self.where.login
        name, password = self.where.login
        self.run("login", "--username", name, "--password-stdin", self.where.address, stdin=password)

    def push(self, layout: Layout, image: str) -> None:
        self.run("manifest", "create", "list")
        self.run("manifest", "add", "--all", "list", f"oci:{layout.directory}")
        self.run("manifest", "push", "--all", *self._options(), "list", f"docker://{self.at(image)}")
        self.run("manifest", "rm", "list")

    def pull(self, image: str, layout: Layout) -> set[str]:
        found = set()
        for platform, config in layout.configs().items():
            self.run("pull", "-q", *self._options(), "--platform", platform, self.at(image))
            # The id of an image is the digest of its config, and layers were compared when they were unpacked.
            if self._id(image) == config:
                found |= layout.reached(layout.members()[platform])
        return found | {layout.index}

    def _id(self, image: str) -> str:
        return f"sha256:{self.run('inspect', '--type', 'image', self.at(image)).json()['FromImageID']}"

    def _options(self) -> tuple[str, ...]:
        return ("--tls-verify=true",) if self.where.authority else ("--tls-verify=false",)


class Podman(Buildah):
    """This machine's podman, which has buildah's words for indexes."""

    name = "podman"

    def tags(self, repository: str) -> list[str]:
        words = ("search", "--list-tags", *self._options(), "--format", "json", self.at(repository))
        return sorted(tag for found in self.run(*words).json() for tag in found["Tags"])

    def _id(self, image: str) -> str:
        return f"sha256:{self.run('image', 'inspect', self.at(image)).json()[0]['Id'].removeprefix('sha256:')}"
