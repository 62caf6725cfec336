"""Over a bad network an image arrives complete, or not at all with an error that says why."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.local_registry import LocalRegistry
from tests import trees
from tests.program import Program, run
from tests.reliability import crash
from tests.reliability.proxy import GOOD, Asked, Fault, Plan, Proxy, between

_SEED = 20_262


@pytest.fixture
def proxy(registry: LocalRegistry) -> Iterator[Proxy]:
    with between(registry.address) as made:
        yield made


@pytest.fixture
def image(polyarch: Program, proxy: Proxy, registry: LocalRegistry, tmp_path: Path) -> str:
    """An image of two platforms with a layer that does not compress, in the registry under the proxy's name."""
    context = trees.write(
        tmp_path / "image", {"Dockerfile": "FROM scratch\nCOPY data /\n", "data": os.urandom(1 << 20)}
    )
    name = f"{proxy.address}/app:1"
    polyarch("build", "--platform", "linux/amd64,linux/arm64", "-t", name, "--push", context)
    polyarch("rmi", name, check=False)
    polyarch("system", "prune", "-af")
    proxy.asked.clear()
    return name


def is_whole(polyarch: Program, name: str) -> None:
    assert crash.looked_at(polyarch.root, {name: crash.names(polyarch.root)[name]}, set()) == []


def nothing_came(polyarch: Program) -> None:
    assert crash.names(polyarch.root) == {}
    assert crash.looked_at(polyarch.root, {}, set()) == []


def first(plan: Fault, times: int = 1) -> Plan:
    """Apply the fault to the first blobs that are requested, then to none."""
    left = [times]

    def decide(asked: Asked) -> Fault:
        if not asked.is_blob or not left[0]:
            return GOOD
        left[0] -= 1
        return plan

    return decide


def test_a_download_that_is_cut_goes_on_where_it_stopped(polyarch: Program, proxy: Proxy, image: str) -> None:
    proxy.plan = lambda asked: Fault(cut=300_000) if asked.is_blob else GOOD
    polyarch("pull", "--all-platforms", image)
    is_whole(polyarch, image)
    starts = [asked.headers["Range"] for asked in proxy.asked if "Range" in asked.headers]
    assert starts == ["bytes=300000-", "bytes=600000-", "bytes=900000-"]


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_registry_with_a_bad_day_is_asked_again(polyarch: Program, proxy: Proxy, image: str, status: int) -> None:
    proxy.plan = lambda asked: Fault(status=status, headers={"Retry-After": "0"}) if asked.number % 2 else GOOD
    polyarch("pull", "--all-platforms", image)
    is_whole(polyarch, image)


def test_patience_that_is_asked_for_is_given(polyarch: Program, proxy: Proxy, image: str) -> None:
    proxy.plan = first(Fault(status=429, headers={"Retry-After": "1"}))
    polyarch("pull", "--all-platforms", image)
    is_whole(polyarch, image)


@pytest.mark.parametrize("fault", [Fault(flip=500_000), Fault(flip=0), Fault(shorten=100)], ids=str)
def test_bytes_that_are_not_what_was_promised_are_refused(
    polyarch: Program, proxy: Proxy, image: str, fault: Fault
) -> None:
    proxy.plan = lambda asked: fault if asked.is_blob else GOOD
    assert "sha256:" in polyarch.fails("pull", "--all-platforms", image).stderr
    nothing_came(polyarch)
    proxy.plan = lambda asked: GOOD
    polyarch("pull", "--all-platforms", image)
    is_whole(polyarch, image)


def test_a_manifest_that_is_not_what_was_promised_is_refused(polyarch: Program, proxy: Proxy, image: str) -> None:
    proxy.plan = lambda asked: Fault(flip=40) if asked.is_manifest and asked.method == "GET" else GOOD
    assert "sha256:" in polyarch.fails("pull", "--all-platforms", image).stderr
    nothing_came(polyarch)


def test_a_registry_that_goes_away_is_given_up_with_the_reason(polyarch: Program, proxy: Proxy, image: str) -> None:
    proxy.plan = lambda asked: Fault(cut=0) if asked.is_blob else GOOD
    assert proxy.address in polyarch.fails("pull", "--all-platforms", image).stderr
    nothing_came(polyarch)


def test_what_a_mirror_spoils_comes_from_the_registry_itself(
    polyarch: Program, proxy: Proxy, image: str, registry: LocalRegistry, tmp_path: Path
) -> None:
    (tmp_path / "registries.conf").write_text(
        f'[[registry]]\nprefix = "example.com"\nlocation = "{registry.address}"\n'
        f'[[registry.mirror]]\nlocation = "{proxy.address}"\n'
    )
    proxy.plan = lambda asked: Fault(flip=400_000) if asked.is_blob else GOOD
    around = {"CONTAINERS_REGISTRIES_CONF": str(tmp_path / "registries.conf")}
    polyarch("pull", "--all-platforms", "example.com/app:1", env=around)
    assert any(asked.is_blob for asked in proxy.asked)
    is_whole(polyarch, "example.com/app:1")


def test_a_base_is_fetched_over_a_bad_network_when_a_build_needs_it(
    polyarch: Program, proxy: Proxy, image: str, tmp_path: Path
) -> None:
    context = trees.write(tmp_path / "context", {"Dockerfile": f"FROM {image}\nCOPY file /file\n", "file": "text"})
    proxy.plan = lambda asked: Fault(cut=300_000) if asked.is_blob else GOOD
    polyarch("build", "-t", "built", context)
    is_whole(polyarch, "docker.io/library/built:latest")
    proxy.plan = lambda asked: Fault(flip=300_000) if asked.is_blob else GOOD
    other = polyarch.on(tmp_path / "other")
    assert "sha256:" in other.fails("build", "-t", "built", context).stderr
    assert crash.names(other.root) == {}
    polyarch.on(tmp_path / "other")("system", "fsck")


def test_a_slow_registry_is_waited_for(polyarch: Program, proxy: Proxy, image: str) -> None:
    proxy.plan = lambda asked: Fault(rate=1 << 20, wait=0.05)
    polyarch("pull", "--all-platforms", image)
    is_whole(polyarch, image)


def test_tokens_that_expire_on_the_way_are_renewed(polyarch: Program, proxy: Proxy, image: str) -> None:
    proxy.token_seconds = 0.3
    proxy.plan = lambda asked: Fault(cut=200_000, rate=1 << 20) if asked.is_blob else GOOD
    polyarch("pull", "--all-platforms", image)
    is_whole(polyarch, image)
    used = {asked.headers.get("Authorization", "") for asked in proxy.asked} - {""}
    assert len(used) > 2


def test_a_redirect_to_another_host_takes_no_credentials_along(
    polyarch: Program, proxy: Proxy, image: str, registry: LocalRegistry
) -> None:
    with between(registry.address) as other:
        proxy.token_seconds = 60
        proxy.plan = lambda asked: Fault(redirect=other.address) if asked.is_blob else GOOD
        other.plan = lambda asked: Fault(cut=400_000)
        polyarch("pull", "--all-platforms", image)
        is_whole(polyarch, image)
        assert any("Authorization" in asked.headers for asked in proxy.asked)
        assert [asked.headers.get("Authorization") for asked in other.asked] == [None] * len(other.asked) != []


@pytest.mark.parametrize("tokens", [None, 0.3])
def test_an_upload_that_is_cut_is_sent_again(
    polyarch: Program, proxy: Proxy, image: str, registry: LocalRegistry, tokens: float | None
) -> None:
    polyarch("pull", "--all-platforms", image)
    polyarch("tag", image, f"{proxy.address}/other:1")
    proxy.token_seconds = tokens
    cut = [2]

    def plan(asked: Asked) -> Fault:
        if asked.is_upload and cut[0] and "/other/" in asked.path:
            cut[0] -= 1
            return Fault(wait=0.2, cut_upload=100_000 if int(asked.headers.get("Content-Length", 0)) > 100_000 else 0)
        return Fault(status=404) if "mount=" in asked.path else GOOD

    proxy.plan = plan
    polyarch("push", f"{proxy.address}/other:1")
    assert cut == [0]
    arrived(registry, "other:1", polyarch.home / "arrived")


def test_an_image_whose_upload_keeps_failing_is_not_named(
    polyarch: Program, proxy: Proxy, image: str, registry: LocalRegistry
) -> None:
    polyarch("pull", "--all-platforms", image)
    polyarch("tag", image, f"{proxy.address}/other:1")
    proxy.plan = lambda asked: Fault(status=500) if asked.is_upload or "mount=" in asked.path else GOOD
    polyarch.fails("push", f"{proxy.address}/other:1")
    assert not any("PUT /v2/other/manifests/1 " in line for line in registry.requests())


def arrived(registry: LocalRegistry, name: str, place: Path) -> None:
    """skopeo finds all platforms, whole."""
    run(
        [
            "skopeo",
            "copy",
            "--quiet",
            "--all",
            "--src-tls-verify=false",
            f"docker://{registry.address}/{name}",
            f"dir:{place}",
        ]
    )


# Repeated requests wait longer each time, and how many there are depends on the order of threads.
@pytest.mark.timeout(600)
def test_any_mixture_of_faults_ends_in_the_whole_or_in_nothing(
    polyarch: Program, proxy: Proxy, image: str, tmp_path: Path
) -> None:
    dice = random.Random(_SEED)
    for number in range(4):
        other = polyarch.on(tmp_path / f"store-{number}")
        outcome(other, proxy, image, dice)


def outcome(polyarch: Program, proxy: Proxy, image: str, dice: random.Random) -> bool:
    """Pull with random faults; whether it succeeded. Raises AssertionError if a promise was broken."""
    often = dice.choice((0.1, 0.3, 0.6))
    proxy.plan = lambda asked: random_fault(dice) if dice.random() < often else GOOD
    done = polyarch("pull", "--all-platforms", image, check=False)
    proxy.plan = lambda asked: GOOD
    if done.status == 0:
        is_whole(polyarch, image)
        return True
    assert done.stderr.strip()
    assert "bug in polyarch" not in done.stderr, str(done)
    nothing_came(polyarch)
    polyarch("pull", "--all-platforms", image)
    is_whole(polyarch, image)
    return False


def random_fault(dice: random.Random) -> Fault:
    """A random fault of a network or a registry."""
    at = dice.choice((0, 1, 100, dice.randrange(1 << 20)))
    return dice.choice(
        (
            Fault(cut=at),
            Fault(flip=at),
            Fault(shorten=1),
            Fault(wait=0.05, rate=4 << 20),
            Fault(status=dice.choice((429, 500, 502, 503, 504)), headers={"Retry-After": "0"}),
            Fault(status=dice.choice((400, 403, 404, 416))),
        )
    )


def test_a_network_without_faults_is_noticed(polyarch: Program, proxy: Proxy, image: str) -> None:
    """The proxy itself changes nothing, and counts what it does."""
    polyarch("pull", "--all-platforms", image)
    assert proxy.harmed == 0
    proxy.plan = lambda asked: Fault(flip=0) if asked.is_manifest else GOOD
    polyarch.on(polyarch.home / "second").fails("pull", image)
    assert proxy.harmed > 0
