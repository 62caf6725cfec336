"""`--cache-to` and `--cache-from` with GitHub's cache service and with S3."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.local_registry import LocalRegistry
from tests.buildcache.actions_server import ActionsServer, actions_server, token
from tests.buildcache.buckets import S3Server, s3_server
from tests.builds.test_remote_cache import DOCKERFILE, Context, Machine, ran

LATER = time.time() + 3600
MAIN = token(("refs/heads/main", 3), expires=LATER)
FORK = token(("refs/pull/8/merge", 1), ("refs/heads/main", 1), expires=LATER)


@pytest.fixture
def actions() -> Iterator[ActionsServer]:
    with actions_server() as server:
        yield server


@pytest.fixture(scope="module")
def buckets() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


def job(server: ActionsServer, text: str = MAIN) -> dict[str, str]:
    """The variables of a job."""
    return {
        "ACTIONS_CACHE_SERVICE_V2": "true",
        "ACTIONS_RESULTS_URL": server.url,
        "ACTIONS_RUNTIME_TOKEN": text,
    }


def test_a_job_builds_from_what_another_job_built(
    machine: Machine, registry: LocalRegistry, base: str, context: Context, actions: ActionsServer
) -> None:
    directory = context(DOCKERFILE.format(base=base), "file = content")
    name = f"{registry.address}/app:1"
    write = ("build", "-q", "--push", "-t", name, "--cache-to", "type=gha,mode=max", directory)
    first = machine()(*write, env=job(actions))
    # An index, the list of platforms and one pack.
    assert actions.methods().count("CreateCacheEntry") == 3
    cold = machine()
    second = cold(
        "build", "--progress=plain", "-t", "app", "--cache-from", "type=gha", directory, env=job(actions, FORK)
    )
    assert ran(second) == 0
    assert cold("build", "-q", "-t", "app", directory).stdout == first.stdout
    assert cold("run", "app", "cat", "/both").stdout


def test_a_fork_reads_and_notes_that_it_writes_nothing(
    machine: Machine, base: str, context: Context, actions: ActionsServer
) -> None:
    directory = context(DOCKERFILE.format(base=base), "file = content")
    result = machine()(
        "build", "--progress=plain", "-t", "app", "--cache-to", "type=gha", directory, env=job(actions, FORK)
    )
    assert result.stderr.count("the cache was not written: the cache of GitHub Actions (scope buildkit): ") == 1
    assert FORK not in result.stderr
    assert actions.entries == {}


def test_outside_of_a_job_it_is_said_once_that_there_is_no_cache(
    machine: Machine, base: str, context: Context, actions: ActionsServer
) -> None:
    directory = context(DOCKERFILE.format(base=base), "file = content")
    result = machine()(
        "build", "--progress=plain", "-t", "app", "--cache-from", "type=gha", "--cache-to", "type=gha", directory
    )
    assert result.stderr.count("ACTIONS_RUNTIME_TOKEN) are not set") == 2
    assert "--cache-from: type=gha is left out" in result.stderr


def test_what_the_service_removed_is_made_again(
    machine: Machine, base: str, context: Context, actions: ActionsServer
) -> None:
    directory = context(DOCKERFILE.format(base=base), "file = content")
    options = ("--cache-from", "type=gha", "--cache-to", "type=gha,mode=max", directory)
    machine()("build", "-q", "-t", "app", *options, env=job(actions))
    actions.forget("pack")
    again = machine()("build", "--progress=plain", "-t", "app", *options, env=job(actions))
    assert ran(again) == 5
    third = machine()("build", "--progress=plain", "-t", "app", *options, env=job(actions))
    assert ran(third) == 0


def test_cache_mounts_travel_through_the_service_and_stay_there(
    machine: Machine, base: str, context: Context, actions: ActionsServer
) -> None:
    run = "RUN --mount=type=cache,id=pip,target=/pip cat /pip/kept /file > /found; cp /file /pip/kept\n"
    directory = context(f"FROM {base}\nCOPY file /file\n{run}", "file = one")
    first = machine()
    write = ("build", "-q", "--cache-to", "type=gha,mounts=pip", directory)
    first(*write, env=job(actions))
    # Nothing used the mount since, so it is not packed again, and the new index still has it.
    first(*write, env=job(actions))
    (directory / "file").write_text("two")
    second = machine()
    second("build", "-q", "-t", "app", "--cache-from", "type=gha,mounts=pip", directory, env=job(actions))
    assert second("run", "app", "cat", "/found").stdout == "onetwo"


def test_a_machine_builds_from_a_bucket(
    machine: Machine, registry: LocalRegistry, base: str, context: Context, buckets: S3Server
) -> None:
    directory = context(DOCKERFILE.format(base=base), "file = content")
    bucket = buckets.bucket()
    cache = f"type=s3,bucket={bucket},region=us-east-1,endpoint_url={buckets.url},use_path_style=true,prefix=a b/"
    keys = {
        "AWS_ACCESS_KEY_ID": buckets.credentials.key,
        "AWS_SECRET_ACCESS_KEY": buckets.credentials.secret,
    }
    name = f"{registry.address}/app:1"
    first = machine()(
        "build", "-q", "--push", "-t", name, "--cache-to", f"{cache},mode=max,name=main;other", directory, env=keys
    )
    cold = machine()
    second = cold("build", "--progress=plain", "-t", "app", "--cache-from", f"{cache},name=other", directory, env=keys)
    assert ran(second) == 0
    assert cold("build", "-q", "-t", "app", directory).stdout == first.stdout
    assert buckets.credentials.secret not in second.stderr
    secret = buckets.credentials.secret.encode()
    assert all(secret not in file.read_bytes() for file in cold.root.rglob("*") if file.is_file())
    assert cold("run", "app", "cat", "/both").stdout
    assert {key.rpartition("/")[0] for key in buckets.keys(bucket)} == {
        "a b/blobs",
        "a b/manifests/main",
        "a b/manifests/other",
    }


def test_what_is_wrong_with_a_bucket_is_a_note_when_reading_and_an_error_when_writing(
    machine: Machine, base: str, context: Context, buckets: S3Server, tmp_path: Path
) -> None:
    directory = context(DOCKERFILE.format(base=base), "file = content")
    cache = f"type=s3,bucket=absent,region=us-east-1,endpoint_url={buckets.url},use_path_style=true"
    keys = {
        "AWS_ACCESS_KEY_ID": buckets.credentials.key,
        "AWS_SECRET_ACCESS_KEY": buckets.credentials.secret,
    }
    result = machine()("build", "-t", "app", "--progress=plain", "--cache-from", cache, directory, env=keys)
    assert result.stderr.count("the cache is not used: s3://absent") == 1
    assert "NoSuchBucket" in result.stderr
    failed = machine()("build", "-t", "app", "--cache-to", cache, directory, env=keys, check=False)
    assert failed.status == 1
    assert "the cache was not written: s3://absent" in failed.stderr
    assert "create the bucket" in failed.stderr
    machine()("build", "-q", "-t", "app", "--cache-to", f"{cache},ignore-error=true", directory, env=keys)
    failed = machine()("build", "-t", "app", "--cache-from", "type=s3,bucket=b", directory, check=False)
    assert (failed.status, "type=s3 has no region" in failed.stderr) == (2, True)
