"""`--mirror HOST`: a pull-through cache of other registries. It only reads them.

A mirrored image has the path `HOST/PATH` here. The registry also understands what clients ask of a mirror: containerd
names the host in the query (`/v2/PATH/manifests/1?ns=HOST`); docker does not, and means Docker Hub. So bare paths are
those of the first host, as far as nothing in the store has them.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from polyarch.errors import PolyarchError, UsageError
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.reference import Reference
from polyarch.serve import upstream
from polyarch.serve.fetching import Fetch
from polyarch.serve.upstream import MirrorSessions, Upstream
from polyarch.store import Store

# Seconds for which the answer about a tag is good.
FRESH = 60.0
# Seconds in which a registry that could not be reached is not asked again.
PAUSE = 15.0
# Requests to registries that run at once, and downloads. More of them wait.
_ASKING = 16
_FETCHING = 8
_HUB = "docker.io"
_HUB_NAMES = frozenset({"index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})


class PullThrough:
    """A cache of the registries `hosts`. It owns threads, downloads and sessions until `close`; use it on one loop.

    `agent` is a text in the User-Agent of its requests, by which it recognizes them if they are sent back to it. A
    registry that cannot be asked is told to `report`.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        agent: str,
        sessions: MirrorSessions,
        now: Callable[[], float],
        report: Callable[[Exception], None],
        fresh: float = FRESH,
        pause: float = PAUSE,
    ) -> None:
        self.hosts = tuple(dict.fromkeys(host(text) for text in hosts))
        self.agent = agent
        self._upstream = Upstream(sessions, now, report, fresh, pause)
        self._asking = ThreadPoolExecutor(_ASKING, "mirror")
        self._fetching = ThreadPoolExecutor(_FETCHING, "mirror-blob")
        self._fetches: dict[tuple[Reference, Digest], Fetch] = {}

    def locate(self, path: str, namespace: str = "") -> Reference | None:
        """The repository of a registry that a path of a request stands for by its own words; None if it does not.

        `namespace` is containerd's `ns`. Such a request is about this registry's repository and no other.
        """
        if namespace:
            return self._reference(namespace, path)
        head, slash, rest = path.partition("/")
        # `host_5000` stands for `host:5000`, as everywhere in the server's paths.
        return self._reference(head, rest) or self._reference(head.replace("_", ":"), rest) if slash else None

    def fallback(self, path: str) -> Reference | None:
        """The repository of the first registry that a bare path stands for, if nothing in the store has this path."""
        return self._reference(self.hosts[0], path) if self.hosts else None

    def _reference(self, text: str, path: str) -> Reference | None:
        domain = _HUB if text in _HUB_NAMES else text
        if domain not in self.hosts or not path:
            return None
        full = f"library/{path}" if domain == _HUB and "/" not in path else path
        return Reference(domain, full) if references.is_path(full) else None

    def repositories(self, store: Store) -> Sequence[Reference]:
        """The mirrored repositories of which `store` has what was fetched, in no particular order. It blocks."""
        return [one for one in upstream.repositories(store) if one.domain in self.hosts]

    async def manifest(self, reference: Reference, name: str) -> tuple[Descriptor, bytes]:
        """A manifest by its tag or digest. Raises NotFoundError, RegistryError, CorruptError."""
        wanted = references.parse(f"{reference}@{name}" if ":" in name else f"{reference}:{name}")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._asking, self._upstream.manifest, wanted)

    async def describe(self, reference: Reference, digest: Digest, *, confirm: bool) -> tuple[Descriptor, bool]:
        """A blob of a repository, and whether the store has it, without fetching it. With `confirm`, the registry
        itself must have said that it has it. Raises NotFoundError, RegistryError.
        """
        ask = partial(self._upstream.blob, reference, digest, confirm=confirm)
        found, is_here = await asyncio.get_running_loop().run_in_executor(self._asking, ask)
        return found.descriptor, is_here

    async def fetch(self, reference: Reference, descriptor: Descriptor) -> Fetch:
        """The download of a blob, of which at least the first bytes are here: one for all clients at the same time.
        Raises NotFoundError, RegistryError.
        """
        loop = asyncio.get_running_loop()
        key = (reference, descriptor.digest)
        fetch = self._fetches.get(key)
        if fetch is None or fetch.is_done:
            fetch = self._fetches[key] = Fetch(descriptor, loop)
            running = loop.run_in_executor(self._fetching, self._upstream.fetch, reference, descriptor, fetch)
            running.add_done_callback(partial(self._forget, key, fetch))
        await fetch.started()
        return fetch

    def _forget(self, key: tuple[Reference, Digest], fetch: Fetch, running: "asyncio.Future[None]") -> None:
        if not running.cancelled() and (error := running.exception()) is not None:
            # The session could not be opened: a full disk, a damaged configuration.
            fetch.fail(error if isinstance(error, PolyarchError) else PolyarchError(str(error)))
        if self._fetches.get(key) is fetch:
            del self._fetches[key]

    async def tags(self, reference: Reference) -> Sequence[str]:
        """The tags of a repository, in the order of their bytes. Raises NotFoundError, RegistryError."""
        return await asyncio.get_running_loop().run_in_executor(self._asking, self._upstream.tags, reference)

    async def referrers(self, reference: Reference, subject: Digest) -> Sequence[Descriptor]:
        """The manifests about `subject` in a repository. Raises NotFoundError, RegistryError."""
        ask = partial(self._upstream.referrers, reference, subject)
        return await asyncio.get_running_loop().run_in_executor(self._asking, ask)

    @property
    def threads(self) -> ThreadPoolExecutor:
        """Threads on which readers of a download wait for the disk."""
        return self._asking

    async def close(self) -> None:
        """End all downloads, and close what is open."""
        for fetch in self._fetches.values():
            fetch.stop()
        await asyncio.to_thread(self._fetching.shutdown, cancel_futures=True)
        await asyncio.to_thread(self._asking.shutdown)
        self._upstream.close()


def path_of(reference: Reference) -> str:
    """The path of a mirrored repository here, as patterns of rights name it too: a path has no colon."""
    return f"{reference.domain.replace(':', '_')}/{reference.path}"


def host(text: str) -> str:
    """The host of `--mirror`, in the form in which references have it. Raises UsageError."""
    name = _HUB if text in _HUB_NAMES else text
    try:
        if references.parse(f"{name}/x/y").domain == name:
            return name
    except UsageError:
        pass
    raise UsageError(f"--mirror {text}: not the host of a registry", "expected HOST[:PORT], as in --mirror docker.io")
