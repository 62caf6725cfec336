"""YAML files of container-structure-test (schema 2.0.0), read into the same tests.

Expected and excluded texts are regular expressions there. A file has no port and no platform of its own.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from polyarch.errors import UnsupportedError
from polyarch.imagetest.places import FilePlaces, TestFileError, TreePath
from polyarch.imagetest.values import ConfigCheck, ExpandedVariables, Expectation, FileCheck, ImageTest, TextCheck

_SCHEMA = "2.0.0"
_MOST_VALUES = 100_000
# As `ls -l` and as Go (io/fs, FileMode.String) write them: Go has set-id bits and the sticky bit as letters before.
_RIGHTS = re.compile("(?:[-dlbcps]?|([dLDpSugct]*-?))([r-][w-][xsS-])([r-][w-][xsS-])([r-][w-][xtT-])")
_SPECIAL = {"u": 0o4000, "g": 0o2000, "t": 0o1000}
_EXECUTORS = ("owner", "group", "other", "any")


class _PairForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    key: str
    value: str = ""
    is_regex: bool = False


class _CommandForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    name: str
    setup: tuple[tuple[str, ...], ...] = ()
    teardown: tuple[tuple[str, ...], ...] = ()
    env_vars: tuple[_PairForm, ...] = ()
    command: str
    args: tuple[str, ...] = ()
    expected_output: tuple[str, ...] = ()
    excluded_output: tuple[str, ...] = ()
    expected_error: tuple[str, ...] = ()
    excluded_error: tuple[str, ...] = ()
    exit_code: int = 0


class _ExistenceForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    name: str
    path: str
    should_exist: bool = True
    permissions: str = ""
    uid: int | None = None
    gid: int | None = None
    is_executable_by: str = ""


class _ContentForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    name: str
    path: str
    expected_contents: tuple[str, ...] = ()
    excluded_contents: tuple[str, ...] = ()


class _MetadataForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    env: tuple[_PairForm, ...] = ()
    env_vars: tuple[_PairForm, ...] = ()
    unbound_env_vars: tuple[_PairForm, ...] = ()
    labels: tuple[_PairForm, ...] = ()
    exposed_ports: tuple[str, ...] = ()
    unexposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    unmounted_volumes: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    workdir: str | None = None
    user: str | None = None


class _RunOptionsForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    user: str = ""


class _StructureTests(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    schema_version: str = ""
    global_env_vars: tuple[_PairForm, ...] = ()
    command_tests: tuple[_CommandForm, ...] = ()
    file_existence_tests: tuple[_ExistenceForm, ...] = ()
    file_content_tests: tuple[_ContentForm, ...] = ()
    metadata_test: _MetadataForm | None = None
    container_run_options: _RunOptionsForm = _RunOptionsForm()


def parse(name: str, text: str) -> tuple[ImageTest, ...]:
    """The tests of a file with this name and text. Raises TestFileError, and UnsupportedError without PyYAML."""
    document, places = _read(name, text)
    if not isinstance(document, dict):
        raise TestFileError(f"{name}: this is not a mapping of tests")
    version = document.get("schemaVersion", "")
    if str(version) != _SCHEMA:
        raise places.error(("schemaVersion",), f"schemaVersion is {version!r}", f"only {_SCHEMA} is read")
    if "licenseTests" in document:
        raise places.error(("licenseTests",), "licenseTests are not supported", "'polyarch sbom' lists the licences")
    try:
        found = msgspec.convert(document, _StructureTests, strict=False)
    except msgspec.ValidationError as error:
        raise _explained(error, places) from None
    tests = tuple(_tests(found, places))
    if not tests:
        raise TestFileError(f"{name}: there are no tests in it")
    return tests


def _tests(file: _StructureTests, places: FilePlaces) -> Iterator[ImageTest]:
    env = {pair.key: pair.value for pair in file.global_env_vars}
    user = file.container_run_options.user
    for number, command in enumerate(file.command_tests):
        at: TreePath = ("commandTests", number)
        yield ImageTest(
            name=command.name,
            run=(command.command, *command.args),
            before=command.setup,
            after=command.teardown,
            env=ExpandedVariables(env | {pair.key: pair.value for pair in command.env_vars}),
            user=user,
            expect=Expectation(
                exit=command.exit_code,
                stdout=_text(command.expected_output, command.excluded_output, places, (*at, "expectedOutput")),
                stderr=_text(command.expected_error, command.excluded_error, places, (*at, "expectedError")),
            ),
            place=places.of(at),
        )
    for number, existence in enumerate(file.file_existence_tests):
        at = ("fileExistenceTests", number)
        check = _existence(existence, places, at)
        yield ImageTest(name=existence.name, expect=Expectation(files=(check,)), place=places.of(at))
    for number, content in enumerate(file.file_content_tests):
        at = ("fileContentTests", number)
        text = _text(content.expected_contents, content.excluded_contents, places, (*at, "expectedContents"))
        check = FileCheck(path=_rooted(content.path), kind="file", content=text)
        yield ImageTest(name=content.name, expect=Expectation(files=(check,)), place=places.of(at))
    if file.metadata_test is not None:
        expect = Expectation(config=_config(file.metadata_test, places))
        yield ImageTest(name="metadata", expect=expect, place=places.of(("metadataTest",)))


def _existence(form: _ExistenceForm, places: FilePlaces, at: TreePath) -> FileCheck:
    mode = None
    if form.permissions:
        rights = _RIGHTS.fullmatch(form.permissions)
        if rights is None:
            reason = f"{form.permissions!r} is not a mode"
            raise places.error((*at, "permissions"), reason, "as 'ls -l' shows it: -rwxr-xr-x")
        letters, *groups = rights.groups()
        mode = _mode(groups) | sum(bit for letter, bit in _SPECIAL.items() if letter in (letters or ""))
    if form.is_executable_by and form.is_executable_by not in _EXECUTORS:
        raise places.error((*at, "isExecutableBy"), f"{form.is_executable_by!r} is none of {', '.join(_EXECUTORS)}")
    return FileCheck(
        path=_rooted(form.path),
        exists=form.should_exist,
        owner=None if form.uid is None else str(form.uid),
        group=None if form.gid is None else str(form.gid),
        mode=mode,
        executable_by=form.is_executable_by or None,  # type: ignore[arg-type]
    )


def _mode(rights: Sequence[str]) -> int:
    """The permissions of three groups such as `rwx`, with set-id bits and the sticky bit."""
    mode = 0
    for shift, special, group in ((6, 0o4000, rights[0]), (3, 0o2000, rights[1]), (0, 0o1000, rights[2])):
        bits = (4 if group[0] == "r" else 0) | (2 if group[1] == "w" else 0) | (1 if group[2] in "xst" else 0)
        mode |= bits << shift | (special if group[2] in "sStT" else 0)
    return mode


def _config(form: _MetadataForm, places: FilePlaces) -> ConfigCheck:
    at: TreePath = ("metadataTest",)
    env: dict[str, TextCheck | None] = {
        pair.key: _value(pair, places, (*at, "envVars")) for pair in (*form.env, *form.env_vars)
    }
    return ConfigCheck(
        user=form.user,
        workdir=form.workdir,
        entrypoint=form.entrypoint,
        cmd=form.cmd,
        env=env | {pair.key: None for pair in form.unbound_env_vars},
        labels={pair.key: _value(pair, places, (*at, "labels")) for pair in form.labels},
        ports=tuple(map(_port, form.exposed_ports)),
        lacks_ports=tuple(map(_port, form.unexposed_ports)),
        volumes=form.volumes,
        lacks_volumes=form.unmounted_volumes,
    )


def _value(pair: _PairForm, places: FilePlaces, at: TreePath) -> TextCheck | None:
    return _text((pair.value,), (), places, at) if pair.is_regex else TextCheck(equals=pair.value)


def _text(expected: tuple[str, ...], excluded: tuple[str, ...], places: FilePlaces, at: TreePath) -> TextCheck | None:
    """The check of regular expressions, in which `.` and `$` are as in Go."""
    for pattern in (*expected, *excluded):
        try:
            re.compile(pattern)
        except re.error as error:
            raise places.error(at, f"{pattern!r} is not a regular expression: {error}") from None
    return TextCheck(matches=expected, lacks_matches=excluded) if expected or excluded else None


def _port(port: str) -> str:
    return port if "/" in port else f"{port}/tcp"


def _rooted(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"


def _explained(error: msgspec.ValidationError, places: FilePlaces) -> TestFileError:
    from polyarch.imagetest.testfile import path_of

    reason, path = path_of(error)
    if unknown := re.search("unknown field `(.*)`", reason):
        return places.error((*path, unknown[1]), f"unknown key {unknown[1]}")
    return places.error(path, f"{reason[:1].lower()}{reason[1:]}")


def _read(name: str, text: str) -> tuple[Any, FilePlaces]:
    try:
        import yaml
    except ImportError:
        raise UnsupportedError(
            f"{name} needs PyYAML, which is not installed", "install it with: pip install 'polyarch[compose]'"
        ) from None
    marks: dict[TreePath, tuple[int, int]] = {}
    left = [_MOST_VALUES]
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        value = _value_of(node, (), marks, left, yaml) if node is not None else {}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise TestFileError(f"{name}{where}: invalid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise TestFileError(f"{name}: invalid YAML: {error}") from None
    return value, FilePlaces(name, marks)


def _value_of(node: Any, path: TreePath, marks: dict[TreePath, tuple[int, int]], left: list[int], yaml: Any) -> Any:
    """The value of a YAML node. Aliases are copied, and so the number of values is bounded."""
    left[0] -= 1
    if left[0] < 0:
        raise ValueError(f"more than {_MOST_VALUES} values")
    if path:
        marks.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
    if isinstance(node, yaml.MappingNode):
        found: Mapping[str, Any] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in found:
                raise ValueError(f"the key {name} appears twice in line {key.start_mark.line + 1}")
            marks[(*path, name)] = (key.start_mark.line + 1, key.start_mark.column + 1)
            found = {**found, name: _value_of(value, (*path, name), marks, left, yaml)}
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_value_of(value, (*path, index), marks, left, yaml) for index, value in enumerate(node.value)]
    return None if node.tag.endswith(":null") else str(node.value)
