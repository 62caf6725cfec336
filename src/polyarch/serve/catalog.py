"""What index.json says, arranged by repository: tags, manifests without a tag, and manifests about others."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.serve import naming
from polyarch.store.tags import REPOSITORY, Entries

# The manifests that an index names.
Below = Callable[[Descriptor], Sequence[Descriptor]]


class Catalog:
    """One state of index.json. Nothing of it changes; what takes a while is computed when it is first asked for."""

    def __init__(self, entries: Entries, below: Below) -> None:
        self.entries = entries
        self._below = below
        # By repository of the store, then by tag.
        self.tagged: dict[str, dict[str, Descriptor]] = {}
        for name, descriptor in entries.named.items():
            if (parts := naming.split(name)) is not None:
                self.tagged.setdefault(parts[0], {})[parts[1]] = descriptor
        # By path of the server: what is kept for itself, and what is kept because of its subject.
        self.kept = _by_repository(entries.unnamed)
        self.listed = _by_repository(one for found in entries.referrers.values() for one in found)
        self._repositories: tuple[str, ...] | None = None
        self._members: dict[str, Mapping[Digest, Descriptor]] = {}
        self._sorted: dict[str, Sequence[str]] = {}

    def repositories(self) -> tuple[str, ...]:
        """All repositories, each under its shortest path that means no other one, sorted.

        The names by which this machine pushed something to a server of the store are not listed once more.
        """
        if self._repositories is None:
            found = set(self.kept)
            for name in self.tagged:
                if not self._repeats(name):
                    found.update(path for path in [self._shortest(name)] if path)
            self._repositories = tuple(sorted(found))
        return self._repositories

    def _repeats(self, name: str) -> bool:
        """Whether a repository with a port has nothing but what was pushed: these are the names it was pushed by."""
        host, _, rest = name.partition("/")
        pushed = self.tagged.get(naming.PUSHED + rest, {})
        return ":" in host and all(
            tag in pushed and pushed[tag].digest == descriptor.digest for tag, descriptor in self.tagged[name].items()
        )

    def _shortest(self, name: str) -> str:
        for path in naming.paths(name):
            if references.is_path(path) and self.first(path) == name:
                return path
        return ""

    def first(self, repository: str) -> str | None:
        """The first repository of the store with tags that this path stands for."""
        return next((name for name in naming.candidates(repository) if name in self.tagged), None)

    def exists(self, repository: str) -> bool:
        """Whether there is anything under this path."""
        return repository in self.kept or self.first(repository) is not None

    def tags(self, repository: str) -> dict[str, Descriptor]:
        """The tags of a repository, in no particular order."""
        found = [self.tagged[name] for name in naming.candidates(repository) if name in self.tagged]
        if len(found) == 1:
            return found[0]
        return {tag: descriptor for tags in reversed(found) for tag, descriptor in tags.items()}

    def sorted_tags(self, repository: str) -> Sequence[str]:
        """The names of the tags in the order of their bytes."""
        known = self._sorted.get(repository)
        if known is None:
            known = self._sorted[repository] = tuple(sorted(self.tags(repository)))
        return known

    def tag(self, repository: str, tag: str) -> Descriptor | None:
        """What a tag names."""
        for name in naming.candidates(repository):
            if (descriptor := self.tagged.get(name, {}).get(tag)) is not None:
                return descriptor
        return None

    def members(self, repository: str) -> Mapping[Digest, Descriptor]:
        """All manifests of a repository: what its tags name and what it keeps, what these indexes name, and so on, and
        what refers to any of them.
        """
        known = self._members.get(repository)
        if known is None:
            known = self._members[repository] = self._reached(repository)
        return known

    def _reached(self, repository: str) -> Mapping[Digest, Descriptor]:
        found: dict[Digest, Descriptor] = {}
        pending = [*self.tags(repository).values(), *self.kept.get(repository, {}).values()]
        while pending:
            descriptor = pending.pop()
            if descriptor.digest in found:
                continue
            found[descriptor.digest] = descriptor
            pending.extend(self._below(descriptor))
            pending.extend(self.referrers(repository, descriptor.digest))
        return found

    def is_deletable(self, repository: str, digest: Digest) -> bool:
        """Whether a manifest was pushed to this repository, and nothing else in it names the manifest."""
        start = f"{naming.PUSHED}{repository}"
        tagged = any(one.digest == digest for one in self.tagged.get(start, {}).values())
        kept = digest in self.kept.get(repository, {}) or digest in self.listed.get(repository, {})
        return (tagged or kept) and not self.holder(repository, digest)

    def holder(self, repository: str, digest: Digest) -> str:
        """What keeps a manifest in a repository that was not pushed under it: an index, by its digest, or an image of
        this machine, by its name. Empty for neither.
        """
        for name in naming.candidates(repository):
            if not name.startswith(naming.PUSHED) or name != naming.PUSHED + repository:
                for tag, descriptor in self.tagged.get(name, {}).items():
                    if descriptor.digest == digest:
                        return f"{name}:{tag}"
        for member in self.members(repository).values():
            if any(one.digest == digest for one in self._below(member)):
                return member.digest
        return ""

    def referrers(self, repository: str, subject: Digest) -> list[Descriptor]:
        """The manifests about `subject` in a repository: those pushed to it, and those that this machine made."""
        return [
            one
            for one in self.entries.referrers.get(subject, ())
            if not (keepers := one.annotations.get(REPOSITORY)) or repository in keepers.split()
        ]


def _by_repository(entries: Iterable[Descriptor]) -> dict[str, dict[Digest, Descriptor]]:
    found: dict[str, dict[Digest, Descriptor]] = {}
    for entry in entries:
        for repository in entry.annotations.get(REPOSITORY, "").split():
            found.setdefault(repository, {})[entry.digest] = entry
    return found
