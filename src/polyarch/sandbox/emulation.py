"""The platforms that this machine runs: natively, or with an emulator registered for this namespace alone."""

import contextlib
import errno
import threading
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from polyarch.errors import MachineError, UnsupportedError
from polyarch.oci import platform as platforms
from polyarch.oci.platform import Platform
from polyarch.sandbox import emulators, namespaces, probe, processors
from polyarch.sandbox.binfmt import BinfmtTable, host_emulators, host_registrations
from polyarch.sandbox.forked import in_child
from polyarch.sandbox.host import host_platform, least, related

# The platforms that docker buildx asks its builders for, and those of Debian's ports.
COMMON = "linux/amd64,linux/386,linux/arm64,linux/arm/v7,linux/arm/v6,linux/arm/v5,linux/riscv64,linux/ppc64le,"
COMMON += "linux/s390x,linux/mips64le,linux/mips64,linux/loong64"

_VARIANTS = {"amd64": ("v2", "v3", "v4"), "arm": ("v7", "v6", "v5")}
_HINT = "install the package qemu-user-static"
_UNCREDITED = "without the flag C, setuid programs (sudo, su) keep the caller's id: 'polyarch doctor' has the command"


class _Registered(msgspec.Struct, frozen=True):
    """A copy of an emulator that is registered, and the processors that it was made for."""

    copy: emulators.EmulatorCopy
    models: tuple[str, ...]


# State of the process, which has one namespace. `_table` is None until an emulator is registered. To copy and try an
# emulator takes long, so that has a lock of its own: programs that need no emulator start meanwhile.
_lock = threading.Lock()
_trying = threading.Lock()
_table: BinfmtTable | None = None
_examined = False
_registered: dict[str, str] = {}
_refused: dict[str, str] = {}
# Why the emulator of an architecture reads the variables of its programs; empty if it does not.
_isolated: dict[str, str] = {}
# The copies that are registered, and the numbers of all processors that they have been asked for.
_copied: dict[str, _Registered] = {}
# The emulators that the user has named, and what is wrong with them, if that has been examined.
_named: dict[str, str] = {}
_faults: dict[str, str] = {}
_answers = processors.Answers()
_proved: set[Platform] = set()
_native: dict[Platform, bool] = {}


class Support(msgspec.Struct, frozen=True):
    """How one platform runs here.

    `emulator` is the path of the emulator if `how` is "emulated". `hint` says what would help if it is "missing", or
    what emulated programs lack.
    """

    platform: Platform
    how: Literal["native", "emulated", "missing"]
    emulator: str = ""
    hint: str = ""

    def __str__(self) -> str:
        """How it runs, in words. The table of the host cannot be seen in a container, where its emulators work, too."""
        if self.how != "emulated":
            return self.how
        return f"emulated by {self.emulator}" if self.emulator else "run by the host"


def host_platforms() -> tuple[Platform, ...]:
    """Return the host's platform and the others that its processor and kernel run, as probes have shown."""
    host = host_platform()
    others = [
        Platform(os="linux", architecture=architecture, variant=variant)
        for architecture in related(host.architecture)
        for variant in _VARIANTS.get(architecture, ("",))
    ]
    return (host, *(other for other in others if other != host and runs_natively(other)))


def runs_natively(platform: Platform) -> bool:
    """Return whether the processor and kernel run programs of `platform` natively.

    A program is run once to find out.
    """
    wanted = platforms.normalize(platform)
    host = host_platform()
    if wanted.architecture not in related(host.architecture):
        return False
    if wanted not in _native:
        # A program of a related architecture may run only because the host has registered an emulator.
        emulated = wanted.architecture != host.architecture and wanted.architecture in host_emulators()
        _native[wanted] = not emulated and _runs(wanted)
    return _native[wanted]


def find_emulator(platform: Platform, search_path: str) -> str | None:
    """Return the path of a static qemu for `platform` on `search_path` (directories separated by colons), or None."""
    return emulators.find(platforms.normalize(platform).architecture, search_path)


def name(named: Mapping[str, str]) -> None:
    """Use these emulators, by the architecture (GOARCH) of their programs, before those on the search path."""
    with _lock:
        for architecture, path in named.items():
            if _named.get(architecture) != path:
                _named[architecture] = path
                _faults.pop(architecture, None)
                if architecture in _registered and not _fault(architecture):
                    _register(architecture, path)


def register_all(search_path: str) -> None:
    """Register every emulator of this machine in this process's namespace, once. The namespace has been entered.

    So the programs that a container can start do not depend on the platforms that were requested before. If a table of
    our own would hide host emulators that are not usable files here, the host's table stays in force.
    """
    global _examined
    with _lock:
        if _examined:
            return
        _examined = True
        hosts = {name: path for name, path in host_emulators().items() if not _is_native(name)}
        paths = {name: _found(name, search_path) or emulators.usable(hosts.get(name, "")) for name in emulators.QEMU}
        if all(paths.get(name) for name in hosts):
            for name, path in paths.items():
                if path and not _is_native(name):
                    _register(name, path)


def prepare(
    platform: Platform,
    search_path: str,
    copies: emulators.EmulatorCopies | None = None,
    model: str | None = None,
) -> Support:
    """Make `platform` run in this process's namespace, which has been entered. Thread-safe, and cheap if repeated.

    With `copies`, the emulator does not read the variables of its program, and can show the processor `model`, or that
    of the platform. Raises UnsupportedError, naming what is missing.
    """
    wanted = platforms.normalize(platform)
    if model is not None:
        _answers.number(wanted.architecture, model)
    result = _prepare(wanted, search_path, copies)
    if result.how == "missing":
        raise MachineError(f"this machine cannot run programs for {platform}", result.hint)
    if model and result.how == "emulated":
        _require(model, result)
    return result


def answer(platform: Platform, model: str | None = None) -> int:
    """Return what the seccomp profile of a container says to an emulator that asks which processor to show.

    `model` is the one that the options name, None for that of the platform.
    """
    wanted = platforms.normalize(platform)
    number = _answers.number(wanted.architecture, processors.baseline(wanted) if model is None else model)
    return processors.FIRST_ANSWER + number


def uncopied(
    wanted: Iterable[tuple[Platform, str | None]], search_path: str, copies: emulators.EmulatorCopies
) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Return the arguments of `copies.copy` for the copies that are missing, where `prepare` will make them.

    `wanted` are platforms, each with its `model` as in `prepare`.
    """
    listed = [(platforms.normalize(platform), model) for platform, model in wanted]
    for platform, model in listed:
        if model is not None:
            _answers.number(platform.architecture, model)
    found: dict[str, tuple[str, str, tuple[str, ...]]] = {}
    own = host_platform().architecture
    for platform in dict(listed):
        architecture = platform.architecture
        if architecture not in (own, *found) and not runs_natively(platform):
            with _lock:
                emulator = _found(architecture, search_path)
            if emulator is not None:
                found[architecture] = (emulator, architecture, _answers.table(architecture))
    return tuple(each for each in found.values() if not copies.has(*each))


def _require(model: str, found: Support) -> None:
    """Raise UnsupportedError unless the emulator shows the processor that the options name."""
    architecture = found.platform.architecture
    with _lock:
        reason, registered = _isolated.get(architecture, "the host has registered it"), _copied.get(architecture)
    if registered is None or reason:
        raise UnsupportedError(
            f"the emulator for {found.platform} cannot show the processor {model}: {reason}",
            "this needs a copy of the emulator: Linux 6.7 or later, and a static qemu from Debian or Ubuntu",
        )
    if model in registered.copy.unknown:
        raise UnsupportedError(
            f"{found.emulator} cannot show the processor {model}", f"those that it has: {found.emulator} -cpu help"
        )


def isolate(copies: emulators.EmulatorCopies) -> None:
    """Replace the registered emulators, if possible, by copies that read no variables of their programs."""
    with _lock:
        registered = dict(_registered)
    for architecture, emulator in registered.items():
        with _trying:
            _isolate(architecture, emulator, copies)


def why_not_isolated(architecture: str) -> str:
    """Return why the prepared emulator of `architecture` reads its program's variables; empty if it does not."""
    with _lock:
        return _isolated.get(architecture, "the host has registered it; registering a copy needs Linux 6.7 or later")


def emulator_of(platform: Platform) -> str:
    """Return the name and version of the emulator that runs `platform` here, such as "qemu-arm 7.2.22".

    It is empty for a platform that runs natively.
    """
    from polyarch.sandbox.versions import version

    if runs_natively(platform):
        return ""
    with _lock:
        path = _registered.get(platform.architecture, "") or host_emulators().get(platform.architecture, "")
    return version(path) if path else "the emulator"


def is_runnable(architecture: str) -> bool:
    """Return whether programs of `architecture` (GOARCH) run in this process's namespace in its current state."""
    with _lock:
        if architecture in _registered:
            return True
    return _runs(platforms.normalize(least(architecture)))


def support(wanted: Iterable[Platform], search_path: str) -> tuple[Support, ...]:
    """Return how each of these platforms runs here, as a tiny static program for each has shown.

    This process is not changed: unless it has entered its namespace, a child does the work.
    """
    listed = tuple(dict.fromkeys(platforms.normalize(platform) for platform in wanted))
    if namespaces.entered():
        return tuple(_prepare(platform, search_path) for platform in listed)
    what = "cannot find out which platforms run on this machine"
    return in_child(lambda: _in_a_namespace(listed, search_path), tuple[Support, ...], what)


def _in_a_namespace(wanted: tuple[Platform, ...], search_path: str) -> tuple[Support, ...]:
    try:
        namespaces.enter(search_path)
    except UnsupportedError as error:
        reason = f"{error.message}; {error.hint}" if error.hint else error.message
        return tuple(_without_a_table(platform, reason) for platform in wanted)
    return tuple(_prepare(platform, search_path) for platform in wanted)


def _prepare(platform: Platform, search_path: str, copies: emulators.EmulatorCopies | None = None) -> Support:
    if runs_natively(platform):
        return Support(platform, "native")
    architecture = platform.architecture
    if architecture not in probe.MACHINES or platform.os != "linux":
        return Support(platform, "missing", hint="no emulator exists for it")
    if architecture == host_platform().architecture:
        # An emulator registered for this architecture would also run the native programs.
        return Support(platform, "missing", hint="this machine's processor does not support this variant")
    register_all(search_path)
    with _lock:
        if fault := _fault(architecture):
            return Support(platform, "missing", hint=fault)
        hidden = _table is not None or architecture in _named
        if architecture not in _registered and (hidden or architecture not in host_emulators()):
            emulator = _found(architecture, search_path)
            if emulator is None:
                return _without_a_table(platform, f"{_HINT} (it brings qemu-{emulators.QEMU[architecture]}-static)")
            _register(architecture, emulator)
        if architecture not in _registered:
            reason = _refused.get(architecture, "the host's registration is in force")
            if architecture in _named:
                return Support(platform, "missing", hint=reason)
            return _without_a_table(platform, f"{reason}; alternatively, {_HINT} and binfmt-support on the host")
        emulator = _registered[architecture]
    with _trying:
        if copies is not None:
            _isolate(architecture, emulator, copies)
        # Starting an emulator takes at least 10 ms, so each platform is tested only once.
        if platform not in _proved and (reason := _cannot_start(platform)):
            return Support(platform, "missing", hint=f"{emulator}: {reason}")
        _proved.add(platform)
    return Support(platform, "emulated", emulator)


def _found(architecture: str, search_path: str) -> str | None:
    """Return the emulator that the user has named, or the first on the search path."""
    if architecture in _named:
        return None if _fault(architecture) else _named[architecture]
    return emulators.find(architecture, search_path)


def _fault(architecture: str) -> str:
    """Return what is wrong with the emulator that the user has named; empty if there is nothing. Needs the lock."""
    if architecture not in _named:
        return ""
    if architecture not in _faults:
        _faults[architecture] = emulators.fault(_named[architecture], architecture)
    return _faults[architecture]


def _without_a_table(platform: Platform, reason: str) -> Support:
    """Return how `platform` runs if no emulator can be registered: natively, or with the host's emulator."""
    if runs_natively(platform):
        return Support(platform, "native")
    if _table is None and _runs(platform):
        registered = host_registrations().get(platform.architecture)
        emulator = registered.interpreter if registered else ""
        if failure := _cannot_start(platform):
            return Support(platform, "missing", hint=f"{emulator}: {failure}")
        keeps = registered is not None and "C" not in registered.flags
        return Support(platform, "emulated", emulator, _UNCREDITED if keeps else "")
    return Support(platform, "missing", hint=reason)


def _register(architecture: str, emulator: str) -> None:
    """Register `emulator`, or record why that fails. The caller holds the lock."""
    global _table
    try:
        if _table is None:
            _table = BinfmtTable()
        _table.register(f"polyarch-{architecture}", architecture, emulator)
    except OSError as error:
        _refused[architecture] = f"registering an emulator needs Linux 6.7 or later, or root: {error.strerror}"
        return
    _registered[architecture] = emulator
    _isolated[architecture] = "it has not been copied"


def _isolate(architecture: str, emulator: str, copies: emulators.EmulatorCopies) -> None:
    """Register a copy that reads no variables instead of the `emulator` that is registered for `architecture`.

    The caller holds the lock `_trying`.
    """
    models = _answers.table(architecture)
    registered = _copied.get(architecture)
    if _table is None or (not _isolated[architecture] and registered is not None and registered.models == models):
        return
    try:
        # Another process may have replaced this copy by one of a newer emulator.
        for _ in range(2):
            with contextlib.suppress(FileNotFoundError):
                copy = copies.copy(emulator, architecture, models)
                with emulators.shown_as(copy.path, emulator) as path:
                    _table.register(f"polyarch-{architecture}-{len(models)}", architecture, path)
                _isolated[architecture] = ""
                _copied[architecture] = _Registered(copy, models)
                return
        _isolated[architecture] = "its copy was removed"
    except UnsupportedError as error:
        _isolated[architecture] = error.message
    except OSError as error:
        reason = error.strerror
        if error.errno == errno.EACCES and copies.forbids_execution():
            reason = "the filesystem of the store is mounted noexec"
        _isolated[architecture] = f"it cannot be copied: {reason}"


def _is_native(architecture: str) -> bool:
    """Return whether this machine's own processor runs these programs, which an emulator must not take over."""
    return runs_natively(least(architecture))


def _runs(platform: Platform) -> bool:
    """Return whether the kernel, with the current state of this process's namespace, runs the platform's probe."""
    from polyarch.sandbox.probing.execution import execute

    program = probe.executable(platform)
    done = None if program is None else execute(program)
    return done is not None and done.status == 0


def _cannot_start(platform: Platform) -> str:
    """Return why programs of a current C library do not start here; empty if they do."""
    from polyarch.sandbox.probing import startup

    missing = startup.missing(platform)
    needs = "; programs for loong64 need qemu 10.0 or later" if missing and platform.architecture == "loong64" else ""
    return f"programs of a current C library do not run: {missing}{needs}" if missing else ""
