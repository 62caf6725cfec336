"""Examining platforms: one program for each, made of all probes, runs in a container as a RUN step does."""

import os
import shutil
import struct
from collections.abc import Iterable
from pathlib import Path

import msgspec

from polyarch.errors import PolyarchError
from polyarch.oci.platform import Platform
from polyarch.sandbox import emulation, namespaces, probe
from polyarch.sandbox.container import Sandbox
from polyarch.sandbox.emulation import Support
from polyarch.sandbox.forked import in_child
from polyarch.sandbox.probing import checks, probes
from polyarch.sandbox.probing.program import Program, Results, Word
from polyarch.sandbox.process import Process

# A probe that does not end by then is ended by SIGALRM.
_SECONDS = 5
# Names in the directory that is listed: enough that one has an offset of more than 31 bits where these are hashes.
_NAMES = 24


class ProbeResult(msgspec.Struct, frozen=True):
    """What a probe found. `differs` says what is not as on a real machine; it is empty if nothing is."""

    probe: str
    differs: str = ""
    hint: str = ""


class Examination(msgspec.Struct, frozen=True):
    """How a platform runs here, and what its probes found. `reason` says why they could not run."""

    support: Support
    findings: tuple[ProbeResult, ...] = ()
    reason: str = ""


def examine(wanted: Iterable[Platform], search_path: str, directory: Path) -> tuple[Examination, ...]:
    """Run the probes of each platform below `directory`, which is empty and on the file system of the store.

    A child process does it, so that this one does not change. Raises PolyarchError.
    """
    supports = emulation.support(wanted, search_path)
    what = "cannot find out what programs of other platforms can do here"
    return in_child(lambda: _examined(supports, search_path, directory), tuple[Examination, ...], what)


def _examined(supports: Iterable[Support], search_path: str, directory: Path) -> tuple[Examination, ...]:
    try:
        namespaces.enter(search_path)
        place = directory / "sandbox"
        place.mkdir(mode=0o755)
        with Sandbox(place, search_path, str(directory / "emulators")) as sandbox:
            return tuple(_one(support, sandbox, directory) for support in supports)
    except PolyarchError as error:
        return tuple(Examination(support, reason=error.message) for support in supports)
    finally:
        for name in ("sandbox", "emulators"):
            shutil.rmtree(directory / name, ignore_errors=True)


def _one(support: Support, sandbox: Sandbox, directory: Path) -> Examination:
    if support.how == "missing":
        return Examination(support, reason=support.hint)
    program = built(support)
    layer = directory / "layer"
    output = bytearray()
    try:
        _fill(layer, support.platform, program)
        with sandbox.rootfs([str(layer)]) as rootfs:
            process = Process(argv=(checks.PROGRAM,))
            sandbox.run(process, rootfs, platform=support.platform, stdout=output.extend)
    except PolyarchError as error:
        return Examination(support, reason=error.message)
    finally:
        shutil.rmtree(layer, ignore_errors=True)
    return Examination(support, findings(support, program.results(bytes(output))))


def _fill(layer: Path, platform: Platform, program: Program) -> None:
    """Make the root file system in which the program runs."""
    (layer / checks.DIRECTORY[1:]).mkdir(parents=True)
    layer.chmod(0o755)
    for number in range(_NAMES):
        (layer / checks.DIRECTORY[1:] / str(number)).touch()
    set_user = Program(platform)
    set_user.call("geteuid", keep="user")
    set_user.call("exit_group", Word(set_user.result("user")))
    files = {
        checks.PROGRAM: (program.image(), 0o755),
        checks.EXIT: (probe.executable(platform) or b"", 0o755),
        checks.SET_USER: (set_user.image(), 0o4755),
    }
    for path, (content, mode) in files.items():
        file = layer / path[1:]
        file.write_bytes(content)
        os.chmod(file, mode)


def chosen(support: Support) -> tuple[probes.Probe, ...]:
    """The probes of a platform."""
    bits = probe.MACHINES[support.platform.architecture].bits
    foreign = support.how == "emulated"
    return tuple(each for each in probes.PROBES if each.bits in (0, bits) and foreign >= each.foreign)


def built(support: Support) -> Program:
    """The program with all probes of a platform, each in a child."""
    program = Program(support.platform)
    timer = program.words(0, 0, _SECONDS, 0)
    for each in chosen(support):
        program.clone(program.constants.child_signal)
        program.jump_unless_zero(f"{each.name}: parent")
        program.call("setitimer", 0, timer, 0)
        each.build(program)
        program.call("exit_group", 0)
        program.label(f"{each.name}: parent")
        program.keep(f"child of {each.name}")
        child = Word(program.result(f"child of {each.name}"))
        program.call("wait4", child, program.result(f"status of {each.name}", 4), 0, 0)
    program.report()
    return program


def findings(support: Support, results: Results) -> tuple[ProbeResult, ...]:
    """What each probe found, from the results of the program."""
    found = []
    for each in chosen(support):
        (status,) = struct.unpack(f"{results.order}i", results.bytes_of(f"status of {each.name}"))
        if results[f"child of {each.name}"] <= 0:
            differs = "could not be tried"
        elif os.WIFSIGNALED(status):
            differs = f"ended by signal {os.WTERMSIG(status)}"
        else:
            differs = each.differs(results)
        found.append(ProbeResult(each.name, differs, each.hint if differs else ""))
    return tuple(found)
