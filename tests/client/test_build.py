"""`client.build`: RUN steps from threads, event loops and this very pytest; errors, progress and streams arrive."""

import asyncio
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from polyarch import (
    BuildError,
    BuildResult,
    DockerfileError,
    NotFoundError,
    Output,
    OutputChunk,
    PlatformOverride,
    Polyarch,
    PolyarchError,
    RunFlags,
    UnsupportedError,
    UsageError,
)
from polyarch.progress import Event
from polyarch.sandbox import namespaces
from scripts.local_registry import LocalRegistry
from tests.client.conftest import Clients
from tests.client.test_worker import workers
from tests.people import Person

RUN = "FROM busybox\nRUN echo built on $(uname -m) > /word\n"


@pytest.fixture
def another_thread() -> Iterator[threading.Thread]:
    """A thread that is alive in this process during the test: where there is one, no user namespace can be entered."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    yield thread
    end.set()
    thread.join()


def words(client: Polyarch, result: BuildResult, name: str) -> dict[str, str]:
    """What /word is in each image."""
    found = {}
    for image in result.images:
        done = client.images.run(name, "cat", "/word", platform=image.platform, capture_output=True)
        assert done.stdout is not None
        found[str(image.platform)] = done.stdout.decode().strip()
    return found


BOTH = {"linux/amd64": "built on x86_64", "linux/arm64": "built on aarch64"}


def test_a_build_runs_its_steps_while_other_threads_are_alive(
    client: Polyarch, busybox: str, another_thread: threading.Thread
) -> None:
    result = client.build(None, dockerfile=RUN, platforms="linux/amd64,linux/arm64", tags="app:1")
    assert words(client, result, "app:1") == BOTH
    assert client.images.get("app:1").digest == (result.descriptor and result.descriptor.digest)
    assert another_thread.is_alive()
    assert not namespaces.entered()


def test_a_build_attaches_what_its_keywords_ask_for(client: Polyarch, busybox: str) -> None:
    plain = client.build(None, dockerfile=RUN)
    assert plain.provenance == {}
    attested = client.build(
        None, dockerfile=RUN, provenance={"mode": "min", "builder-id": "https://ci/1"}, sbom=True, tags="app"
    )
    assert plain.images[0].descriptor.digest == attested.images[0].descriptor.digest
    assert plain.descriptor != attested.descriptor
    assert attested.provenance["linux/amd64"]["builder"] == {"id": "https://ci/1"}
    assert [entry.attestation for entry in client.images.get("app").platforms] == [False, True]
    with pytest.raises(UsageError, match="unknown mode 'most'"):
        client.build(None, dockerfile=RUN, provenance="mode=most")
    with pytest.raises(UsageError, match="without a generator"):
        client.build(None, dockerfile=RUN, sbom={"select": "x"})


def test_a_build_runs_its_steps_from_a_thread(client: Polyarch, busybox: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(client.build, None, dockerfile=RUN, tags="app").result()
    assert words(client, result, "app") == {"linux/amd64": BOTH["linux/amd64"]}


def test_two_threads_build_at_once(client: Polyarch, busybox: str) -> None:
    def build(platform: str) -> BuildResult:
        return client.build(None, dockerfile=RUN, tags=f"app:{platform[6:]}", platforms=platform)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(build, BOTH))
    assert [str(result.images[0].platform) for result in results] == list(BOTH)
    assert {image.name for image in client.images.list()} == {"app:amd64", "app:arm64", "busybox:latest"}


def test_an_event_loop_builds_in_a_thread(client: Polyarch, busybox: str) -> None:
    async def both() -> list[BuildResult]:
        return await asyncio.gather(
            asyncio.to_thread(client.build, None, dockerfile=RUN, tags="one"),
            asyncio.to_thread(client.build, None, dockerfile=RUN, tags="two"),
        )

    one, two = asyncio.run(both())
    assert words(client, one, "one") == words(client, two, "two") == {"linux/amd64": BOTH["linux/amd64"]}


PROGRAM = """
import os, sys, threading
from polyarch import Polyarch
from polyarch.store import StoreLayout
threading.Thread(target=threading.Event().wait, daemon=True).start()
with Polyarch(sys.argv[1]) as client:
    owned = "RUN mkdir -m 700 /private && touch /private/file && chown -R 1000:1000 /private\\n"
    result = client.build(None, dockerfile=sys.argv[2] + owned, tags="app")
    print(result.images[0].platform, client.images.run("app", "cat", "/word", capture_output=True).stdout)
    assert client.images.remove("app").untagged == ("app:latest",)
    # Files of other ids can only be removed inside a user namespace.
    assert client.prune(all=True).size > 0
    print(os.listdir(StoreLayout(sys.argv[1]).temporary), os.listdir(StoreLayout(sys.argv[1]).snapshots))
"""


def test_a_user_without_root_builds_and_runs(unprivileged: Person, busybox_store: Path) -> None:
    from tests import bases

    root = unprivileged.directory / "store"
    bases.copy_store(busybox_store, root)
    unprivileged.give(root)
    python = unprivileged.polyarch.path.parent / "python"
    done = unprivileged.run(python, "-c", PROGRAM, root, RUN)
    assert done.stdout == "linux/amd64 b'built on x86_64\\n'\n[] []\n"


def test_without_isolation_a_build_needs_a_single_thread(
    client: Polyarch, busybox: str, another_thread: threading.Thread, tmp_path: Path
) -> None:
    with pytest.raises((BuildError, UnsupportedError), match="cannot enter a user namespace"):
        client.build(None, dockerfile=RUN, isolate=False)
    # Where nothing runs, no namespace is needed.
    (tmp_path / "file").write_text("x")
    assert client.build(tmp_path, dockerfile="FROM scratch\nCOPY file /\n", isolate=False).images


@pytest.mark.parametrize("isolate", [True, False])
def test_a_dockerfile_that_is_wrong_is_shown_with_its_lines(client: Polyarch, isolate: bool) -> None:
    with pytest.raises(DockerfileError, match="unknown instruction: RUMBLE") as raised:
        client.build(None, dockerfile="FROM scratch\nRUMBLE\n", isolate=isolate)
    assert ">>> RUMBLE" in raised.value.message
    assert raised.value.locations[0].first == 2


def test_a_step_that_fails_is_an_error_with_its_lines(client: Polyarch, busybox: str, events: list[Event]) -> None:
    with pytest.raises(BuildError) as raised:
        client.build(None, dockerfile="FROM busybox\nRUN echo no; exit 3\n")
    assert "exit code: 3" in raised.value.message
    assert "Dockerfile:2" in raised.value.message
    with pytest.raises(NotFoundError, match="there is no directory") as missing:
        client.build(os.devnull + "/nothing")
    assert missing.value.hint
    with pytest.raises(PolyarchError, match="localhost:1 cannot be reached"):
        client.build(None, dockerfile="FROM localhost:1/app\n")


def test_progress_comes_while_the_build_runs_and_in_the_thread_that_asked(
    clients: Clients, busybox: str, events: list[Event]
) -> None:
    threads = set[int]()
    seen: list[bool] = []

    def progress(event: Event) -> None:
        events.append(event)
        threads.add(threading.get_ident())
        if isinstance(event, OutputChunk) and b"first" in event.data:
            seen.append(not any(isinstance(each, OutputChunk) and b"second" in each.data for each in events))

    with clients(progress=progress) as client:
        client.build(None, dockerfile="FROM busybox\nRUN echo first; sleep 0.2; echo second\n")
    assert seen == [True]
    assert threads == {threading.get_ident()}
    output = b"".join(event.data for event in events if isinstance(event, OutputChunk))
    assert b"first\n" in output
    assert b"second\n" in output


class StopError(Exception):
    """What a caller's own code raises."""


def test_an_error_of_the_callback_ends_the_build(clients: Clients, busybox: str) -> None:
    def progress(event: Event) -> None:
        if isinstance(event, OutputChunk):
            raise StopError(event.data)

    with clients(progress=progress) as client:
        with pytest.raises(StopError, match="begun"):
            client.build(None, dockerfile="FROM busybox\nRUN echo begun; sleep 1000\n", tags="app")
        assert [image.name for image in client.images.list()] == ["busybox:latest"]


def archive(**files: str) -> io.BytesIO:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    memory.seek(0)
    return memory


@pytest.mark.parametrize("isolate", [True, False])
def test_a_context_is_read_from_a_stream_and_a_result_is_written_to_one(client: Polyarch, isolate: bool) -> None:
    context = archive(Dockerfile="FROM scratch\nCOPY data /\n", data="x" * 200_000)
    out = io.BytesIO()
    client.build(context, output=Output(kind="tar", stream=out), isolate=isolate)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        assert {member.name: member.size for member in tar} == {"data": 200_000}
    client.build(io.BytesIO(b"FROM scratch\nLABEL a=b\n"), tags="labelled", isolate=isolate)
    assert client.images.inspect("labelled").labels == {"a": "b"}


def test_a_stream_that_fails_ends_the_build_with_its_own_error(client: Polyarch) -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any, /) -> int:
            raise StopError("the line is down")

    with pytest.raises(StopError, match="the line is down"):
        client.build(io.BufferedReader(Broken()))
    with pytest.raises(UsageError, match="context is a text stream"):
        client.build(io.StringIO("FROM scratch"))  # type: ignore[arg-type]


def test_a_build_is_pushed(client: Polyarch, busybox: str, registry: LocalRegistry) -> None:
    name = f"{registry.address}/app:1"
    result = client.build(None, dockerfile=RUN, platforms=list(BOTH), tags=[name], push=True)
    assert client.indexes.inspect(f"docker://{name}").descriptor.digest == (
        result.descriptor and result.descriptor.digest
    )
    assert [image.name for image in client.images.list()] == ["busybox:latest"]


def test_secrets_reach_a_step_and_nothing_else(clients: Clients, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"from a file")
    dockerfile = (
        "FROM busybox\n"
        "RUN --mount=type=secret,id=a --mount=type=secret,id=b --mount=type=secret,id=c "
        "cat /run/secrets/a /run/secrets/b /run/secrets/c | md5sum > /sum; echo done\n"
    )
    seen: list[bytes] = []

    def progress(event: Event) -> None:
        # Other users of the machine may read the arguments of a process, and this user its environment.
        for worker in workers() if isinstance(event, OutputChunk) else ():
            seen.extend(Path(f"/proc/{worker}/{name}").read_bytes() for name in ("cmdline", "environ"))

    with clients(progress=progress) as client:
        client.build(
            None,
            dockerfile=dockerfile,
            secrets={"a": b"hunter2", "b": tmp_path / "token"},
            overrides={"linux/amd64": PlatformOverride(secrets={"c": b"for amd64"})},
            platforms="linux/amd64",
            tags="app",
        )
        script = "cat /sum; echo -n 'hunter2from a filefor amd64' | md5sum"
        done = client.images.run("app", "sh", "-c", script, capture_output=True)
    assert done.stdout is not None
    assert len(set(done.stdout.splitlines())) == 1
    assert len(seen) == 2
    files = [file.read_bytes() for file in (tmp_path / "store").rglob("*") if file.is_file() and not file.is_symlink()]
    for text in (*seen, *files):
        assert b"hunter2" not in text
        assert b"for amd64" not in text


def test_relative_paths_are_those_of_the_working_directory_at_the_time_of_the_call(
    clients: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project/docker").mkdir(parents=True)
    (tmp_path / "project/docker/File").write_text("FROM scratch\nCOPY word /\n")
    (tmp_path / "project/word").write_text("x")
    monkeypatch.chdir(tmp_path)
    with clients(root="store") as client:
        monkeypatch.chdir(tmp_path / "project")
        client.build(".", file="docker/File", output=Output(kind="local", destination=Path("out")))
        assert (tmp_path / "project/out/word").read_text() == "x"
        client.build("..", dockerfile="FROM scratch\nCOPY project/word /\n", tags="app")
        client.images.save("app", "app.tar")
        assert client.images.load(Path("app.tar"))[0].name == "app:latest"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "project", "store"]


def test_what_differs_for_one_platform_is_an_override(client: Polyarch, busybox: str) -> None:
    result = client.build(
        None,
        dockerfile="FROM busybox\nARG CPU=any\nRUN echo $CPU > /word\n",
        platforms="linux/amd64,linux/arm64",
        args={"CPU": "all"},
        overrides={"linux/arm64": {"args": {"CPU": "a53"}, "labels": {"cpu": "a53"}}},
        tags="app",
    )
    assert words(client, result, "app") == {"linux/amd64": "all", "linux/arm64": "a53"}
    assert client.images.inspect("app", platform="linux/arm64").labels == {"cpu": "a53"}


def test_a_dockerfile_that_is_not_utf8_is_built(client: Polyarch, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_bytes(b"# caf\xe9\nFROM scratch\nCOPY Dockerfile /\n")
    assert client.build(tmp_path).images


def test_settings_of_a_group_are_dictionaries_with_known_names(client: Polyarch, busybox: str) -> None:
    result = client.build(
        None,
        dockerfile="FROM busybox\nRUN df -m /dev/shm | tail -1 > /word\n",
        run=RunFlags(shm_size="17m"),
        tags="app",
    )
    assert " 17 " in words(client, result, "app")["linux/amd64"]
    with pytest.raises(UsageError, match="run has no 'netwrok'"):
        client.build(None, dockerfile=RUN, run={"netwrok": "none"})  # type: ignore[typeddict-unknown-key]


def test_one_platform_may_fail(client: Polyarch, busybox: str) -> None:
    dockerfile = "FROM busybox\nARG TARGETARCH\nRUN test $TARGETARCH = amd64\n"
    result = client.build(
        None, dockerfile=dockerfile, platforms="linux/amd64,linux/arm64", on_failure="keep", tags="app"
    )
    assert [str(image.platform) for image in result.images] == ["linux/amd64"]
    assert [str(failure.platform) for failure in result.failures] == ["linux/arm64"]
    with pytest.raises(BuildError, match="1 of 2 platforms failed"):
        client.build(None, dockerfile=dockerfile, platforms="linux/amd64,linux/arm64", on_failure="finish")


def test_the_history_of_a_build_has_the_clocks_time_whatever_the_images_have(clients: Clients, tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "SOURCE_DATE_EPOCH": "5"}
    with clients(environment=environment) as client:
        assert client.plan(None, dockerfile="FROM scratch\nLABEL a=b").begun > 1_000_000_000


def test_a_build_is_planned_linted_and_outlined_without_being_done(client: Polyarch, busybox: str) -> None:
    dockerfile = "FROM busybox AS base\nARG WHO=me\nRUN echo $WHO\nFROM base AS last\nmaintainer x\n"
    record = client.plan(None, dockerfile=dockerfile)
    assert any("RUN echo" in step.name for step in record.steps)
    assert {finding.rule.name for finding in client.lint(None, dockerfile=dockerfile).findings} >= {
        "MaintainerDeprecated"
    }
    assert [stage.name for stage in client.targets(None, dockerfile=dockerfile)] == ["base", "last"]
    assert [argument.name for argument in client.outline(None, dockerfile=dockerfile).arguments] == ["WHO"]
    with pytest.raises(TypeError, match="platfroms"):
        client.lint(None, platfroms="linux/amd64")  # type: ignore[call-arg]


def test_proxies_of_the_client_reach_a_step_and_take_the_place_of_the_environments(
    clients: Clients, busybox: str
) -> None:
    variables = {"PATH": os.environ["PATH"], "HTTP_PROXY": "http://old:1", "all_proxy": "http://old:2"}
    proxies = {"http": "http://new:1", "no_proxy": "localhost"}
    with clients(environment=variables, proxies=proxies) as client:
        result = client.build(None, dockerfile="FROM busybox\nRUN env | grep -i proxy | sort > /word\n", tags="app")
        assert words(client, result, "app")["linux/amd64"].splitlines() == [
            "http_proxy=http://new:1",
            "no_proxy=localhost",
        ]
