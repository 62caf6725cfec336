"""What a step on a member may do: secrets, ssh agents, failures, its caches, and what it leaves."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from scripts.local_registry import LocalRegistry
from tests import bases
from tests.farm.conftest import ROOT, FarmBuilder
from tests.program import Program

MakeContext = Callable[..., Path]
SECRET = "a secret that no file has: 4711"


def test_a_secret_reaches_the_step_and_no_file_of_the_member_or_command(
    farm: FarmBuilder, context: MakeContext
) -> None:
    directory = context(
        "FROM busybox\nRUN --mount=type=secret,id=token --mount=type=secret,id=token,env=TOKEN "
        'test "$(cat /run/secrets/token)" = "$TOKEN" && wc -c < /run/secrets/token > /length\n'
    )
    outcome = farm.build(directory, "one", secrets={"token": SECRET})
    assert "error" not in outcome, outcome["error"]
    assert SECRET not in json.dumps(outcome)
    holding = subprocess.run(["grep", "-rlF", SECRET, farm.root], capture_output=True, text=True, check=False)
    assert holding.stdout == ""


def test_a_missing_secret_fails_as_in_a_local_build(farm: FarmBuilder, context: MakeContext) -> None:
    directory = context("FROM busybox\nRUN --mount=type=secret,id=token,required true\n")
    local, remote = farm.build(directory), farm.build(directory, "one")
    assert "secret token: not found" in local["error"]
    assert remote["error"] == local["error"]


def test_the_socket_of_an_ssh_agent_is_in_the_step(farm: FarmBuilder, context: MakeContext, tmp_path: Path) -> None:
    directory = context("FROM busybox\nRUN --mount=type=ssh test -S $SSH_AUTH_SOCK && echo $SSH_AUTH_SOCK\n")
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "agent"))
        agent.listen()
        outcome = farm.build(directory, "one", ssh={"default": str(tmp_path / "agent")})
    assert "error" not in outcome, outcome["error"]
    assert outcome["output"] == "/run/buildkit/ssh_agent.0\n"


def test_a_step_that_fails_has_the_error_and_output_of_a_local_one(farm: FarmBuilder, context: MakeContext) -> None:
    directory = context("FROM busybox\nRUN echo before && echo wrong >&2 && exit 3\n")
    local, remote = farm.build(directory), farm.build(directory, "one")
    assert "exit code: 3" in local["error"]
    assert remote["kind"] == local["kind"]
    # Output and errors come by two pipes, in any order.
    for text in ("error", "output"):
        assert sorted(remote[text].splitlines()) == sorted(local[text].splitlines())


def test_a_result_that_a_member_has_is_not_made_again(
    farm: FarmBuilder, context: MakeContext, busybox_store: Path
) -> None:
    directory = context("FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /random\nRUN cp /random /again\n")
    first = farm.build(directory, "one", epoch=0)
    assert [step["cached"] for step in first["steps"]] == [False, False]
    # The same command has the results in its own store, and asks nobody.
    assert farm.build(directory, "one", epoch=0)["steps"] == []
    # Another command, whose store has nothing.
    other = farm.root / "other"
    bases.copy_store(busybox_store, other)
    again = farm.build(directory, "one", store=other, epoch=0)
    assert [step["cached"] for step in again["steps"]] == [True, True]
    assert again["images"] == first["images"]
    assert not any(step["cached"] for step in farm.build(directory, "one", no_cache=True)["steps"])


def test_steps_here_and_on_members_use_the_results_of_each_other(
    farm: FarmBuilder, context: MakeContext, busybox_store: Path
) -> None:
    directory = context(
        "FROM busybox AS base\nRUN echo here > /one\n"
        "FROM base\nCOPY file /two\nRUN rm /one && cat /two > /three\nWORKDIR /new/directory\nRUN pwd > here\n",
        {"file": "text"},
    )
    # The first step has run here, and has never been packed.
    assert "error" not in farm.build(directory, target=["base"], epoch=0, outputs=["type=cacheonly"])
    remote = farm.build(directory, "one", "two", epoch=0)
    assert [step["member"] for step in remote["steps"]] == ["one", "two"]
    other = farm.root / "other"
    bases.copy_store(busybox_store, other)
    assert farm.images(directory, store=other, epoch=0) == remote["images"]
    # What members made is a base for a step here.
    (directory / "Dockerfile").write_text((directory / "Dockerfile").read_text() + "RUN cat /three here\n")
    assert "text/new/directory" in farm.build(directory, epoch=0)["output"]


def test_a_machine_that_cannot_run_steps_builds_with_members(farm: FarmBuilder, context: MakeContext) -> None:
    directory = context("FROM busybox\nCOPY Dockerfile /\nRUN echo one > /one\n")
    reason = "cannot enter a user namespace while 1 other threads run"
    assert reason in farm.build(directory, cannot_run=True)["error"]
    outcome = farm.build(directory, "one", cannot_run=True, epoch=0)
    assert "error" not in outcome, outcome["error"]
    # A step that is placed here still fails with the reason.
    placed = farm.build(directory, "one", cannot_run=True, no_cache=True, local=["linux/amd64"])
    assert reason in placed["error"]


def test_a_member_that_cannot_run_steps_says_so(farm: FarmBuilder, context: MakeContext) -> None:
    directory = context("FROM busybox\nRUN echo one > /one\n")
    outcome = farm.build(directory, "one", search_path="/nonexistent")
    assert outcome["kind"] == "BuildError"
    assert "one: " in outcome["error"]
    assert "not on PATH" in outcome["error"]


def test_the_record_of_a_build_says_where_each_step_ran(
    farm: FarmBuilder, context: MakeContext, busybox_store: Path
) -> None:
    # A member gets steps that follow one another at once: here something is between them.
    directory = context("FROM busybox\nRUN sleep 0.5\nWORKDIR /new\nRUN true\n")
    assert "error" not in farm.build(directory, "one", "two", local=["linux/arm64"], tags=["app"], epoch=0)
    program = Program(farm.store, farm.root)
    steps = [step for step in program("explain", "--json", "app").json()["steps"] if "RUN" in step["name"]]
    assert [(step["how"], step["member"]) for step in steps] == [("native", "one"), ("native", "two")]
    assert 0.5 <= steps[0]["seconds"] < 0.5 + steps[0]["sent"]
    assert "native on one" in program("explain", "app").stdout
    other = farm.root / "other"
    bases.copy_store(busybox_store, other)
    assert "error" not in farm.build(directory, "one", store=other, tags=["app"], epoch=0)
    assert "one had its result" in Program(other, farm.root)("explain", "app").stdout


def test_a_registry_may_carry_the_layers(farm: FarmBuilder, context: MakeContext, registry: LocalRegistry) -> None:
    # Small layers do not need it.
    lines = "FROM busybox\nRUN head -c 400000 /dev/urandom > /one\nWORKDIR /new\n"
    directory = context(f"{lines}RUN cat /one > /two\n")
    outcome = farm.build(directory, "one", "two", carrier=f"{registry.address}/farm/layers")
    assert "error" not in outcome, outcome["error"]
    # A second build brings a new layer; all others are here and there already.
    directory = context(f"{lines}RUN cat /one > /three\n")
    assert "error" not in farm.build(directory, "two", carrier=f"{registry.address}/farm/layers")
    sent = [line for line in registry.requests() if line.startswith("PUT")]
    assert len(sent) == len(set(sent)) == 5
    fetched = [line for line in registry.requests() if line.startswith("GET") and "/blobs/" in line]
    # The base for both members, the first layer for the second member; results for the command.
    assert max(map(fetched.count, fetched)) == 2


def test_a_build_leaves_no_names_and_no_temporary_files(farm: FarmBuilder, context: MakeContext) -> None:
    directory = context("FROM busybox\nRUN echo one > /one\n")
    names = (farm.store / "oci" / "index.json").read_bytes()
    outcome = farm.build(directory, "one", outputs=["type=cacheonly"])
    assert "error" not in outcome, outcome["error"]
    assert (farm.store / "oci" / "index.json").read_bytes() == names
    assert os.listdir(farm.store / "tmp") == []
    assert os.listdir(farm.member("one") / "tmp") == []


def test_a_cache_mount_stays_on_the_member_that_used_it(farm: FarmBuilder, context: MakeContext) -> None:
    for number in (1, 2):
        directory = context(
            f"FROM busybox\nRUN --mount=type=cache,target=/cache echo {number} >> /cache/all && cat /cache/all\n"
        )
        outcome = farm.build(directory, "one")
    assert outcome["output"] == "1\n2\n"
    assert farm.build(context("FROM busybox\nRUN --mount=type=cache,target=/cache ls /cache\n"), "two")["output"] == ""


def test_interrupting_the_build_ends_the_remote_process_within_two_seconds(
    farm: FarmBuilder, context: MakeContext
) -> None:
    directory = context("FROM busybox\nRUN echo begun; sleep 1234.5 & sleep 1234.5\n")
    question = {
        "context": str(directory),
        "platforms": ["linux/amd64"],
        "members": [str(farm.member("one"))],
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.farm.worker", farm.store],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(question))
        process.stdin.close()
        deadline = time.monotonic() + 60
        while len(_sleeping()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 2
        while _sleeping():
            assert time.monotonic() < deadline, "the process still runs"
            time.sleep(0.02)
        process.wait(20)


def _sleeping() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"sleep", b"1234.5"]:
            found.append(path.parent.name)
    return found
