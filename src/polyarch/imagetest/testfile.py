"""`tests.toml`: reads the tests of a file in Polyarch's own form, which docs/reference/test-files.md describes."""

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from polyarch.dockerfile.instructions.healthcheck import duration
from polyarch.errors import PolyarchError
from polyarch.imagetest import tomlfile
from polyarch.imagetest.places import FilePlaces, TestFileError, TreePath
from polyarch.imagetest.values import (
    DEFAULT_GRACE,
    DEFAULT_TIMEOUT,
    ConfigCheck,
    Expectation,
    FileCheck,
    HttpCheck,
    ImageTest,
    TextCheck,
)
from polyarch.oci import platform as platforms

_Words = str | tuple[str, ...]
_Text = str | tuple[str, ...] | TextCheck
_Seconds = str | float
_PATH = re.compile(r"\.([A-Za-z0-9_-]+)|\[(\d+)\]|\[\.\.\.\]")
_UNKNOWN = re.compile(r"unknown field `(.*)`")


class _FileForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    path: str
    exists: bool = True
    kind: Literal["file", "directory", "symlink"] | None = None
    owner: str | int | None = None
    group: str | int | None = None
    mode: str | None = None
    executable: Literal["owner", "group", "other", "any"] | None = None
    content: _Text | None = None


class _HttpForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    path: str = "/"
    method: str = "GET"
    headers: dict[str, str] = {}
    send: str = ""
    status: int | None = 200
    body: _Text | None = None


class _ConfigForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: str | None = None
    workdir: str | None = None
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    env: dict[str, _Text] = {}
    labels: dict[str, _Text] = {}
    ports: tuple[str | int, ...] = ()
    volumes: tuple[str, ...] = ()


class _ExpectForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    exit: int | None = None
    stdout: _Text | None = None
    stderr: _Text | None = None
    http: str | _HttpForm | tuple[_HttpForm, ...] = ()
    file: tuple[_FileForm, ...] = ()
    config: _ConfigForm | None = None


class _TestForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    image: str = ""
    platforms: tuple[str, ...] = ()
    run: _Words = ()
    start: bool | tuple[str, ...] = False
    port: int = 0
    command: _Words = ()
    before: tuple[_Words, ...] = ()
    after: tuple[_Words, ...] = ()
    env: dict[str, str] = {}
    user: str = ""
    workdir: str = ""
    timeout: _Seconds | None = None
    grace: _Seconds | None = None
    expect: _ExpectForm = _ExpectForm()


class _TestFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    image: str = ""
    platforms: tuple[str, ...] = ()
    timeout: _Seconds | None = None
    test: tuple[_TestForm, ...] = ()


_FORMS: Mapping[str, type[msgspec.Struct]] = {
    "": _TestFile,
    "test": _TestForm,
    "expect": _ExpectForm,
    "file": _FileForm,
    "http": _HttpForm,
    "config": _ConfigForm,
}


def parse(name: str, text: str) -> tuple[ImageTest, ...]:
    """The tests of a file with this name and text. Raises TestFileError that names file, line and column."""
    document, places = tomlfile.read(name, text)
    try:
        found = msgspec.convert(document, _TestFile)
    except msgspec.ValidationError as error:
        raise _explained(error, places) from None
    if not found.test:
        raise places.error((), "there are no tests in it", 'a test begins with [[test]] and has a name = "…"')
    seen: dict[str, int] = {}
    tests = []
    for number, form in enumerate(found.test):
        if form.name in seen:
            raise places.error(("test", number, "name"), f"a second test has the name {form.name!r}")
        seen[form.name] = number
        tests.append(_FormReader(places, ("test", number)).test(form, found))
    return tuple(tests)


def path_of(error: msgspec.ValidationError) -> tuple[str, TreePath]:
    """The reason and the path of msgspec's error, as in "Expected `int`, got `str` - at `$.test[0].port`"."""
    reason, _, at = str(error).partition(" - at `$")
    return reason, tuple(key or int(index) for key, index in _PATH.findall(at.rstrip("`")) if key or index)


def _explained(error: msgspec.ValidationError, places: FilePlaces) -> TestFileError:
    reason, path = path_of(error)
    if unknown := _UNKNOWN.search(reason):
        form = _FORMS.get(next((str(key) for key in reversed(path) if isinstance(key, str)), ""), TextCheck)
        return places.unknown(path, unknown[1], form.__struct_encode_fields__)
    shown = ".".join(str(key) for key in path if isinstance(key, str))
    return places.error(path, f"{shown}: {reason[:1].lower()}{reason[1:]}" if shown else reason)


class _FormReader:
    """Turns the form of one test into a test."""

    def __init__(self, places: FilePlaces, path: TreePath) -> None:
        self._places = places
        self._path = path

    def test(self, form: _TestForm, file: _TestFile) -> ImageTest:
        start = form.start
        test = ImageTest(
            name=form.name,
            image=form.image or file.image,
            platforms=form.platforms or file.platforms,
            run=_argv(form.run),
            start=(() if start else None) if isinstance(start, bool) else start,
            port=form.port,
            command=_argv(form.command),
            before=tuple(map(_argv, form.before)),
            after=tuple(map(_argv, form.after)),
            env=form.env,
            user=form.user,
            workdir=form.workdir,
            timeout=self._seconds("timeout", form.timeout, file.timeout, DEFAULT_TIMEOUT),
            grace=self._seconds("grace", form.grace, None, DEFAULT_GRACE),
            expect=self._expectation(form.expect),
            place=self._places.of(self._path),
        )
        self._require_sense(test)
        return test

    def _expectation(self, form: _ExpectForm) -> Expectation:
        return Expectation(
            exit=form.exit,
            stdout=self._text(form.stdout, "stdout"),
            stderr=self._text(form.stderr, "stderr"),
            http=self._http(form),
            files=tuple(self._file(check, index) for index, check in enumerate(form.file)),
            config=self._config(form.config) if form.config else None,
        )

    def _require_sense(self, test: ImageTest) -> None:
        for word in test.platforms:
            try:
                platforms.parse(word)
            except PolyarchError as error:
                raise self._error("platforms", error.message, error.hint) from None
        if not 0 <= test.port < 1 << 16:
            raise self._error("port", f"{test.port} is not a port", "ports go from 1 to 65535")
        expect = test.expect
        if test.run and (test.start is not None or test.port or test.command or expect.http):
            raise self._error(
                "run",
                "run is a command inside, instead of the image's own, which port, command and http need",
                "make two tests of it",
            )
        if not (test.starts or test.run or expect.files or expect.config):
            raise self._error(
                "name",
                f"{test.name!r} tests nothing",
                "give it run, start, port, command, or expect.http, file or config",
            )

    def _error(self, key: str, reason: str, hint: str | None = None) -> TestFileError:
        return self._places.error((*self._path, key), reason, hint)

    def _text(self, form: _Text | None, *keys: str | int) -> TextCheck | None:
        if isinstance(form, str):
            return TextCheck(contains=(form,))
        if isinstance(form, tuple):
            return TextCheck(contains=form)
        for pattern in (*form.matches, *form.lacks_matches) if form else ():
            try:
                re.compile(pattern)
            except re.error as error:
                raise self._places.error(
                    (*self._path, "expect", *keys), f"{pattern!r} is not a regular expression: {error}"
                ) from None
        return form

    def _http(self, form: _ExpectForm) -> tuple[HttpCheck, ...]:
        given = form.http
        checks = (
            (_HttpForm(path=given),) if isinstance(given, str) else (given,) if isinstance(given, _HttpForm) else given
        )
        for check in checks:
            if not check.path.startswith("/"):
                raise self._places.error(
                    (*self._path, "expect", "http"), f"the path {check.path!r} does not begin with /"
                )
        return tuple(
            HttpCheck(
                path=check.path,
                method=check.method,
                headers=check.headers,
                send=check.send,
                status=check.status,
                body=self._text(check.body, "http"),
            )
            for check in checks
        )

    def _file(self, form: _FileForm, index: int) -> FileCheck:
        at: TreePath = (*self._path, "expect", "file", index)
        if not form.path.startswith("/"):
            raise self._places.error((*at, "path"), f"the path {form.path!r} does not begin with /")
        if form.mode is not None and not re.fullmatch("0?[0-7]{3,4}", form.mode):
            raise self._places.error((*at, "mode"), f"{form.mode!r} is not a mode", 'as in "0755"')
        return FileCheck(
            path=form.path,
            exists=form.exists,
            kind=form.kind,
            owner=None if form.owner is None else str(form.owner),
            group=None if form.group is None else str(form.group),
            mode=None if form.mode is None else int(form.mode, 8),
            executable_by=form.executable,
            content=self._text(form.content, "file", index, "content"),
        )

    def _config(self, form: _ConfigForm) -> ConfigCheck:
        return ConfigCheck(
            user=form.user,
            workdir=form.workdir,
            entrypoint=form.entrypoint,
            cmd=form.cmd,
            env={name: self._exact(text, "config", "env", name) for name, text in form.env.items()},
            labels={name: self._exact(text, "config", "labels", name) for name, text in form.labels.items()},
            ports=tuple(f"{port}/tcp" if "/" not in str(port) else str(port) for port in form.ports),
            volumes=form.volumes,
        )

    def _exact(self, form: _Text, *keys: str) -> TextCheck | None:
        """A value that is written as a text is the whole value, unlike a part of an output."""
        return TextCheck(equals=form) if isinstance(form, str) else self._text(form, *keys)

    def _seconds(self, key: str, given: _Seconds | None, inherited: _Seconds | None, default: float) -> float:
        chosen = inherited if given is None else given
        if chosen is None:
            return default
        try:
            seconds = duration(chosen) / 1e9 if isinstance(chosen, str) else float(chosen)
        except PolyarchError:
            seconds = -1.0
        if not 0 < seconds <= 86_400:
            raise self._error(key, f"{chosen!r} is not a time of up to a day", 'seconds, or a text as in "1m30s"')
        return seconds


def _argv(words: _Words) -> tuple[str, ...]:
    """The words of a command. A text is for a shell, as in a Dockerfile."""
    return ("/bin/sh", "-c", words) if isinstance(words, str) else words
