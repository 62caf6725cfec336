"""One client at one registry: what it is asked for, and what came of it."""

from collections.abc import Callable
from pathlib import Path

from tests import trees
from tests.bases import import_busybox
from tests.program import Program
from tests.serve.clients.client import Client
from tests.serve.clients.layout import Layout
from tests.serve.contents import Contents

PLATFORMS = ("linux/amd64", "linux/arm64")
SOURCE = "source:1"
_NAME = "example.org/two:1"


def layout(directory: Path) -> Layout:
    """An image of two platforms, which differ in a layer and share another, as a layout and as an archive."""
    polyarch = Program(directory / "source", directory)
    import_busybox(polyarch, "base", PLATFORMS)
    context = directory / "context"
    context.mkdir(parents=True)
    (context / "shared").write_bytes(bytes(range(256)) * 4096)
    (context / "Dockerfile").write_text("FROM base\nCOPY shared /shared\n")
    polyarch("build", "-q", "--platform", ",".join(PLATFORMS), "-t", _NAME, context)
    archive = directory / "two.tar"
    polyarch("save", "-o", archive, _NAME)
    return Layout(trees.unpack(archive, directory / "layout"), _NAME, archive)


class Drive:
    """`results` has each thing that was asked for, and what was wrong with it, or nothing."""

    def __init__(self, client: Client, source: Layout) -> None:
        self.client = client
        self.source = source
        self.contents = Contents(client.where)
        self.results: dict[str, str] = {}
        self.version = client.name

    def all(self) -> None:
        """Log in, push, pull, list, copy, refer, delete."""
        repository = f"team/{self.client.name}"
        image = f"{repository}:1"
        if self.client.where.login:
            self._try("login", self.client.login)
        self._try("push", lambda: self._push(repository, image))
        self._try("push again", lambda: self._push(repository, image))
        self._try("pull", self._pull)
        self._try("tags", lambda: self._tags(repository))
        self._try("copy to another repository", self._copy)
        self._try("refer", lambda: self._refer(image))
        self._try("delete", lambda: self._delete(repository, image))

    def wrong(self) -> dict[str, str]:
        return {name: told for name, told in self.results.items() if told}

    def _try(self, name: str, work: Callable[[], bool | None]) -> None:
        """`work` raises if it fails, and its value is False if the client cannot do this at all."""
        try:
            if work() is not False:
                self.results[name] = ""
        except (AssertionError, OSError) as error:
            self.results[name] = f"{type(error).__name__}: {error}"

    def _push(self, repository: str, image: str) -> None:
        self.client.push(self.source, image)
        there = self.contents.whole(repository, "1")
        if self.client.platform:
            _equal(self.source.configs()[self.client.platform] in there, True)
            return
        if not self.client.makes_index:
            _equal(self.contents.digest(repository, "1"), self.source.index)
            _equal(self.source.digests() - set(there), set())
        # An index of its own has the same layers.
        _equal(self.source.layers() - set(there), set())

    def _pull(self) -> None:
        # What another program pushed, under a name that this client did not see yet.
        wanted, platform = self.source.digests(), self.client.platform
        if platform:
            wanted = self.source.reached(self.source.members()[platform])
        _equal(wanted - self.client.pull(SOURCE, self.source), set())

    def _tags(self, repository: str) -> bool | None:
        tags = self.client.tags(repository)
        if tags is None:
            return False
        _equal(tags, ["1"])
        return None

    def _copy(self) -> bool | None:
        copied = f"copied/{self.client.name}"
        if not self.client.copy(SOURCE, f"{copied}:2"):
            return False
        _equal(self.contents.digest(copied, "2"), self.source.index)
        _equal(set(self.contents.whole(copied, "2")), self.source.digests())
        return None

    def _refer(self, image: str) -> bool | None:
        found = self.client.refer(image)
        if found is None:
            return False
        assert found, "nothing refers to it"
        return None

    def _delete(self, repository: str, image: str) -> bool | None:
        if not self.client.delete(image):
            return False
        _equal(self.contents.digest(repository, "1"), None)
        return None


def _equal(found: object, wanted: object) -> None:
    assert found == wanted, f"{found!r}, not {wanted!r}"
