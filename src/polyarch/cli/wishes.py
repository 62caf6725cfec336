"""The words of `build` that say what is built and how, read into what `polyarch.build` takes."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyarch.cli import sizes
from polyarch.cli.session import Session
from polyarch.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from polyarch.builder import Override, Secrets
    from polyarch.oci.platform import Platform

# Values of an option by the platform that they are for; None is for all.
_Sorted = Mapping["Platform | None", tuple[str, ...]]

# Docker's predefined arguments: they need no ARG, and no image keeps them.
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")


def wishes(session: Session, words: Mapping[str, Any]) -> dict[str, Any]:
    """The words that say what is built and how, as `polyarch.build` takes them."""
    from polyarch.cli import per_platform

    around = session.environment
    options = ("build_args", "contexts", "labels", "secrets", "target")
    given = {name: per_platform.sort(words[name]) for name in options}
    arguments = _arguments(given["build_args"][None], around.variables)
    epoch = arguments.get("SOURCE_DATE_EPOCH")
    if epoch is not None and not epoch.isdigit():
        raise UsageError(f"SOURCE_DATE_EPOCH is {epoch!r}", "it is a number of seconds since 1970")
    default = around.default_platform
    platforms = session.platforms(words["platform"] or ([default] if default else []))
    flags = ("--build-arg", "--build-context", "--label", "--secret", "--target")
    per_platform.expect(dict(zip(flags, given.values(), strict=True)), platforms or (session.host(),))
    return {
        "platforms": platforms,
        "build_args": arguments,
        "labels": _labels(given["labels"][None]),
        "contexts": _all_contexts(given["contexts"]),
        "target": given["target"][None][-1] if given["target"][None] else "",
        "overrides": _overrides(given, around.variables),
        "network": words["network"],
        "allow": _allowed(words["allowed"]),
        "allow_foreign_base": words["allow_foreign_base"],
        "epoch": int(epoch) if epoch else around.source_date_epoch,
        "created": time.time(),
        "search_path": around.search_path,
        "secrets": _all_secrets(given["secrets"], words["agents"], around.variables),
        "proxies": _proxies(arguments, around.variables),
        "no_cache": words["no_cache"],
        "pull": words["pull"],
        "keep_going": words["keep_going"],
        "partial": words["partial"],
        "verify_platforms": words["verify"],
        "no_cache_stages": words["fresh"],
        "reproducible": words["reproducible"],
        "environment": around.variables,
        "hosts": tuple(map(_host, words["hosts"])),
        "shm_size": sizes.bytes_of(words["shm_size"], memory=True) if words["shm_size"] else 0,
        "limits": tuple(map(_limit, words["limits"])),
    }


def _overrides(given: "Mapping[str, _Sorted]", ours: Mapping[str, str]) -> "tuple[Override, ...]":
    """What is for one platform alone."""
    from polyarch.builder import Override

    named = dict.fromkeys(one for sorted_ in given.values() for one in sorted_ if one is not None)
    return tuple(
        Override(
            platform=platform,
            arguments=_arguments(given["build_args"].get(platform, ()), ours),
            labels=_labels(given["labels"].get(platform, ())),
            target=given["target"].get(platform, ("",))[-1],
        )
        for platform in named
    )


def _all_contexts(given: "_Sorted") -> dict[str, str]:
    """The named contexts; one for a platform is called NAME::PLATFORM, as BuildKit calls it."""
    found: dict[str, str] = {}
    for platform, words in given.items():
        end = "" if platform is None else f"::{platform}"
        found |= {f"{name}{end}": value for name, value in _contexts(words).items()}
    return found


def _all_secrets(given: "_Sorted", agents: tuple[str, ...], ours: Mapping[str, str]) -> "Secrets":
    """The secrets; one for a platform is called PLATFORM:ID."""
    from polyarch.builder import Secrets

    found = _secrets(given[None], agents, ours)
    more = {
        f"{platform}:{name}": content
        for platform, words in given.items()
        if platform is not None
        for name, content in _secrets(words, (), ours).secrets.items()
    }
    return Secrets({**found.secrets, **more}, found.sockets)


def _host(word: str) -> tuple[str, str]:
    # An IPv6 address has colons itself; `=` is buildx's newer spelling.
    separator = "=" if "=" in word else ":"
    name, _, address = word.partition(separator)
    if not name or not address:
        raise UsageError(f"--add-host: {word!r} is not NAME:ADDRESS", "as in --add-host registry.local:10.0.0.5")
    return name, address.strip("[]")


def _limit(word: str) -> tuple[str, int, int]:
    name, _, value = word.partition("=")
    soft, _, hard = value.partition(":")
    numbers = [part for part in (soft, hard or soft) if part.lstrip("-").isdigit()]
    if not name or len(numbers) != 2:
        raise UsageError(f"--ulimit: {word!r} is not NAME=SOFT[:HARD]", "as in --ulimit nofile=1024:4096")
    return name, int(numbers[0]), int(numbers[1])


def _contexts(words: tuple[str, ...]) -> dict[str, str]:
    """The named contexts: directories, and images."""
    contexts: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name or not value:
            raise UsageError(f"--build-context: {word!r} is not NAME=PATH", "as in --build-context lib=../lib")
        if not _is_remote(value) and not Path(value).is_dir():
            raise NotFoundError(f"--build-context: there is no directory {value}")
        contexts[name] = value
    return contexts


def _arguments(words: tuple[str, ...], ours: Mapping[str, str]) -> dict[str, str]:
    """Build arguments; one without a value has that of our variable, and is left out where there is none."""
    arguments: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name:
            raise UsageError(f"--build-arg: {word!r} is not NAME=VALUE")
        if equals:
            arguments[name] = value
        elif name in ours:
            arguments[name] = ours[name]
    return arguments


def _labels(words: tuple[str, ...]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for word in words:
        key, _, value = word.partition("=")
        if not key:
            raise UsageError(f"--label: {word!r} is not KEY=VALUE")
        labels[key] = value
    return labels


def _allowed(words: tuple[str, ...]) -> frozenset[str]:
    found = frozenset(part for word in words for part in word.split(","))
    for word in found - {"security.insecure", "network.host"}:
        raise UsageError(f"--allow does not know {word!r}", "there are security.insecure and network.host")
    return found


def _proxies(arguments: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """What reaches every RUN without being part of any image or cache key: our proxies, as buildah has it."""
    found = {name: ours[name] for base in _PROXIES for name in (base, base.upper()) if ours.get(name)}
    return found | {name: value for name, value in arguments.items() if name.lower() in _PROXIES}


def _secrets(words: tuple[str, ...], agents: tuple[str, ...], ours: Mapping[str, str]) -> "Secrets":
    from polyarch.builder import Secrets

    secrets: dict[str, bytes] = {}
    for word in words:
        fields = dict(field.partition("=")[::2] for field in word.split(","))
        name = fields.get("id", "")
        source = fields.get("src") or fields.get("source")
        variable = fields.get("env")
        unknown = set(fields) - {"id", "src", "source", "env", "type"}
        if not name or unknown:
            raise UsageError(f"--secret: {word!r} is not a secret", "it reads id=ID,src=FILE or id=ID,env=NAME")
        if source is None and (variable or fields.get("type") == "env" or name in ours):
            value = ours.get(variable or name)
            if value is None:
                raise NotFoundError(f"--secret: the variable {variable or name} is not set")
            secrets[name] = value.encode("utf-8", "surrogateescape")
            continue
        path = Path(source or name).expanduser()
        try:
            secrets[name] = path.read_bytes()
        except OSError as error:
            raise NotFoundError(f"--secret: {path}: {error.strerror}", "src= names the file of the secret") from error
    sockets: dict[str, str] = {}
    for word in agents:
        name, _, path_word = word.partition("=")
        socket = path_word or ours.get("SSH_AUTH_SOCK", "")
        if not socket:
            raise NotFoundError(
                "--ssh: SSH_AUTH_SOCK is not set", "start an ssh-agent, or name its socket: --ssh default=SOCKET"
            )
        if not Path(socket).is_socket():
            raise UsageError(f"--ssh: {socket} is not a socket", "add the key to an ssh-agent, and name its socket")
        sockets[name] = socket
    return Secrets(secrets, sockets)


def _is_remote(word: str) -> bool:
    """Whether a context is a URL or a repository, which the builder fetches."""
    return "://" in word or word.startswith(("git@", "github.com/"))
