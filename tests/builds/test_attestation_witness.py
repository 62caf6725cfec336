"""BuildKit makes attestations of the same form: the peer of tests/builds/test_attestations.py."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from polyarch.attest.provenance import BUILD_TYPE
from scripts import buildkit_daemon, local_registry
from scripts.buildkit_daemon import BuildKitDaemon
from scripts.local_registry import LocalRegistry
from tests import bases, trees
from tests.builds.test_attestations import Place
from tests.needs import need, need_root
from tests.program import Program, run

DOCKERFILE = """FROM busybox AS base
ARG WORD=one
RUN --mount=type=secret,id=token echo $WORD > /word
FROM busybox
COPY --from=base /word /word
COPY a /a
"""
BUILDKIT = {
    "https://slsa.dev/provenance/v1": "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md",
    "https://slsa.dev/provenance/v0.2": "https://mobyproject.org/buildkit@v1",
}
NAME = "localhost:5000/team/app:1"
# What differs in each build, and the program.
VARYING = (
    "invocationId",
    "buildInvocationID",
    "startedOn",
    "finishedOn",
    "buildStartedOn",
    "buildFinishedOn",
    "version",
)
ALIKE = (*VARYING, "buildType")
# With mode=max, the steps are described in another way.
OURS = {"steps"}
THEIRS = {"llbDefinition", "digestMapping"}


class Witness:
    """Both builders with the same base. Calling it builds with both and returns the indexes of the archives."""

    def __init__(self, polyarch: Program, daemon: BuildKitDaemon, directory: Path) -> None:
        self.polyarch = polyarch
        self.daemon = daemon
        self.directory = directory

    def ours(self, *words: str) -> None:
        self.polyarch("build", "-q", *words, self.directory / "context")

    def theirs(self, *words: str) -> None:
        env = {**self.daemon.environment, "PATH": "/usr/bin:/bin", "HOME": str(self.directory)}
        run([*self.daemon.buildx("build", "-q", *words), self.directory / "context"], env=env)

    def archives(self, *words: str, output: str = "") -> "tuple[tuple[Place, str], tuple[Place, str]]":
        found = []
        for build in (self.ours, self.theirs):
            target = self.directory / f"{build.__name__}.tar"
            build("--network=host", "-t", NAME, *words, "-o", f"type=oci,dest={target}{output}")
            found.append(Place.of_archive(target))
        return found[0], found[1]


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory, busybox_store: Path) -> Iterator[Witness]:
    need_root()
    need("docker-registry", "unshare")
    directory = tmp_path_factory.mktemp("witness")
    polyarch = Program(directory / "store", directory)
    bases.copy_store(busybox_store, polyarch.root)
    trees.write(directory / "context", {"Dockerfile": DOCKERFILE, "a": "a\n", "b": "b\n"})
    (directory / "token").write_text("hunter2")
    with local_registry.running(directory / "registry") as registry:
        _push(polyarch, registry)
        with buildkit_daemon.running(mirror=registry.url) as daemon:
            yield Witness(polyarch, daemon, directory)


def _push(polyarch: Program, registry: LocalRegistry) -> None:
    polyarch("tag", "busybox", f"{registry.address}/library/busybox:latest")
    polyarch("push", f"{registry.address}/library/busybox:latest")


def manifests(place: Place, root: str) -> list[Any]:
    """The entries and the manifests of attestations, without digests and sizes."""
    found: list[Any] = []
    for entry in place.json(root)["manifests"]:
        if entry["platform"]["os"] == "unknown":
            manifest = place.json(entry["digest"])
            config = place.json(manifest["config"]["digest"])
            found += [{**entry, "annotations": sorted(entry["annotations"])}, manifest, config]
    return [_without(one, ("digest", "size", "diff_ids", "in-toto.io/predicate-type")) for one in found]


def predicates(place: Place, root: str) -> list[dict[str, Any]]:
    found = []
    for manifest in place.attestations(root).values():
        for layer in manifest["layers"]:
            statement = place.json(layer["digest"])
            assert layer["annotations"]["in-toto.io/predicate-type"] == statement["predicateType"]
            found.append(statement)
    return found


def _without(value: Any, names: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return {key: _without(item, names) for key, item in value.items() if key not in names}
    return [_without(item, names) for item in value] if isinstance(value, list) else value


def _keys(value: Any, place: str = "") -> set[str]:
    """The paths of all fields; items of a list have one path, and so have the steps of a map."""
    if isinstance(value, list):
        return set().union(*(_keys(item, f"{place}[]") for item in value))
    if not isinstance(value, dict):
        return {place}
    names = {key: "stepN" if key.startswith("step") and key[4:5].isdigit() else key for key in value}
    return set().union({place}, *(_keys(item, f"{place}.{names[key]}") for key, item in value.items()))


BOTH = "--platform=linux/amd64,linux/arm64"


@pytest.mark.parametrize("form", [",oci-artifact=true", ",oci-artifact=false"])
def test_index_and_manifests_have_the_same_form(witness: Witness, form: str) -> None:
    # arm64 would need emulation for RUN.
    ours, theirs = witness.archives("--provenance=mode=min", "--target=base", output=form)
    assert manifests(*ours) == manifests(*theirs)


@pytest.mark.parametrize("version", ["v1", "v0.2"])
def test_provenance_is_the_same_with_mode_min(witness: Witness, version: str) -> None:
    words = ("--build-arg=WORD=two", "--label=a=b", "--add-host=x:10.0.0.1", "--target=base", "--no-cache-filter=base")
    ours, theirs = witness.archives(f"--provenance=mode=min,version={version},builder-id=https://ci/1", *words)
    for our, their in zip(predicates(*ours), predicates(*theirs), strict=True):
        assert our["predicateType"] == their["predicateType"]
        assert [subject["name"] for subject in our["subject"]] == [subject["name"] for subject in their["subject"]]
        assert _without(our["predicate"], ALIKE) == _without(their["predicate"], ALIKE)
        types = [(one["predicate"].get("buildDefinition") or one["predicate"])["buildType"] for one in (our, their)]
        assert types == [BUILD_TYPE, BUILDKIT[our["predicateType"]]]


@pytest.mark.parametrize("version", ["v1", "v0.2"])
def test_provenance_has_the_same_fields_with_mode_max(witness: Witness, version: str) -> None:
    words = ("--build-arg=WORD=two", f"--secret=id=token,src={witness.directory}/token")
    ours, theirs = witness.archives(f"--provenance=mode=max,version={version},reproducible=true", *words)
    ((our,), (their,)) = predicates(*ours), predicates(*theirs)
    assert _keys(_without(our["predicate"], (*VARYING, *OURS, "annotations"))) == _keys(
        _without(their["predicate"], (*VARYING, *THEIRS))
    )
    v1 = version == "v1"
    parameters = [one["predicate"]["buildDefinition"]["externalParameters"]["request"] for one in (our, their) if v1]
    parameters += [one["predicate"]["invocation"]["parameters"] for one in (our, their) if not v1]
    assert parameters[0] == parameters[1]
    lines = [_lines(one["predicate"]) for one in (our, their)]
    assert lines[0] == lines[1]


def _lines(predicate: dict[str, Any]) -> set[int]:
    """The lines of the Dockerfile that steps come from."""
    text = json.dumps(predicate)
    found = json.loads(text)
    metadata = found.get("runDetails", found).get("metadata")
    source = (metadata.get("buildkit_metadata") or metadata["https://mobyproject.org/buildkit@v1#metadata"])["source"]
    return {
        each["start"]["line"]
        for one in source["locations"].values()
        for location in one.get("locations", ())
        for each in location["ranges"]
        # Of a base that several stages have, this builder names the first FROM.
        if each["start"]["line"] != DOCKERFILE[: DOCKERFILE.rindex("FROM")].count("\n") + 1
    }


def test_files_have_the_same_names_and_subjects(witness: Witness, tmp_path: Path) -> None:
    for words, options in (((), ""), ((), ",platform-split=true"), ((), ",attestation-prefix=x.")):
        found = []
        for build in (witness.ours, witness.theirs):
            out = tmp_path / f"{build.__name__}{options}"
            build(
                "--network=host",
                "--provenance=mode=min",
                "--target=base",
                *words,
                "-o",
                f"type=local,dest={out}{options}",
            )
            statements = {str(path.relative_to(out)): json.loads(path.read_text()) for path in out.rglob("*.json")}
            found.append({name: statement["subject"] for name, statement in statements.items()})
            assert all((out / name).stat().st_mode & 0o777 == 0o600 for name in statements)
        ours, theirs = found
        assert ours.keys() == theirs.keys()
        for name, subjects in ours.items():
            # The files that containers get from BuildKit's runtime are in its layers only.
            assert subjects == theirs[name]


def test_an_engine_knows_what_was_loaded_with_the_image(witness: Witness) -> None:
    words = ("build", "-q", "--target=base", "--provenance=mode=min", "-t", "loaded", "-o", "type=docker")
    witness.polyarch(*words, witness.directory / "context", env=dict(witness.daemon.environment))
    (loaded,) = [one for one in witness.daemon.get("/images/json?manifests=1") if one["RepoTags"] == ["loaded:latest"]]
    assert [one["Kind"] for one in loaded["Manifests"]] == ["image", "attestation"]
