"""The config of an image as rows to show."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from polyarch.oci.config import ImageConfig

_MILLION = 1_000_000_000


class Setting(msgspec.Struct, frozen=True):
    """A setting: the name of its text in `texts`, and its values, one a line. `words` are the names of texts."""

    key: str
    values: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


def settings(config: ImageConfig) -> tuple[Setting, ...]:
    """What decides how a container of the image runs, without environment and labels."""
    return tuple(_settings(config.run, str(config.document.get("author") or "")))


def _settings(run: Mapping[str, Any], author: str) -> Iterator[Setting]:
    yield Setting("entrypoint", _command(run.get("Entrypoint")))
    yield Setting("command", _command(run.get("Cmd")))
    user = _texts(run.get("User"))
    yield Setting("user", user, () if user else ("root_user",))
    yield Setting("workdir", _texts(run.get("WorkingDir")))
    yield Setting("ports", _keys(run.get("ExposedPorts")))
    yield Setting("volumes", _keys(run.get("Volumes")))
    yield from _health(run.get("Healthcheck"))
    for key, name in (("stop_signal", "StopSignal"), ("onbuild", "OnBuild")):
        if found := _texts(run.get(name)):
            yield Setting(key, found)
    if shell := _command(run.get("Shell")):
        yield Setting("shell", shell)
    if author:
        yield Setting("author", (author,))


def environment(config: ImageConfig) -> tuple[tuple[str, str], ...]:
    """The variables, in the order of the config."""
    return tuple(config.env.items())


def labels(config: ImageConfig) -> tuple[tuple[str, str], ...]:
    """The labels, sorted by name."""
    return tuple(sorted((str(name), _shown(value)) for name, value in config.labels.items()))


def _health(check: object) -> Iterator[Setting]:
    """The health check as a HEALTHCHECK of a Dockerfile has it. Durations are in nanoseconds (docker's API)."""
    if not isinstance(check, dict) or not check.get("Test"):
        return
    test = check["Test"] if isinstance(check["Test"], list) else [check["Test"]]
    if test[:1] == ["NONE"]:
        yield Setting("healthcheck", (), ("health_disabled",))
        return
    command = str(test[1]) if test[:1] == ["CMD-SHELL"] and len(test) == 2 else _shown(test[1:])
    options = [
        f"--{name}={value / _MILLION:g}s"
        for name, field in (
            ("interval", "Interval"),
            ("timeout", "Timeout"),
            ("start-period", "StartPeriod"),
            ("start-interval", "StartInterval"),
        )
        if isinstance(value := check.get(field), int) and value
    ]
    options += [f"--retries={check['Retries']}"] if check.get("Retries") else []
    yield Setting("healthcheck", tuple(filter(None, (command, " ".join(options)))))


def _command(value: object) -> tuple[str, ...]:
    """A command in its exec form, or as it is if it is a text."""
    return (_shown(value),) if value else ()


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(_shown(one) for one in value)
    return (_shown(value),) if value else ()


def _keys(value: object) -> tuple[str, ...]:
    return tuple(sorted(map(str, value))) if isinstance(value, dict) else ()


def _shown(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
