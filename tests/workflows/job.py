"""One job of a workflow while it runs: its machine, its variables, and the outputs of its steps."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.cli.docker.actions import StepError
from tests.program import Result
from tests.workflows import expressions
from tests.workflows.artifacts import Artifacts
from tests.workflows.machine import Machine

__all__ = ["Job", "StepError"]

_FILES = ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")


class Job:
    """A job. `outputs` are those of its steps by id; `after` are the post steps, the last one first."""

    def __init__(
        self, machine: Machine, artifacts: Artifacts, contexts: Mapping[str, Any], workspace: Path, temp: Path
    ) -> None:
        self.machine = machine
        self.artifacts = artifacts
        self.workspace = workspace
        self.temp = temp
        self.outputs: dict[str, dict[str, str]] = {}
        self.after: list[Callable[[], object]] = []
        self._contexts = contexts
        self._variables: dict[str, str] = {}
        self._path: list[str] = []
        self._step: dict[str, str] = {}
        self._count = 0

    def set_environment(self, *levels: Mapping[str, Any]) -> None:
        """Set the variables of the workflow, then those of the job."""
        for level in levels:
            self._variables |= {name: str(value) for name, value in self.substitute(level).items()}

    def substitute(self, value: Any) -> Any:
        """Replace the expressions of a value."""
        steps = {name: {"outputs": found} for name, found in self.outputs.items()}
        contexts = {**self._contexts, "env": {**self._variables, **self._step}, "steps": steps}
        return expressions.substitute(value, contexts)

    @contextlib.contextmanager
    def step(self, step: Mapping[str, Any]) -> Iterator[None]:
        """Run a step in the block: its variables hold, and what it wrote into the runner's files counts afterwards."""
        self._count += 1
        self._step = {name: str(value) for name, value in self.substitute(step.get("env", {})).items()}
        files = {name: self.temp / f"{name.lower()}-{self._count}" for name in _FILES}
        for file in files.values():
            file.touch()
            self.machine.give(file)
        self._step |= {name: str(file) for name, file in files.items()}
        yield
        if "id" in step:
            self.outputs.setdefault(step["id"], {}).update(_read(files["GITHUB_OUTPUT"]))
        self._variables |= _read(files["GITHUB_ENV"])
        self._path = [*reversed(files["GITHUB_PATH"].read_text().split()), *self._path]

    def finish(self) -> None:
        """Run the post steps."""
        while self.after:
            self.after.pop()()

    def set_outputs(self, **values: str) -> None:
        """The outputs of the action that runs now."""
        self._append("GITHUB_OUTPUT", values)

    def export(self, values: Mapping[str, str]) -> None:
        """Variables for the steps behind this one."""
        self._append("GITHUB_ENV", values)

    def _append(self, file: str, values: Mapping[str, str]) -> None:
        with open(self._step[file], "a") as output:
            output.writelines(f"{name}<<END-OF-VALUE\n{value}\nEND-OF-VALUE\n" for name, value in values.items())

    def script(self, text: str, directory: str | None = None) -> None:
        """Run a script as `run:` does."""
        file = self.temp / f"script-{self._count}.sh"
        file.write_text(text)
        cwd = self.workspace / str(self.substitute(directory or "."))
        done = self.call("bash", "-e", str(file), cwd=cwd)
        if done.status:
            raise StepError(f"{text}\n{done}")

    def call(
        self, *words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None, stdin: str = ""
    ) -> Result:
        """Run a command with the variables of this step."""
        variables = {
            **self._variables,
            **self._step,
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_TEMP": str(self.temp),
            **(env or {}),
        }
        return self.machine.run(words, cwd=cwd or self.workspace, env=variables, path=self._path, stdin=stdin)

    def docker(self, *words: str, env: Mapping[str, str] | None = None, check: bool = False) -> Result:
        """Run docker as an action does; with check, a failure fails the step."""
        done = self.call("docker", *words, env=env)
        if check and done.status and done.stderr:
            raise StepError(done.stderr.rstrip().splitlines()[-1])
        return done


def _read(file: Path) -> dict[str, str]:
    """What a step wrote into GITHUB_OUTPUT or GITHUB_ENV: `NAME=VALUE`, or `NAME<<MARK`, lines and `MARK`."""
    values: dict[str, str] = {}
    lines: Sequence[str] = file.read_text().splitlines()
    at = 0
    while at < len(lines):
        found = re.fullmatch(r"([^=<]+)(?:<<(.+)|=(.*))", lines[at])
        assert found is not None, f"{file.name}: {lines[at]!r} sets nothing"
        at += 1
        if found[2] is None:
            values[found[1]] = found[3]
            continue
        end = lines.index(found[2], at)
        values[found[1]] = "\n".join(lines[at:end])
        at = end + 1
    return values
