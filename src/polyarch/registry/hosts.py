"""Where a repository is served, and how: containers' registries.conf with its mirrors, docker's certs.d.

containers-registries.conf(5), version 2, decides how `prefix`, `location` and mirrors rewrite a name. In docker's
certs.d, a directory named after host and port has authorities (.crt) and client certificates (.cert, .key).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from polyarch.errors import RegistryError, UsageError
from polyarch.oci.reference import Reference

_DOCKER = "docker.io"
_DOCKER_HOST = "registry-1.docker.io"
Scheme = Literal["http", "https"]
MirrorUse = Literal["all", "digest-only", "tag-only"]


class TLS(msgspec.Struct, frozen=True):
    """One TLS configuration: authorities besides the system's, client certificates and keys, and whether to verify."""

    authorities: tuple[str, ...] = ()
    certificates: tuple[tuple[str, str], ...] = ()
    verify: bool = True


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One host that serves a repository: `host` is host[:port], `repository` the path there.

    `use` says for which names a mirror may be asked.
    """

    host: str
    repository: str
    use: MirrorUse = "all"

    def serves(self, name: str) -> bool:
        """Whether `name`, a tag or digest, may be read here."""
        return self.use == "all" or (self.use == "digest-only") == (":" in name)


class Mirror(msgspec.Struct, frozen=True):
    """A `[[registry.mirror]]` table."""

    location: str
    insecure: bool = False
    use: MirrorUse = "all"


class RegistryRule(msgspec.Struct, frozen=True, kw_only=True):
    """A `[[registry]]` table: the settings for names below `prefix`."""

    prefix: str
    location: str = ""
    insecure: bool = False
    blocked: bool = False
    mirrors: tuple[Mirror, ...] = ()


class Hosts(msgspec.Struct, frozen=True, kw_only=True):
    """All settings about hosts. `insecure` are host[:port] names, such as a command's `--insecure` gives."""

    rules: tuple[RegistryRule, ...] = ()
    insecure: frozenset[str] = frozenset()
    certificate_directories: tuple[str, ...] = ()

    def endpoints(self, reference: Reference) -> tuple[Endpoint, ...]:
        """Where the repository is served, in the order to ask: mirrors first, the registry itself last.

        Raises RegistryError if the name is blocked.
        """
        name = f"{reference.domain}/{reference.path}"
        rule = self._rule(name)
        if rule is None:
            return (_endpoint(name),)
        if rule.blocked:
            raise RegistryError(
                f"{name} is blocked by the rule for {rule.prefix!r} in registries.conf",
                "remove `blocked = true` there, or use another registry",
            )
        mirrors = (_endpoint(_rewrite(name, rule.prefix, mirror.location), mirror.use) for mirror in rule.mirrors)
        return (*mirrors, _endpoint(_rewrite(name, rule.prefix, rule.location)))

    def is_insecure(self, host: str) -> bool:
        """Whether a host is marked as insecure: its certificate is not verified, and plain HTTP is allowed."""
        if host in self.insecure:
            return True
        for rule in self.rules:
            own = _host(rule.location) == host if rule.location else _is_below(host, rule.prefix)
            if (rule.insecure and own) or any(m.insecure and _host(m.location) == host for m in rule.mirrors):
                return True
        return False

    def schemes(self, host: str) -> tuple[Scheme, ...]:
        """The schemes to try, in order. More than one only for loopback and for hosts marked insecure.

        A host with a certs.d directory speaks TLS. A registry on loopback is nearly always plain. Elsewhere TLS comes
        first, even if the certificate cannot be verified, because a password may be sent.
        """
        insecure = self.is_insecure(host)
        if self._directory(host) is not None and not insecure:
            return ("https",)
        if is_loopback(host):
            return ("http", "https")
        return ("https", "http") if insecure else ("https",)

    def tls(self, host: str) -> TLS:
        """The TLS configuration for a host. Raises UsageError for a client certificate without its key."""
        verify = not self.is_insecure(host)
        directory = self._directory(host)
        if directory is None:
            return TLS(verify=verify)
        return TLS(
            authorities=tuple(str(file) for file in sorted(directory.glob("*.crt"))),
            certificates=_pairs(directory),
            verify=verify,
        )

    def _directory(self, host: str) -> Path | None:
        for parent in self.certificate_directories:
            directory = Path(parent, host)
            if directory.is_dir():
                return directory
        return None

    def _rule(self, name: str) -> RegistryRule | None:
        """The rule with the longest prefix that the name is below."""
        matching = [rule for rule in self.rules if _is_below(name, rule.prefix)]
        return max(matching, key=lambda rule: len(rule.prefix), default=None)


def _pairs(directory: Path) -> tuple[tuple[str, str], ...]:
    """The client certificates of a certs.d directory and their keys, paired as in docker: NAME.cert, NAME.key."""
    found = {suffix: {file.stem for file in directory.glob(f"*{suffix}")} for suffix in (".cert", ".key")}
    for lonely, other in ((".cert", ".key"), (".key", ".cert")):
        for name in sorted(found[lonely] - found[other]):
            raise UsageError(
                f"{directory / name}{lonely} has no matching {name}{other}",
                "a client certificate is NAME.cert, and its key is NAME.key",
            )
    return tuple((f"{directory / name}.cert", f"{directory / name}.key") for name in sorted(found[".cert"]))


def load(
    files: Iterable[Path] = (), certificate_directories: Iterable[Path] = (), insecure: Iterable[str] = ()
) -> Hosts:
    """The hosts of some registries.conf files; later ones win, and files that do not exist are skipped.

    `certificate_directories` are certs.d directories; the first that has the host wins. Raises UsageError for a
    malformed file.
    """
    rules: dict[str, RegistryRule] = {}
    for file in files:
        try:
            text = file.read_text()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{file} cannot be read: {error}") from error
        rules.update((rule.prefix, rule) for rule in parse(text, str(file)))
    return Hosts(
        rules=tuple(rules.values()),
        insecure=frozenset(insecure),
        certificate_directories=tuple(map(str, certificate_directories)),
    )


def parse(text: str, where: str = "registries.conf") -> tuple[RegistryRule, ...]:
    """The `[[registry]]` tables of a registries.conf of version 2. Raises UsageError that names `where`."""
    if _has_no_registry(text):
        return ()
    import tomllib

    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{where} is not valid TOML: {error}") from error
    if "registries" in document:
        raise UsageError(f"{where} is of version 1", "write a [[registry]] table for each registry, as version 2 has")
    try:
        return tuple(_rule(table, where) for table in _tables(document, "registry", where))
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {error}") from error


def _has_no_registry(text: str) -> bool:
    """Whether there are only comments and short names, as in the files that distributions ship.

    Reading those as TOML would cost every command 5 ms.
    """
    lines = (line.strip() for line in text.splitlines())
    return all(not line or line[0] in '#"' or line == "[aliases]" for line in lines)


def of_registry(host: str) -> Endpoint:
    """The endpoint of a registry without a repository, for a login."""
    return _endpoint(f"{host}/")


def is_loopback(host: str) -> bool:
    """Whether host[:port] is this machine: localhost, 127.0.0.0/8 or ::1, as in docker."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name in ("localhost", "::1"):
        return True
    if ":" not in name:
        parts = name.split(".")
        return parts[0] == "127" and len(parts) == 4 and all(map(_is_octet, parts))
    import ipaddress  # 1 ms, for the other forms of an IPv6 address

    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_octet(text: str) -> bool:
    """Whether `text` is a part of an IPv4 address as ipaddress has it: without leading zeros, as RFC 6943 advises."""
    return text.isascii() and text.isdigit() and len(text) <= 3 and str(int(text)) == text and int(text) < 256


def _endpoint(name: str, use: MirrorUse = "all") -> Endpoint:
    host, _, path = name.partition("/")
    return Endpoint(host=_DOCKER_HOST if host in (_DOCKER, "index.docker.io") else host, repository=path, use=use)


def _host(location: str) -> str:
    return location.partition("/")[0]


def _rule(table: dict[str, Any], where: str) -> RegistryRule:
    prefix = table.get("prefix") or table.get("location") or ""
    location = table.get("location") or prefix
    if not isinstance(prefix, str) or not isinstance(location, str):
        raise UsageError(f"{where}: the prefix and the location of a [[registry]] must be strings")
    if not prefix:
        raise UsageError(f"{where}: a [[registry]] has neither prefix nor location")
    only_digests = bool(table.get("mirror-by-digest-only", False))
    mirrors = tuple(
        msgspec.convert(
            {
                "location": _location(mirror.get("location", "")),
                "insecure": mirror.get("insecure", False),
                "use": "digest-only" if only_digests else mirror.get("pull-from-mirror", "all"),
            },
            Mirror,
        )
        for mirror in _tables(table, "mirror", where)
    )
    return msgspec.convert(
        {
            "prefix": _location(prefix),
            "location": "" if location.startswith("*.") else _location(location),
            "insecure": table.get("insecure", False),
            "blocked": table.get("blocked", False),
            "mirrors": mirrors,
        },
        RegistryRule,
    )


def _tables(document: dict[str, Any], key: str, where: str) -> Sequence[dict[str, Any]]:
    tables = document.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{where}: [[{key}]] is not a list of tables")
    return tables


def _location(text: object) -> str:
    if not isinstance(text, str) or not text or "://" in text:
        raise msgspec.ValidationError(f"{text!r} is not a location; expected host[:port][/path], without a scheme")
    return text.rstrip("/")


def _is_below(name: str, prefix: str) -> bool:
    if prefix.startswith("*."):
        host = _host(name).partition(":")[0]
        return host.endswith(prefix[1:])
    # `example.com/foo` is a prefix of `example.com/foo/bar` and not of `example.com/foobar`.
    return name == prefix or (name.startswith(prefix) and name[len(prefix)] in "/:@")


def _rewrite(name: str, prefix: str, location: str) -> str:
    if prefix.startswith("*."):
        return name if not location else location + "/" + name.partition("/")[2]
    return (location or prefix) + name[len(prefix) :]
