"""Services → bake's targets: for compose files in `bake`, and for `compose build`."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from polyarch.bake import entries
from polyarch.bake.entries import AttestEntry, CacheEntry, SecretEntry, SshEntry
from polyarch.bake.target import BakeTarget, TargetCache, TargetInput, TargetResult, TargetRun
from polyarch.compose import forms
from polyarch.compose.places import ComposeError, TreePath
from polyarch.errors import UsageError

Tree = Mapping[str, Any]
_SERVICE = "service:"


class BuildSection(msgspec.Struct, frozen=True, kw_only=True):
    """The `build` of a service, in the forms of its values."""

    name: str
    given: Tree
    secrets: Tree
    targets: Mapping[str, str]

    def text(self, key: str) -> str | None:
        """A text; None if it is empty."""
        return self._form("text", key) or None

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(self._form("texts", key))

    def flag(self, key: str) -> bool:
        return bool(self._form("flag", key))

    def pairs(self, key: str) -> dict[str, str | None]:
        found: dict[str, str | None] = self._form("pairs", key)
        return found

    def options(self, key: str) -> dict[str, str]:
        found: dict[str, str] = self._form("options", key)
        return found

    def _form(self, form: str, key: str) -> Any:
        return forms.formed(form, self.given.get(key), self.path(key))

    def path(self, key: str) -> TreePath:
        """Where a key is in the file."""
        return ("services", self.name, "build", key)

    def contexts(self) -> dict[str, str] | None:
        """The named contexts; a service is the target that builds it."""
        found = {}
        for key, at in self.options("additional_contexts").items():
            service = at.removeprefix(_SERVICE)
            found[key] = f"target:{self.targets.get(service, service)}" if at.startswith(_SERVICE) else at
        return found or None

    def caches(self, key: str) -> tuple[CacheEntry, ...] | None:
        with self._named(key):
            return tuple(one for text in self.texts(key) for one in entries.caches(text)) or None

    def ulimits(self) -> tuple[str, ...] | None:
        """`NAME=SOFT:HARD`. A single number is both."""
        found = []
        for name, given in (self.given.get("ulimits") or {}).items():
            path = (*self.path("ulimits"), name)
            if isinstance(given, Mapping):
                soft, hard = (forms.formed("int", given.get(key), path) for key in ("soft", "hard"))
                found.append(f"{name}={soft}:{hard}")
            else:
                found.append(f"{name}={forms.formed('int', given, path)}")
        return tuple(sorted(found)) or None

    def extra_hosts(self) -> dict[str, str | None] | None:
        given = self.given.get("extra_hosts")
        try:
            hosts = forms.host_addresses(given, self.path("extra_hosts")) if given else {}
        except ValueError as error:
            raise ComposeError(f"services.{self.name}.build.extra_hosts: {error}") from None
        return {host: ",".join(at) for host, at in hosts.items()} or None

    def shm_size(self) -> str | None:
        found: str = forms.formed("bytes", self.given.get("shm_size"), self.path("shm_size"))
        return found if found != "0" else None

    def ssh(self) -> tuple[SshEntry, ...] | None:
        given = self.given.get("ssh") or {}
        return tuple(SshEntry(name, (at,) if at else ()) for name, at in sorted(given.items())) or None

    def attest(self) -> tuple[AttestEntry, ...] | None:
        """The attestations. `true` has the defaults, `false` none."""
        found = []
        for kind in ("sbom", "provenance"):
            value = self.text(kind)
            flag = None if value is None else entries.boolean(value)
            if flag is False:
                found.append(AttestEntry(kind, disabled=True))
            elif value is not None:
                with self._named(kind):
                    found.append(entries.attest(f"type={kind}" if flag else f"type={kind},{value}"))
        return tuple(found) or None

    def secret_entries(self, *, by_target: bool) -> tuple[SecretEntry, ...] | None:
        """The secrets of the build. Their ids are those of the project, or with `by_target` what the build calls them.

        Raises ComposeError for a secret that is not of this machine.
        """
        found = []
        for given in self.given.get("secrets") or ():
            source = str(given.get("source", ""))
            secret = self.secrets.get(source) or {}
            name = str(given.get("target") or source) if by_target else source
            if secret.get("environment"):
                found.append(SecretEntry(name, env=str(secret["environment"])))
            elif secret.get("file"):
                found.append(SecretEntry(name, source=str(secret["file"])))
            else:
                raise ComposeError(
                    f"services.{self.name}.build.secrets: the secret {source} has neither a file nor a variable",
                    "external secrets are of a swarm, which does not build",
                )
        return tuple(found) or None

    def _named(self, key: str) -> "_NamedErrors":
        return _NamedErrors(f"services.{self.name}.build.{key}")

    def target(self, *, by_target: bool) -> BakeTarget:
        """The target of this build, as the file says it."""
        return BakeTarget(
            name=self.targets[self.name],
            platforms=self.texts("platforms") or None,
            input=TargetInput(
                context=self.text("context"),
                contexts=self.contexts(),
                dockerfile=self.text("dockerfile"),
                dockerfile_inline=self.text("dockerfile_inline"),
                target=self.text("target"),
                secrets=self.secret_entries(by_target=by_target),
                ssh=self.ssh(),
            ),
            run=TargetRun(
                network=self.text("network"),
                shm_size=self.shm_size(),
                ulimits=self.ulimits(),
                extra_hosts=self.extra_hosts(),
            ),
            cache=TargetCache(
                cache_from=self.caches("cache_from"),
                cache_to=self.caches("cache_to"),
                no_cache=self.flag("no_cache") or None,
                pull=self.flag("pull") or None,
            ),
            result=TargetResult(
                tags=self.texts("tags") or None,
                labels=dict(self.options("labels")) or None,
                attest=self.attest(),
            ),
        )


class _NamedErrors:
    """Puts the path of a key before the message of an error."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, UsageError) and not isinstance(error, ComposeError):
            raise ComposeError(f"{self._where}: {error.message}", error.hint) from None


def target_names(services: Sequence[str]) -> dict[str, str]:
    """The target of each service: its name with `_` for dots, unique."""
    found: dict[str, str] = {}
    for service in services:
        name = service.replace(".", "_")
        while name in found.values():
            name += "_"
        found[service] = name
    return found


def with_extension(target: BakeTarget, given: Tree, service: str) -> BakeTarget:
    """The target with `x-bake`: lists are added, other values replaced. Raises ComposeError for unknown keys."""
    from polyarch.bake.attributes import BY_NAME
    from polyarch.bake.merge import merged
    from polyarch.compose.places import near

    where = f"services.{service}.build.x-bake"
    extension = given.get("x-bake")
    if not isinstance(extension, Mapping):
        return target
    for key in extension:
        if key not in _EXTENSION:
            raise ComposeError(f"{where}: the key {key!r} is unknown", near(key, _EXTENSION))
    words = {key: _words(extension[key], f"{where}.{key}") for key in _EXTENSION if key in extension and key in _LISTS}
    upper = BakeTarget(name=target.name)
    with _NamedErrors(where):
        more: dict[str, Any] = {
            "tags": lambda: (*(target.result.tags or ()), *words["tags"]),
            "platforms": lambda: (*(target.platforms or ()), *words["platforms"]),
            "cache_from": lambda: tuple(one for text in words["cache-from"] for one in entries.caches(text)),
            "cache_to": lambda: (
                *(target.cache.cache_to or ()),
                *(one for text in words["cache-to"] for one in entries.caches(text)),
            ),
            "secret": lambda: tuple(entries.secret(text) for text in words["secret"]),
            "ssh": lambda: tuple(entries.ssh(text) for text in words["ssh"]),
            "output": lambda: tuple(entries.output(text) for text in words["output"]),
            "no_cache_filter": lambda: words["no-cache-filter"],
        }
        values = {name: make() for name, make in more.items() if name.replace("_", "-") in words}
    values |= {key.replace("-", "_"): extension[key] for key in ("pull", "no-cache", "contexts") if key in extension}
    from polyarch.bake.attributes import replaced

    assert all(name.replace("_", "-") in BY_NAME for name in values)
    return merged(target, replaced(upper, **values))


_LISTS = ("tags", "cache-from", "cache-to", "secret", "ssh", "platforms", "output", "no-cache-filter")
_EXTENSION = (*_LISTS, "pull", "no-cache", "contexts")


def _words(value: Any, where: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.split())
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    raise ComposeError(f"{where}: it must be a text or a list of texts")
