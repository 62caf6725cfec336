"""Runs a workflow: its jobs one after the other, each on a machine of its own, and its steps as GitHub's runner does.

What is not needed here is not there: conditions, services, containers, and expressions beyond `expressions.py`.
Steps named Prepare are left out: they install packages on a virtual machine and change settings of its kernel.
"""

import itertools
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.workflows.actions import ACTIONS
from tests.workflows.artifacts import Artifacts
from tests.workflows.expressions import substitute
from tests.workflows.job import Job
from tests.workflows.machine import Machine, Machines

PREPARING = "Prepare"


class Runner:
    """Runs workflows of one repository, whose files are in `sources`."""

    def __init__(self, machines: Machines, sources: Path, contexts: Mapping[str, Mapping[str, Any]]) -> None:
        """`contexts` has `github`, `secrets` and `vars`."""
        self._machines = machines
        self._sources = sources
        self._contexts = contexts

    def run(self, text: str) -> dict[str, list[dict[str, dict[str, str]]]]:
        """Run the workflow of a YAML text. Returns for each job its runs, each with the outputs of its steps by id."""
        document = yaml.safe_load(text)
        artifacts = Artifacts()
        outputs: dict[str, dict[str, Any]] = {}
        results: dict[str, list[dict[str, dict[str, str]]]] = {}
        for name in _in_order(document["jobs"]):
            job = document["jobs"][name]
            contexts = {**self._contexts, "needs": {one: {"outputs": found} for one, found in outputs.items()}}
            results[name], outputs[name] = [], {}
            for matrix in _matrix(substitute(job.get("strategy", {}), contexts).get("matrix", {})):
                with self._machines() as machine:
                    work = self._job(machine, artifacts, {**contexts, "matrix": matrix})
                    work.set_environment(document.get("env", {}), job.get("env", {}))
                    _perform(work, job["steps"])
                    outputs[name] |= work.substitute(job.get("outputs", {}))
                results[name].append(work.outputs)
        return results

    def _job(self, machine: Machine, artifacts: Artifacts, contexts: Mapping[str, Any]) -> Job:
        workspace, temp = machine.directory / "work", machine.directory / "temp"
        shutil.copytree(self._sources, workspace)
        temp.mkdir()
        machine.give(machine.directory)
        return Job(machine, artifacts, {**contexts, "runner": {"temp": str(temp)}}, workspace, temp)


def _perform(job: Job, steps: list[dict[str, Any]]) -> None:
    for step in steps:
        if step.get("name") == PREPARING:
            continue
        with job.step(step):
            if "run" in step:
                job.script(str(job.substitute(step["run"])), step.get("working-directory"))
            else:
                action = step["uses"].partition("@")[0]
                assert action in ACTIONS, f"there is no action {action} here"
                ACTIONS[action](job, job.substitute(step.get("with", {})))
    job.finish()


def _in_order(jobs: Mapping[str, Any]) -> Iterator[str]:
    """The names of jobs, each behind those that it needs."""
    waiting = list(jobs)
    done: set[str] = set()
    while waiting:
        ready = [name for name in waiting if _needs(jobs[name]) <= done]
        assert ready, f"jobs need each other: {waiting}"
        for name in ready:
            yield name
            done.add(name)
            waiting.remove(name)


def _needs(job: Mapping[str, Any]) -> set[str]:
    needs = job.get("needs", [])
    return {needs} if isinstance(needs, str) else set(needs)


def _matrix(matrix: Mapping[str, Any]) -> list[dict[str, Any]]:
    axes = {name: values for name, values in matrix.items() if name != "include"}
    if not axes:
        return matrix.get("include") or [{}]
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
