"""Where a client runs: a home of its own, a store, a registry on loopback, and Polyarch as the `docker` on PATH."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from tests.clients.pushed import PlatformImage, Repository

SECONDS = 300
BOTH = ("linux/amd64", "linux/arm64")

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_PERSON = {"NAME": "A", "EMAIL": "a@example.org"}

# Runs Polyarch under the name of the shim, and writes the status and the words down: each ends with a NUL.
_SHIM = """#!/bin/sh
{program} "$@"
status=$?
printf '%s\\0' "$#" "$status" {name} "$@" >> {log}
exit $status
"""


class Call(NamedTuple):
    """A call of docker, or of docker's plugin, that a client made, and the status that Polyarch ended with."""

    status: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(self.words)


class Wanted(NamedTuple):
    """What an image must have: these labels, variables, files and annotations of its index, beside others.

    `{machine}` in the text of a file is what `uname -m` says on the platform.
    """

    platforms: tuple[str, ...] = BOTH
    labels: Mapping[str, str] = MappingProxyType({})
    files: Mapping[str, str] = MappingProxyType({})
    annotations: Mapping[str, str] = MappingProxyType({})
    variables: tuple[str, ...] = ()
    attested: int = 0


def _same(image: PlatformImage, wanted: Wanted) -> None:
    """Raise AssertionError if the image lacks something."""
    machine = _MACHINES[image.config["architecture"]]
    files = {path: text.replace("{machine}", machine) for path, text in wanted.files.items()}
    found = {path: image.files.get(path) for path in files}
    assert found == files, f"{found}, not {files}"
    labels = {name: image.labels.get(name) for name in wanted.labels}
    assert labels == wanted.labels, f"{labels}, not {wanted.labels}"
    lost = set(wanted.variables) - set(image.config["config"].get("Env") or ())
    assert not lost, f"no {lost}"


class Stage:
    """What a client finds when it starts. `place` has its packages, `base` is an image of two platforms.

    `results` has each call and each comparison so far, with what was wrong, or nothing.
    """

    def __init__(self, directory: Path, place: Path, registry: str) -> None:
        self.directory = directory
        self.place = place
        self.registry = registry
        self.base = f"{registry}/base:1"
        self.results: dict[str, str] = {}
        self._log = directory / "calls"
        self._polyarch = Path(sys.executable).parent / "polyarch"
        # Links as a user has them, and the shims, which run them.
        self.links, self.shims = directory / "links", directory / "bin"
        self.env = {
            "HOME": str(directory),
            "LANG": "C.UTF-8",
            "PATH": f"{self.shims}:{os.environ['PATH']}:/usr/sbin:/sbin",
            "POLYARCH_ROOT": str(directory / "store"),
            # Clients leave files there.
            "TMPDIR": str(directory / "tmp"),
        }
        (directory / "tmp").mkdir(parents=True)
        subprocess.run([self._polyarch, "docker-links", self.links], env=self.env, check=True, capture_output=True)
        self.shims.mkdir()
        for link in self.links.iterdir():
            self._shim(self.shims / link.name, link)

    def plugin(self, config: Path) -> None:
        """Make Polyarch docker's plugin `buildx` below a directory of docker's configuration."""
        link = self.directory / "plugin/docker-buildx"
        link.parent.mkdir()
        link.symlink_to(self._polyarch)
        (config / "cli-plugins").mkdir(parents=True)
        self._shim(config / "cli-plugins/docker-buildx", link)

    def _shim(self, path: Path, program: Path) -> None:
        path.write_text(_SHIM.format(program=program, name=path.name, log=self._log))
        path.chmod(0o755)

    def repository(self, name: str) -> Repository:
        return Repository(self.registry, name)

    def project(self, files: Mapping[str, str], name: str = "project") -> Path:
        """A directory with these files."""
        directory = self.directory / name
        for path, text in files.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_text(text)
        return directory

    def commit(self, project: Path) -> None:
        """Make the project a git repository with one commit."""
        who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in _PERSON.items()}
        for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "feat: start")):
            subprocess.run(["git", *words], cwd=project, env={**self.env, **who}, check=True, capture_output=True)

    def packages_into(self, project: Path) -> None:
        """Give a project the installed packages as its `node_modules`, in which it may write."""
        modules = project / "node_modules"
        modules.mkdir()
        for package in (self.place / "node_modules").iterdir():
            (modules / package.name).symlink_to(package)

    def run(
        self, command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None, absent: int = 0
    ) -> str:
        """Run the client. Its status is a result, and so is that of each call of docker that it made.

        absent: how often it asks for an image that is not there yet, and must hear so.
        """
        before = len(self.calls())
        given = {**self.env, **(env or {})}
        done = subprocess.run(command, cwd=cwd, env=given, capture_output=True, text=True, timeout=SECONDS, check=False)
        said = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        name = " ".join([Path(command[0]).name, *map(str, command[1:])])[:100]
        self.results[name] = "" if done.returncode == 0 else f"status {done.returncode}:\n{said}"
        for number, call in enumerate(self.calls()[before:], before + 1):
            missing = absent > 0 and "inspect" in call.words and call.status == 1
            absent -= missing
            self.results[f"call {number}: {call}"] = "" if missing or call.status == 0 else f"status {call.status}"
        return done.stdout

    def check(self, name: str, work: Callable[[], object]) -> None:
        """One comparison: `work` raises, or its value is False, if it fails."""
        try:
            self.results[name] = "the answer is no" if work() is False else ""
        except Exception as error:
            self.results[name] = f"{type(error).__name__}: {error}"

    def equal(self, name: str, found: Callable[[], object], wanted: object) -> None:
        """One comparison of two values."""

        def compare() -> None:
            value = found()
            assert value == wanted, f"{value!r}, not {wanted!r}"

        self.check(name, compare)

    def compare(self, repository: Repository, tag: str, wanted: Wanted) -> None:
        """Compare what is under a tag with what the client was asked for."""
        title = f"{repository.name}:{tag}"
        try:
            found = repository.read(tag)
        except OSError as error:
            self.results[title] = str(error)
            return
        self.equal(f"{title}: platforms", lambda: sorted(found.platforms), sorted(wanted.platforms))
        self.equal(f"{title}: attestations", lambda: found.attested, wanted.attested)
        self.equal(f"{title}: annotations", lambda: {**found.annotations, **wanted.annotations}, found.annotations)
        for platform in wanted.platforms:
            self.check(f"{title}: {platform}", lambda platform=platform: _same(found.platforms[platform], wanted))

    def wrong(self) -> dict[str, str]:
        """The results that are failures."""
        return {step: told for step, told in self.results.items() if told}

    def calls(self) -> list[Call]:
        """The calls of docker so far."""
        try:
            parts = self._log.read_text().split("\0")[:-1]
        except FileNotFoundError:
            return []
        found = []
        while parts:
            count, status, *rest = parts
            found.append(Call(int(status), tuple(rest[: int(count) + 1])))
            parts = rest[int(count) + 1 :]
        return found


def drive_script(stage: Stage, command: Sequence[str | Path]) -> None:
    """Run a script that uses a client's library: it prints RESULTS, and what was wrong with each step."""
    context = stage.project({"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}, "context")
    bake = {"target": {"default": {"context": str(context), "tags": ["baked:1"], "output": ["type=cacheonly"]}}}
    (context / "docker-bake.json").write_text(json.dumps(bake))
    env = {**stage.env, "RUNNER_TEMP": str(stage.directory), "GITHUB_REPOSITORY": "o/r"}
    whole = [*command, f"{stage.registry}/team/app", str(context)]
    done = subprocess.run(whole, env=env, capture_output=True, text=True, timeout=SECONDS, check=False, cwd=context)
    for line in done.stdout.splitlines():
        if line.startswith("RESULTS "):
            stage.results.update(json.loads(line.removeprefix("RESULTS ")))
            return
    raise SystemExit(f"{whole} said nothing:\n{done.stdout}\n{done.stderr}")
