"""Files → one tree: variables, include, extends, merge, check, canonical form. The order is that of the Compose
Specification's loader.
"""

import posixpath
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from polyarch.bake.hcl.source import Span, decoded
from polyarch.compose import canonical, combine, envfile, yamlfile
from polyarch.compose.casts import Interpolation
from polyarch.compose.check import Checker
from polyarch.compose.extends import Extends
from polyarch.compose.paths import PathTable
from polyarch.compose.places import ComposeError, ComposePlaces, PlacedFile, TreePath
from polyarch.errors import NotFoundError, UsageError

_LARGEST = 8 << 20
_RESOURCES = ("services", "volumes", "networks", "secrets", "configs", "models")
_DEEPEST_INCLUDE = 50

Warn = Callable[[str], None]


class ComposeFile(msgspec.Struct, frozen=True):
    """One file: its absolute path, or `-` for standard input, and its text."""

    path: str
    text: str


class LoadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What loading depends on besides the files. `directory` is the project's, `home` stands for `~` in paths. With
    `builds_only`, what is not about builds is not read.
    """

    directory: str
    environment: Mapping[str, str] = {}
    home: str = ""
    interpolate: bool = True
    absolute: bool = True
    builds_only: bool = False
    warn: Warn = lambda message: None


def read(path: str) -> ComposeFile:
    """A file. Raises NotFoundError, and UsageError for a file that is not text or is too large."""
    return ComposeFile(path, text_of(path))


def text_of(path: str) -> str:
    """The text of a file. Raises as `read`."""
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    return decoded(content, path, "compose file", _LARGEST)


class ComposeLoader:
    """Loads the files of a project. `places` has the places of everything that was read."""

    def __init__(self, options: LoadOptions) -> None:
        self._options = options
        self.places = ComposePlaces()
        self._unset: set[str] = set()

    def load(self, files: Sequence[ComposeFile]) -> dict[str, Any]:
        """The tree of all files, in canonical form. Raises ComposeError, NotFoundError."""
        try:
            return self._model(files, self._options.directory, self._options.environment, ())
        except RecursionError:
            raise ComposeError("the files are nested too deeply: values, extends or include") from None

    def _warn_unset(self, name: str) -> None:
        if name not in self._unset:
            self._unset.add(name)
            self._options.warn(f"the variable {name} is not set, and is replaced by an empty text")

    def _model(
        self, files: Sequence[ComposeFile], directory: str, environment: Mapping[str, str], included: Sequence[str]
    ) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for file in files:
            tree = self._with_file(tree, file, directory, environment, included)
        tree = canonical.with_defaults(tree)
        _check_values(tree, self.places)
        if self._options.absolute:
            tree = canonical.with_absolute_paths(tree, directory, self._options.home)
        _resolve(tree, environment)
        return tree

    def _with_file(
        self,
        tree: dict[str, Any],
        file: ComposeFile,
        directory: str,
        environment: Mapping[str, str],
        included: Sequence[str],
    ) -> dict[str, Any]:
        """The tree with a file on top."""
        placed = PlacedFile(file.path, file.text)
        self.places.add(placed)
        for document in yamlfile.documents(placed):
            upper = self._checked(document.value, environment, placed)
            if upper is None:
                continue
            upper = self._with_includes(upper, document.resets, directory, environment, (*included, file.path))
            combine.reset(tree, document.resets)
            extends = Extends(lambda path: self._services_of(path, environment), posixpath.dirname(file.path) or ".")
            upper = self._located(extends.applied, upper, file.path, document.resets)
            tree = self._located(combine.merged, tree, upper)
            tree = self._located(combine.without_duplicates, tree)
            Checker(self.places, complete=True).check(tree)
            if tree.pop("version", None) is not None:
                self._options.warn(f"{file.path}: the key version is obsolete and has no effect")
            tree = self._located(self._canonical, tree)
            tree = self._located(combine.without_duplicates, canonical.without_empty(tree))
        return tree

    def _canonical(self, tree: dict[str, Any]) -> Any:
        return canonical.canonical(tree, lenient=not self._options.interpolate)

    def _located(self, step: Callable[..., dict[str, Any]], *values: Any) -> dict[str, Any]:
        """Run a step; an error that begins with a path gets the place of it."""
        try:
            return step(*values)
        except ComposeError as error:
            raise located(error, self.places) from None

    def _checked(self, value: Any, environment: Mapping[str, str], file: PlacedFile) -> dict[str, Any] | None:
        """The tree of a document with the values of its variables; it fits the grammar. None for an empty document."""
        if value is None:
            return None
        if not isinstance(value, dict):
            at = Span(file.source, 0, 1)
            raise ComposeError("a compose file must be a mapping", "as in services: …", at=at)
        if self._options.builds_only:
            value = _about_builds(value)
        variables = environment if self._options.interpolate else None
        tree = Interpolation(variables, self.places, self._warn_unset).applied(value)
        Checker(self.places, complete=False).check(tree)
        return {key: one for key, one in tree.items() if one is not None}

    def _services_of(self, path: str, environment: Mapping[str, str]) -> tuple[dict[str, Any], tuple[TreePath, ...]]:
        """The services of a file that others extend, with paths relative to it made absolute."""
        placed = PlacedFile(path, text_of(path))
        self.places.add(placed)
        tree: dict[str, Any] = {}
        resets: tuple[TreePath, ...] = ()
        for document in yamlfile.documents(placed):
            upper = self._checked(document.value, environment, placed)
            if upper is not None:
                combine.reset(tree, document.resets)
                tree = self._located(combine.merged, tree, upper)
                tree = self._located(self._canonical, self._located(combine.without_duplicates, tree))
                tree = canonical.without_empty(tree)
                resets = (*resets, *document.resets)
        directory = posixpath.dirname(path) or "."
        return canonical.with_absolute_paths(tree, directory, self._options.home).get("services") or {}, resets

    def _with_includes(
        self,
        tree: dict[str, Any],
        resets: tuple[TreePath, ...],
        directory: str,
        environment: Mapping[str, str],
        included: Sequence[str],
    ) -> dict[str, Any]:
        """The tree on top of the projects that it includes."""
        for entry in tree.pop("include", None) or ():
            lower = self._included(entry, directory, environment, included)
            combine.reset(lower, resets)
            for kind in _RESOURCES:
                known = tree.get(kind) or {}
                for name, resource in (lower.get(kind) or {}).items():
                    path = (kind, name)
                    known[name] = combine.merged(resource, known[name], path) if name in known else resource
                if known:
                    tree[kind] = known
        return tree

    def _included(
        self, entry: Any, directory: str, environment: Mapping[str, str], included: Sequence[str]
    ) -> dict[str, Any]:
        """The tree of an include, with its own directory and variables."""
        given = {"path": entry} if isinstance(entry, str) else entry
        named = given.get("path") or ()
        paths = [posixpath.join(directory, one) for one in ([named] if isinstance(named, str) else named)]
        if not paths:
            raise self.places.error(("include",), "an include has no path")
        paths = [posixpath.normpath(path) for path in paths]
        if paths[0] in included or len(included) > _DEEPEST_INCLUDE:
            raise self.places.error(("include",), f"the files include each other: {' → '.join((*included, paths[0]))}")
        project = given.get("project_directory")
        own = posixpath.normpath(posixpath.join(directory, project)) if project else posixpath.dirname(paths[0])
        variables = {**self._variables_of(given.get("env_file"), directory, own, environment), **environment}
        files = [read(path) for path in paths]
        return self._model(files, own, variables, included)

    def _variables_of(
        self, env_file: Any, directory: str, own: str, environment: Mapping[str, str]
    ) -> Mapping[str, str]:
        names = [env_file] if isinstance(env_file, str) else env_file or ()
        paths = [posixpath.normpath(posixpath.join(directory, name)) for name in names if name != "/dev/null"]
        if not names and Path(own, ".env").is_file():
            paths = [posixpath.join(own, ".env")]
        return env_files(paths, environment, self._warn_unset)


_TOP = ("name", "include", "services", "secrets")
_OF_SERVICES = ("image", "build", "environment", "env_file", "extends", "provider")


def _about_builds(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a file that bake reads."""
    found = {key: one for key, one in tree.items() if key in _TOP}
    services = found.get("services")
    if isinstance(services, dict):
        found["services"] = {
            name: {key: value for key, value in one.items() if key in _OF_SERVICES} if isinstance(one, dict) else one
            for name, one in services.items()
        }
    return found


def env_files(paths: Sequence[str], environment: Mapping[str, str], unset: Warn) -> dict[str, str]:
    """The variables of files; those of a later file win. Raises NotFoundError, ComposeError."""
    found: dict[str, str] = {}
    for path in paths:
        found = envfile.parse(path, text_of(path), environment.get, found, unset)
    return found


def located(error: ComposeError, places: ComposePlaces) -> ComposeError:
    """The same error with the place of the path that its reason begins with."""
    if error.at is not None:
        return error
    parts = error.reason.partition(":")[0].replace("[", ".[").split(".")
    path = tuple(int(one[1:-1]) if one[:1] == "[" and one[1:-1].isdigit() else one for one in parts)
    return ComposeError(error.reason, error.hint, at=places.of(path))


def _resolve(tree: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Take the values of variables that services list by name only from the environment."""
    for service in (tree.get("services") or {}).values():
        listed = service.get("environment") if isinstance(service, dict) else None
        if isinstance(listed, list):
            service["environment"] = [f"{one}={environment[one]}" if one in environment else one for one in listed]


_Check = Callable[[Any], str | None]


def _check_values(tree: Any, places: ComposePlaces, path: TreePath = ()) -> None:
    """Raise ComposeError for values that contradict each other."""
    check = _CHECKS.at(path)
    reason = check(tree) if check is not None and tree is not None else None
    if reason:
        raise places.error(path, reason)
    if isinstance(tree, dict):
        for key, one in tree.items():
            _check_values(one, places, (*path, key))
    elif isinstance(tree, list):
        for index, one in enumerate(tree):
            _check_values(one, places, (*path, index))


def _external(value: Any) -> str | None:
    if value.get("external") is True:
        others = [key for key in value if key not in ("name", "external") and not key.startswith("x-")]
        if others:
            return f"it is external, so it cannot have {others[0]}"
    return None


def _content(*keys: str) -> _Check:
    def check(value: Any) -> str | None:
        given = [key for key in keys if key in value]
        if len(given) > 1:
            return f"only one of {', '.join(given)} can be set"
        if not given and not value.keys() & {"driver", "external"}:
            return f"one of {', '.join(keys)} must be set"
        return None

    return check


def _address(value: Any) -> str | None:
    from ipaddress import ip_address

    if not isinstance(value, dict):
        return None  # a short form whose variables are not replaced
    address = value.get("host_ip")
    try:
        ip_address(address or "::")
    except ValueError:
        return f"{address} is not an address"
    return None


def _devices(value: Any) -> str | None:
    return "only one of count and device_ids can be set" if {"count", "device_ids"} <= value.keys() else None


_CHECKS: PathTable[_Check] = PathTable(
    {
        "volumes.*": _external,
        "configs.*": _content("file", "environment", "content"),
        "secrets.*": _content("file", "environment"),
        "services.*.ports.[]": _address,
        "services.*.develop.watch.[].path": lambda value: None if value else "it is empty",
        "services.*.deploy.resources.reservations.devices.[]": _devices,
        "services.*.gpus.[]": _devices,
    }
)
