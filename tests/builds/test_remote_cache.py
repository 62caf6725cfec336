"""`--cache-to` and `--cache-from`: a machine that starts empty builds what others built already."""

import base64
import hashlib
import json
import re
import shutil
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from scripts.local_registry import LocalRegistry
from tests.program import Program, Result

Context = Callable[..., Path]
Machine = Callable[[], Program]

DOCKERFILE = """\
FROM {base} AS tools
RUN echo tool $(cat /proc/sys/kernel/random/uuid) > /tool
FROM {base}
COPY file /file
RUN echo made $(cat /proc/sys/kernel/random/uuid) > /made
COPY --from=tools /tool /tool
RUN cat /tool /made > /both
"""


def digest(result: Result) -> str:
    """The digest that a build with -q prints."""
    return result.stdout.strip()


def ran(result: Result) -> int:
    """How many steps a build with --progress=plain did, and did not find."""
    steps = re.findall(r"#(\d+) \[linux.*\d/\d\] (?:RUN|COPY|WORKDIR)", result.stderr)
    return sum(f"#{step} CACHED" not in result.stderr for step in steps)


def test_a_cold_machine_runs_nothing_and_gets_the_same_image(
    machine: Machine, registry: LocalRegistry, base: str, context: Context
) -> None:
    directory = context(DOCKERFILE.format(base=base), "file = content")
    name, cache = f"{registry.address}/app:1", f"type=registry,ref={registry.address}/app:cache"
    first = machine()("build", "-q", "--push", "-t", name, "--cache-to", f"{cache},mode=max", directory)
    cold, asked = machine(), len(registry.requests())
    second = cold(
        "build", "--push", "--progress=plain", "-t", f"{registry.address}/b:1", "--cache-from", cache, directory
    )
    assert ran(second) == 0
    assert digest(first) in second.stderr
    assert "importing cache manifest from" in second.stderr
    moved = [line for line in registry.requests()[asked:] if line.startswith("GET /v2/app/blobs/")]
    assert moved == [], "nothing reads the layers"
    read = [line for line in registry.requests()[asked:] if line.startswith("GET /v2/app/manifests/")]
    assert len(read) == 2, "the index, and the cache of one platform"
    uploads = [line for line in registry.requests()[asked:] if line.startswith("PUT /v2/b/blobs/")]
    assert len(uploads) <= 1, "only the config is sent, because the layers are mounted"
    explained = cold("explain", f"{registry.address}/b:1").stdout
    assert explained.count(f"found in {registry.address}/app:cache") == 4


@pytest.fixture
def shared(registry: LocalRegistry) -> str:
    """A cache in the registry, as --cache-to and --cache-from name it."""
    return f"type=registry,ref={registry.address}/app:cache"


def blobs_asked(registry: LocalRegistry, since: int) -> set[str]:
    """The repositories of which a blob was downloaded."""
    lines = (re.match(r"GET /v2/(\S+)/blobs/", line) for line in registry.requests()[since:])
    return {line[1] for line in lines if line is not None}


def put(
    registry: LocalRegistry, name: str, tag: str, config: bytes, media_type: str, layers: Any = (), **more: Any
) -> dict[str, Any]:
    """Put a manifest with this config, as another program would. Returns its descriptor."""
    digest = "sha256:" + hashlib.sha256(config).hexdigest()
    begin = urllib.request.Request(f"{registry.url}/v2/{name}/blobs/uploads/", method="POST")
    with urllib.request.urlopen(begin) as answer:
        location = answer.headers["Location"]
    kind = {"Content-Type": "application/octet-stream"}
    upload = urllib.request.Request(f"{location}&digest={digest}", data=config, method="PUT", headers=kind)
    urllib.request.urlopen(upload).close()
    described = {"mediaType": media_type, "digest": digest, "size": len(config)}
    manifest = "application/vnd.oci.image.manifest.v1+json"
    return put_manifest(registry, name, tag, manifest, config=described, layers=list(layers), **more)


def put_manifest(registry: LocalRegistry, name: str, tag: str, media_type: str, **document: Any) -> dict[str, Any]:
    """Put a manifest or an index. Returns its descriptor."""
    raw = json.dumps({"schemaVersion": 2, "mediaType": media_type, **document}).encode()
    url = f"{registry.url}/v2/{name}/manifests/{tag}"
    request = urllib.request.Request(url, data=raw, method="PUT", headers={"Content-Type": media_type})
    urllib.request.urlopen(request).close()
    return {"mediaType": media_type, "digest": "sha256:" + hashlib.sha256(raw).hexdigest(), "size": len(raw)}


def test_what_changed_is_done_and_only_what_it_needs_is_downloaded(
    machine: Machine, registry: LocalRegistry, base: str, context: Context, shared: str
) -> None:
    dockerfile = DOCKERFILE.format(base=base)
    machine()("build", "-q", "--cache-to", f"{shared},mode=max", context(dockerfile, "file = content"))
    cold = machine()
    changed = context(f"{dockerfile}COPY other /other\n", "file = content\nother = x")
    asked = len(registry.requests())
    result = cold(
        "build", "--push", "--progress=plain", "-t", f"{registry.address}/b:1", "--cache-from", shared, changed
    )
    assert ran(result) == 1
    assert blobs_asked(registry, asked) <= {"base", "app"}
    again = context(dockerfile.replace("cat /tool /made", "cat /made /tool"), "file = content")
    result = machine()("build", "--progress=plain", "--cache-from", shared, again)
    assert ran(result) == 1
    assert "importing cache manifest" in result.stderr


@pytest.mark.parametrize("filled", [False, True])
def test_a_cache_that_has_nothing_costs_one_request(
    machine: Machine, registry: LocalRegistry, base: str, context: Context, shared: str, filled: bool
) -> None:
    if filled:
        machine()("build", "-q", "--cache-to", f"{shared},mode=max", context(f"FROM {base}\nRUN echo else > /else"))
    directory = context(f"FROM {base}\nCOPY file /file\n", "file = content")
    numbers = []
    for words in ([], ["--cache-from", shared]):
        before = len(registry.requests())
        result = machine()("build", "--progress=plain", *words, directory)
        numbers.append(len(registry.requests()) - before)
        assert "warning" not in result.stderr.lower()
    assert numbers[1] - numbers[0] <= 1


def test_runners_of_two_platforms_fill_one_cache_for_a_third(
    machine: Machine, registry: LocalRegistry, base: str, context: Context, shared: str
) -> None:
    directory = context(f"FROM {base}\nRUN uname -m > /machine\nCOPY file /file", "file = content")
    for platform in ("linux/amd64", "linux/arm64"):
        machine()("build", "-q", "--platform", platform, "--cache-to", shared, directory)
    both = machine()(
        "build", "--progress=plain", "--platform=linux/amd64,linux/arm64", "--cache-from", shared, directory
    )
    assert ran(both) == 0
    assert both.stderr.count("importing cache manifest") == 1


def test_min_has_the_layers_of_the_image_and_max_those_of_all_steps(
    machine: Machine, base: str, context: Context, tmp_path: Path
) -> None:
    directory = context(DOCKERFILE.format(base=base), "file = content")
    for mode, steps in (("min", 4), ("max", 5)):
        place = tmp_path / mode
        machine()("build", "-q", "--cache-to", f"type=local,dest={place},mode={mode}", directory)
        entries = entries_of(place)
        assert len(entries) == steps
        assert any("echo tool" in entry["step"] for entry in entries.values()) == (mode == "max")
        result = machine()("build", "--progress=plain", "--cache-from", f"type=local,src={place}", directory)
        assert ran(result) == 0


def test_a_build_may_only_fill_a_cache(machine: Machine, base: str, context: Context, tmp_path: Path) -> None:
    place = tmp_path / "cache"
    directory = context(DOCKERFILE.format(base=base), "file = content")
    one = machine()
    one("build", "-o", "type=cacheonly", "--cache-to", f"type=local,dest={place},mode=max", directory)
    assert one("images", "-q").stdout == ""
    assert len(entries_of(place)) == 5
    failed = one.fails("build", "--cache-to", f"type=local,dest={directory}", directory)
    assert "neither an OCI image layout nor an empty directory" in failed.stderr
    failed = one.fails("build", "--cache-to", f"type=local,dest={directory}/file", directory)
    assert "cannot write the cache" in failed.stderr


def entries_of(place: Path, platform: str = "amd64") -> dict[str, dict[str, str]]:
    """The entries of a platform's cache in a directory."""

    def read(digest: str) -> Any:
        return json.loads((place / "blobs" / digest.replace(":", "/")).read_text())

    index = read(json.loads((place / "index.json").read_text())["manifests"][0]["digest"])
    (entry,) = (entry for entry in index["manifests"] if entry["platform"]["architecture"] == platform)
    found: dict[str, dict[str, str]] = read(read(entry["digest"])["config"]["digest"])["entries"]
    return found


def test_layers_of_a_directory_are_read_when_they_are_needed(
    machine: Machine, base: str, context: Context, tmp_path: Path
) -> None:
    place = tmp_path / "cache"
    directory = context(f"FROM {base}\nRUN echo made > /made", "")
    machine()("build", "-q", "--cache-to", f"type=local,dest={place}", directory)
    cold = machine()
    more = context(f"FROM {base}\nRUN echo made > /made\nRUN cat /made > /read", "")
    files = tmp_path / "files"
    result = cold(
        "build", "--progress=plain", "--cache-from", f"type=local,src={place}", "-o", f"type=local,dest={files}", more
    )
    assert ran(result) == 1
    assert (files / "read").read_text() == "made\n"
    shutil.rmtree(place)
    quiet = machine()("build", "--progress=plain", "--cache-from", f"type=local,src={place}", directory)
    assert "warning" not in quiet.stderr.lower()


def test_a_directory_that_is_no_cache_or_cannot_be_read_is_a_note(
    machine: Machine, base: str, context: Context, tmp_path: Path
) -> None:
    directory, place = context(f"FROM {base}\nRUN true", ""), tmp_path / "cache"
    machine()("build", "-q", "--cache-to", f"type=local,dest={place}", directory)
    (place / "index.json").rename(place / "other")
    (place / "index.json").mkdir()
    for source, why in ((place, "Is a directory"), (directory, "is not an OCI image layout")):
        cold = machine()
        result = cold("build", "--progress=plain", "--cache-from", f"type=local,src={source}", directory)
        assert ran(result) == 1
        assert f"the cache is not used: {'cannot read the cache ' if source == place else ''}{source}" in result.stderr
        assert why in result.stderr


@pytest.mark.parametrize("words", [["--cache-to", "type=inline"], ["--build-arg", "BUILDKIT_INLINE_CACHE=1"]])
def test_an_image_has_its_own_cache_on_request(
    machine: Machine, registry: LocalRegistry, base: str, context: Context, words: list[str]
) -> None:
    name = f"{registry.address}/inline:1"
    directory = context(f"FROM {base}\nRUN cat /proc/sys/kernel/random/uuid > /id\nCOPY file /file", "file = content")
    plain = digest(machine()("build", "-q", directory))
    first = machine()
    with_cache = digest(first("build", "-q", "--push", "-t", name, *words, directory))
    result = machine()("build", "--progress=plain", "--cache-from", name, directory)
    assert ran(result) == 0
    again = first("build", "--progress=plain", directory).stderr.split()[-1]
    assert again in result.stderr, "without the annotation it is the same image"
    assert plain != with_cache


def test_caches_of_others_are_named_and_passed_over(
    machine: Machine, registry: LocalRegistry, base: str, context: Context
) -> None:
    put(registry, "buildkit", "cache", b'{"layers":[],"records":[]}', "application/vnd.buildkit.cacheconfig.v0")
    newer = "application/vnd.polyarch.cache.v9+json"
    put(registry, "newer", "cache", b"{}", "application/vnd.oci.empty.v1+json", artifactType=newer)
    directory = context(f"FROM {base}\nRUN true", "")
    said = {
        "buildkit": "is a cache that BuildKit made",
        "newer": "is a cache of a newer version",
        "base": "is an image without a cache in it",
    }
    for name, text in said.items():
        cold, tag = machine(), "1" if name == "base" else "cache"
        result = cold(
            "build", "--progress=plain", "-t", "x", "--cache-from", f"{registry.address}/{name}:{tag}", directory
        )
        assert ran(result) == 1
        assert (text in result.stderr) == (name != "base"), "an image without a cache is not worth a warning"
        assert "has no result" in cold("explain", "x").stdout or text in cold("explain", "x").stdout
    for name in ("newer", "base"):
        tag = "1" if name == "base" else "cache"
        words = ["--cache-to", f"{registry.address}/{name}:{tag}"]
        failed = machine().fails("build", "-q", *words, directory)
        assert "a cache does not replace it" in failed.stderr
    replaced = machine()("build", "--cache-to", f"{registry.address}/buildkit:cache", directory)
    assert "was a cache of BuildKit, and is replaced" in replaced.stderr
    assert (
        ran(machine()("build", "--progress=plain", "--cache-from", f"{registry.address}/buildkit:cache", directory))
        == 0
    )


def test_a_cache_that_cannot_be_written_fails_the_build_unless_it_may(
    machine: Machine, registry: LocalRegistry, base: str, context: Context
) -> None:
    directory = context(f"FROM {base}\nRUN true", "")
    nowhere = "type=registry,ref=127.0.0.1:1/nowhere:cache"
    one = machine()
    failed = one.fails("build", "--push", "-t", f"{registry.address}/b:1", "--cache-to", nowhere, directory)
    assert "the cache was not written" in failed.stderr
    assert "ignore-error=true" in failed.stderr
    assert any(line.startswith("PUT /v2/b/manifests/1 201") for line in registry.requests()), "the image was pushed"
    result = one(
        "build", "--cache-to", f"{nowhere},ignore-error=true", "--cache-from", nowhere, "--no-cache", directory
    )
    assert "the cache was not written" in result.stderr


def test_a_damaged_cache_is_a_note_and_the_next_export_replaces_it(
    machine: Machine, registry: LocalRegistry, base: str, context: Context, shared: str
) -> None:
    directory = context(f"FROM {base}\nRUN true", "")
    machine()("build", "-q", "--cache-to", shared, directory)
    artifact, config = (f"application/vnd.polyarch.cache.{kind}v1+json" for kind in ("", "config."))
    broken = put(registry, "app", "cache-linux-amd64", b"{", config, artifactType=artifact)
    platform = {"os": "linux", "architecture": "amd64"}
    index = "application/vnd.oci.image.index.v1+json"
    put_manifest(registry, "app", "cache", index, artifactType=artifact, manifests=[{**broken, "platform": platform}])
    result = machine()("build", "--progress=plain", "--cache-from", shared, "--cache-to", shared, directory)
    assert ran(result) == 1
    assert "the cache is not used" in result.stderr
    assert ran(machine()("build", "--progress=plain", "--cache-from", shared, directory)) == 0


def test_no_secret_and_no_source_of_one_is_in_a_cache(
    machine: Machine, registry: LocalRegistry, base: str, context: Context, shared: str, tmp_path: Path
) -> None:
    (tmp_path / "where-it-is").write_text("hunter2-secret")
    run = "RUN --mount=type=secret,id=key,target=/key test -s /key && echo done > /done"
    directory = context(f"FROM {base} AS one\n{run}\nFROM {base}\nCOPY --from=one /done /done", "")
    secret = f"id=key,src={tmp_path}/where-it-is"
    words = ["--build-arg", "TOKEN=hunter3-argument", "--secret", secret]
    machine()("build", "-q", *words, "--cache-to", f"{shared},mode=max", "--cache-to", "type=inline", directory)
    machine()("build", "-q", *words, "--cache-to", f"type=local,dest={tmp_path}/cache,mode=max", directory)
    files = [*registry.storage.rglob("data")]
    files += [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    contents = [path.read_bytes() for path in files]
    assert any(b"echo done" in content for content in contents), "the step's name is there"
    for word in (b"hunter2-secret", b"hunter3-argument", b"where-it-is"):
        assert all(word not in content for content in contents)


def test_the_time_of_a_cached_layer_does_not_leak_into_a_dated_image(
    machine: Machine, base: str, context: Context, tmp_path: Path
) -> None:
    directory = context(f"FROM {base}\nRUN echo made > /made", "")
    epoch = ["--build-arg", "SOURCE_DATE_EPOCH=1000000000"]
    place = tmp_path / "cache"
    # -q prints another digest for one image: that of its config.
    made = machine()("build", "--progress=plain", *epoch, "--cache-to", f"type=local,dest={place}", directory)
    first = made.stderr.split()[-1]
    assert all(not entry["created"].startswith("2001") for entry in entries_of(place).values())
    cold = machine()
    result = cold("build", "--progress=plain", *epoch, "--cache-from", f"type=local,src={place}", directory)
    assert ran(result) == 0
    assert first in result.stderr


def test_old_layers_are_not_used_and_unused_ones_are_removed(
    machine: Machine, base: str, context: Context, tmp_path: Path
) -> None:
    place = tmp_path / "cache"
    first, second = (context(f"FROM {base}\nRUN echo {word} > /made", "") for word in ("one", "two"))
    machine()("build", "-q", "--cache-to", f"type=local,dest={place}", first)
    young = machine()("build", "--progress=plain", "--cache-from", f"type=local,src={place},ttl=1h", first)
    old = machine()("build", "--progress=plain", "--cache-from", f"type=local,src={place},ttl=1ns", first)
    assert (ran(young), ran(old)) == (0, 1)
    machine()("build", "-q", "--cache-to", f"type=local,dest={place},ttl=1h,reset=true", second)
    assert len(entries_of(place)) == 2, "it was used today"


def test_a_compression_of_its_own(machine: Machine, base: str, context: Context, tmp_path: Path) -> None:
    place = tmp_path / "cache"
    directory = context(f"FROM {base} AS one\nRUN echo made > /made\nFROM {base}\nCOPY --from=one /made /", "")
    words = f"type=local,dest={place},mode=max,compression=zstd,force-compression=true"
    first = machine()("build", "-q", "--cache-to", words, directory)
    names = [path.read_bytes()[:4] for path in (place / "blobs/sha256").iterdir()]
    assert names.count(b"\x28\xb5\x2f\xfd") == 2
    result = machine()("build", "--progress=plain", "--cache-from", f"type=local,src={place}", directory)
    assert ran(result) == 0
    assert digest(first) not in result.stderr


def test_a_dry_run_and_the_reasons_name_the_cache(
    machine: Machine, registry: LocalRegistry, base: str, context: Context, shared: str
) -> None:
    directory = context(f"FROM {base}\nRUN true", "")
    cold = machine()
    cold("build", "-q", "-t", "x", "--cache-from", shared, directory)
    assert f"{registry.address}/app:cache does not exist yet" in cold("explain", "x").stdout
    machine()("build", "-q", "--cache-to", shared, directory)
    planned = machine()("explain", "--cache-from", shared, str(directory)).stdout
    assert f"found in {registry.address}/app:cache" in planned


def test_a_layer_that_is_not_what_the_cache_says_is_an_error(
    machine: Machine, registry: LocalRegistry, base: str, context: Context, shared: str
) -> None:
    """The cache says that a step made the layer of another step, whose content has another digest."""
    lines = f"FROM {base}\nRUN echo one > /one\nRUN echo two > /two\n"
    machine()("build", "-q", "--cache-to", shared, context(lines, ""))
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    request = urllib.request.Request(f"{registry.url}/v2/app/manifests/cache-linux-amd64", headers=accept)
    with urllib.request.urlopen(request) as answer:
        manifest = json.load(answer)
    config = json.loads(base64.b64decode(manifest["config"]["data"]))
    one, two = (next(e for e in config["entries"].values() if word in e["step"]) for word in ("one", "two"))
    one["blob"] = two["blob"]
    more = {"artifactType": manifest["artifactType"]}
    raw = json.dumps(config).encode()
    lying = put(registry, "app", "cache-linux-amd64", raw, manifest["config"]["mediaType"], manifest["layers"], **more)
    platform = {"os": "linux", "architecture": "amd64"}
    index = "application/vnd.oci.image.index.v1+json"
    put_manifest(registry, "app", "cache", index, manifests=[{**lying, "platform": platform}], **more)
    failed = machine().fails("build", "--cache-from", shared, context(f"{lines}RUN cat /one\n", ""))
    assert "does not match" in failed.stderr or "is not what its image or build cache says" in failed.stderr
    assert "Traceback" not in failed.stderr


LOST = """\
FROM {base} AS tools
RUN echo tool > /tool
FROM {base}
RUN echo one > /one
COPY --from=tools /tool /tool
"""


@pytest.mark.parametrize(
    ("step", "more", "options"),
    [
        ("RUN echo one", "", ()),
        ("RUN echo one", "", ("--push", "-t", "{registry}/other:1")),
        ("RUN echo one", "", ("--push", "-t", "{registry}/app:1")),
        ("RUN echo one", "RUN cat /one > /two\n", ("-t", "app")),
        ("RUN echo one", "COPY --chown=1 /file /new/\n", ("-t", "app")),
        ("RUN echo tool", "COPY --from=tools /tool /again\n", ("-t", "app")),
    ],
)
def test_a_layer_that_its_registry_lost_is_made_again(
    machine: Machine,
    registry: LocalRegistry,
    base: str,
    context: Context,
    shared: str,
    step: str,
    more: str,
    options: Sequence[str],
    tmp_path: Path,
) -> None:
    place = tmp_path / "cache"
    directory = context(LOST.format(base=base), "file = content")
    cache = ("--cache-to", f"{shared},mode=max", "--cache-to", f"type=local,dest={place},mode=max")
    machine()("build", "-q", *cache, directory)
    (lost,) = (entry["blob"] for entry in entries_of(place).values() if step in entry["step"])
    registry.blob_path(lost).unlink()
    longer = context(LOST.format(base=base) + more, "file = content")
    words = [word.format(registry=registry.address) for word in options]
    cold = machine()
    again = cold("build", "--progress=plain", *words, "--cache-from", shared, *cache[:2], longer)
    if lost in again.stderr:
        assert f"{registry.address}/app:cache has lost the layer {lost}" in again.stderr
    assert "Traceback" not in again.stderr
    # The cache is whole again.
    third = machine()("build", "--progress=plain", *words, "--cache-from", shared, longer)
    # A layer of the same second is the same layer again, so its digest may be in the output.
    assert (ran(third), "has lost" in third.stderr) == (0, False)


def test_what_the_registry_of_a_cache_lost_is_named_no_longer(
    machine: Machine, registry: LocalRegistry, base: str, context: Context, shared: str, tmp_path: Path
) -> None:
    place = tmp_path / "cache"
    old = context(f"FROM {base}\nRUN echo old > /old\n", "")
    machine()("build", "-q", "--cache-to", shared, "--cache-to", f"type=local,dest={place}", old)
    (entry,) = entries_of(place).values()
    registry.blob_path(entry["blob"]).unlink()
    new = context(f"FROM {base}\nRUN echo new > /new\n", "")
    said = machine()("build", "--progress=plain", "--cache-to", shared, new).stderr
    assert f"{registry.address}/app:cache has lost {entry['blob']}, and does not name it any more" in said
    assert ran(machine()("build", "--progress=plain", "--cache-from", shared, new)) == 0
    again = machine()("build", "--progress=plain", "--cache-from", shared, old)
    assert (ran(again), "has lost" in again.stderr) == (1, False)


def test_a_layer_that_several_targets_lost_is_made_again_once(
    machine: Machine, registry: LocalRegistry, base: str, context: Context, shared: str, tmp_path: Path
) -> None:
    place = tmp_path / "cache"
    directory = context(f"FROM {base}\nRUN echo one > /one\nARG NAME\nRUN echo $NAME > /name\n", "")
    targets = {
        name: {"context": str(directory), "tags": [name], "args": {"NAME": name}, "cache-from": [shared]}
        for name in "ab"
    }
    file = tmp_path / "docker-bake.json"
    file.write_text(json.dumps({"group": {"default": {"targets": ["a", "b"]}}, "target": targets}))
    local = ("--cache-to", f"type=local,dest={place}")
    machine()("build", "-q", "--build-arg", "NAME=a", "--cache-to", shared, *local, directory)
    lost = next(entry["blob"] for entry in entries_of(place).values() if "one" in entry["step"])
    registry.blob_path(lost).unlink()
    cold = machine()
    baked = cold("bake", "--progress=plain", f"--allow=fs.read={directory}", "-f", str(file))
    assert baked.stderr.count(f"has lost the layer {lost}") == 1
    assert [cold("run", name, "cat", "/one", "/name").stdout for name in "ab"] == ["one\na\n", "one\nb\n"]


def test_a_layer_that_is_lost_is_said_and_another_cache_may_have_it(
    machine: Machine, registry: LocalRegistry, base: str, context: Context, shared: str, tmp_path: Path
) -> None:
    directory = context(f"FROM {base}\nRUN echo one > /one\n", "")
    place = tmp_path / "cache"
    machine()("build", "-q", "--cache-to", shared, "--cache-to", f"type=local,dest={place}", directory)
    (entry,) = entries_of(place).values()
    registry.blob_path(entry["blob"]).unlink()
    cold = machine()
    again = cold("build", "-t", "app", "--progress=plain", "--cache-from", shared, directory)
    assert f"{registry.address}/app:cache has lost the layer {entry['blob']}" in again.stderr
    assert again.stderr.count("has lost the layer") == 1
    assert cold("run", "app", "cat", "/one").stdout == "one\n"
    assert "lost its layer" in cold("explain", "app").stdout
    (place / "blobs" / entry["blob"].replace(":", "/")).unlink()
    again = machine()("build", "--progress=plain", "--cache-from", f"type=local,src={place}", directory)
    assert ran(again) == 1, "a directory can be looked at"


def test_dockers_format_has_no_place_for_an_inline_cache(machine: Machine, base: str, context: Context) -> None:
    words = ["--cache-to", "type=inline,mode=max", "-o", "type=image,oci-mediatypes=false"]
    result = machine()("build", *words, context(f"FROM {base}\nRUN true", ""))
    assert "the image gets no inline cache" in result.stderr
    assert "mode=max needs type=registry" in result.stderr
