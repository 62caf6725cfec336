"""Variables in the values of a file, and the types that values have afterwards: `${N}` for a port is a number."""

from collections.abc import Callable, Mapping
from typing import Any

from polyarch.compose.interpolate import TemplateError, Unset, substituted
from polyarch.compose.paths import PathTable
from polyarch.compose.places import ComposePlaces, TreePath

_BOOLEANS = {**dict.fromkeys(("true", "y", "yes", "on"), True), **dict.fromkeys(("false", "n", "no", "off"), False)}


def boolean(text: str) -> bool:
    """A boolean in the words of YAML 1.1. Raises ValueError."""
    found = _BOOLEANS.get(text.lower())
    if found is None:
        raise ValueError(f"{text!r} is neither true nor false")
    return found


def integer(text: str) -> int:
    """A number in decimal. Raises ValueError."""
    if not text.lstrip("+-").isdecimal() or not text.isascii() or text[1:].startswith(("+", "-")):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def number(text: str) -> float:
    """A number. Raises ValueError."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


def _of_services(names: str) -> tuple[str, ...]:
    return tuple(f"services.*.{name}" for name in names.split())


_CASTS: PathTable[Callable[[str], object]] = PathTable(
    {
        **dict.fromkeys(
            _of_services(
                "cpu_count cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares deploy.replicas "
                "deploy.update_config.parallelism deploy.rollback_config.parallelism "
                "deploy.restart_policy.max_attempts deploy.placement.max_replicas_per_node healthcheck.retries "
                "oom_score_adj pids_limit ports.[].target scale ulimits.* ulimits.*.hard ulimits.*.soft"
            ),
            integer,
        ),
        **dict.fromkeys(
            _of_services(
                "cpu_percent cpus deploy.update_config.max_failure_ratio deploy.rollback_config.max_failure_ratio"
            ),
            number,
        ),
        **dict.fromkeys(
            _of_services(
                "init healthcheck.disable oom_kill_disable privileged read_only stdin_open tty volumes.[].read_only "
                "volumes.[].volume.nocopy"
            )
            + tuple(
                f"{kind}.*.{name}"
                for kind, names in (
                    ("networks", "external internal attachable enable_ipv4 enable_ipv6"),
                    ("volumes", "external"),
                    ("secrets", "external"),
                    ("configs", "external"),
                )
                for name in names.split()
            ),
            boolean,
        ),
    }
)


class Interpolation:
    """Replaces the variables of a tree. Without variables, only the types of values change."""

    def __init__(self, variables: Mapping[str, str] | None, places: ComposePlaces, unset: Unset) -> None:
        self._variables = variables
        self._places = places
        self._unset = unset

    def applied(self, value: Any, path: TreePath = ()) -> Any:
        """The tree with the values of variables. Raises ComposeError."""
        if isinstance(value, dict):
            return {key: self.applied(one, (*path, key)) for key, one in value.items()}
        if isinstance(value, list):
            return [self.applied(one, (*path, index)) for index, one in enumerate(value)]
        if not isinstance(value, str) or self._variables is None:
            return value
        try:
            text = substituted(value, self._variables, self._unset)
        except TemplateError as error:
            raise self._places.error(path, error.reason, error.hint) from None
        cast = _CASTS.at(path)
        if cast is None:
            return text
        try:
            return cast(text)
        except ValueError as error:
            raise self._places.error(path, str(error)) from None
