"""`manifest`: creating, editing, comparing and pushing lists of images from any place."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

from polyarch.oci import media_types
from polyarch.oci import platform as platforms
from polyarch.store import Store
from scripts.local_registry import LocalRegistry
from tests.integration.conftest import Skopeo
from tests.integration.lists import listed, remote
from tests.oci.examples import AMD64, S390X, attestation, image, index
from tests.program import Program

_OCI_INDEX, _DOCKER_LIST = media_types.OCI_INDEX, media_types.DOCKER_INDEX


class TestDockersWords:
    """What scripts written for docker read."""

    def test_create_tells_the_name_and_refuses_a_list_that_exists(self, polyarch: Program, app: str) -> None:
        assert polyarch("manifest", "create", app, f"{app}-amd64").stdout == f"Created manifest list {app}\n"
        refused = polyarch.fails("manifest", "create", app, f"{app}-arm64")
        assert "exists already" in refused.stderr
        assert "--amend" in refused.stderr
        polyarch("manifest", "create", "--amend", app, f"{app}-arm64")
        assert listed(polyarch("manifest", "inspect", app).json()) == ["linux/amd64", "linux/arm64"]

    def test_inspect_is_dockers_json_and_verbose_shows_the_manifests(
        self, polyarch: Program, app: str, registry: LocalRegistry
    ) -> None:
        polyarch("manifest", "create", app, f"{app}-amd64", f"{app}-arm64")
        shown = polyarch("manifest", "inspect", app)
        assert shown.stdout.startswith('{\n   "schemaVersion": 2,\n   "mediaType": "application/vnd.oci.image.index')
        assert polyarch("manifest", "inspect", "--format", "{{len .Manifests}}", app).stdout == "2\n"
        first, second = polyarch("manifest", "inspect", "-v", app).json()
        assert list(first) == ["Ref", "Descriptor", "Raw", "OCIManifest"]
        assert first["Ref"] == f"{app}@{first['Descriptor']['digest']}"
        assert second["Descriptor"]["platform"] == {"architecture": "arm64", "os": "linux"}
        single = polyarch("manifest", "inspect", "-v", f"{app}-arm64").json()
        assert single["Descriptor"]["digest"] == second["Descriptor"]["digest"]
        entry = polyarch("manifest", "inspect", app, "linux/arm64").json()
        assert entry == second["OCIManifest"]
        assert registry.requests() == [], "what is here is not asked for at a registry"

    def test_push_prints_the_digest_alone_and_purges(self, polyarch: Program, app: str, skopeo: Skopeo) -> None:
        polyarch("manifest", "create", app, f"{app}-amd64", f"{app}-arm64")
        raw = polyarch("manifest", "inspect", "--format", "json", app).stdout.removesuffix("\n")
        pushed = polyarch("manifest", "push", "--purge", app)
        assert pushed.stdout == f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}\n"
        assert remote(skopeo, app) == json.loads(raw)
        assert polyarch("manifest", "exists", app, check=False).status == 1
        again = polyarch("manifest", "inspect", app).json()
        assert again == json.loads(raw), "what is not here is read in its registry"

    def test_lists_are_listed_and_removed_while_their_images_stay(self, polyarch: Program, app: str) -> None:
        polyarch("manifest", "create", app, f"{app}-amd64", f"{app}-arm64")
        polyarch("manifest", "create", "other", f"{app}-amd64")
        assert polyarch("manifest", "ls", "-q").lines() == [app, "other:latest"]
        rows = [json.loads(line) for line in polyarch("manifest", "ls", "--format", "json").lines()]
        assert rows[0]["Platforms"] == ["linux/amd64", "linux/arm64"]
        assert polyarch("manifest", "rm", app, "other").lines() == [f"Untagged: {app}", "Untagged: other:latest"]
        assert polyarch("manifest", "ls", "-q").stdout == ""
        assert polyarch("inspect", f"{app}-arm64").json()[0]["Architecture"] == "arm64"


class TestMembers:
    """From the store, registries, layouts and archives, in one list."""

    def test_members_come_from_everywhere_and_go_along(
        self,
        polyarch: Program,
        busybox: str,
        registry: LocalRegistry,
        second_registry: LocalRegistry,
        skopeo: Skopeo,
        tmp_path: Path,
    ) -> None:
        def take(platform: str, place: str) -> str:
            """One platform's busybox, written by skopeo to a place."""
            system, architecture, *variant = platform.split("/")
            options = [f"--override-os={system}", f"--override-arch={architecture}"]
            options += [f"--override-variant={part}" for part in variant]
            skopeo(
                *options,
                "copy",
                "-q",
                "--dest-tls-verify=false",
                f"oci:{polyarch.root}/oci:docker.io/library/busybox:latest",
                place,
            )
            return place

        there = take("linux/amd64", f"docker://{second_registry.address}/elsewhere:1").removeprefix("docker://")
        layout = f"oci-layout://{take('linux/arm64', f'oci:{tmp_path}/layout:here').removeprefix('oci:')}"
        file = take("linux/arm/v7", f"oci-archive:{tmp_path}/v7.tar:x")
        docker = take("linux/s390x", f"docker-archive:{tmp_path}/s390x.tar:example.com/x:1")
        name = f"{registry.address}/everywhere:1"
        polyarch("manifest", "create", name, there, layout, file, docker)
        polyarch("manifest", "push", name)
        found = remote(skopeo, name)
        assert listed(found) == ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"]
        for platform in listed(found):
            skopeo.unpack(f"docker://{name}", platform, tmp_path / platform.replace("/", "-"))

    def test_what_another_repository_has_is_mounted_and_moves_no_byte(
        self, polyarch: Program, app: str, registry: LocalRegistry
    ) -> None:
        for architecture in ("amd64", "arm64"):
            polyarch("push", f"{app}-{architecture}")
        before = len(registry.requests())
        name = f"{registry.address}/neighbour/app:1"
        polyarch("manifest", "create", name, f"{app}-amd64", f"{app}-arm64")
        polyarch("manifest", "push", name)
        asked = registry.requests()[before:]
        assert sum("mount=sha256" in line and line.endswith("201") for line in asked) == 4
        assert not any(line.startswith(("PATCH", "PUT")) and "/uploads/" in line for line in asked)

    def test_a_list_among_the_members_is_flattened_and_attestations_stay_beside_their_images(
        self, polyarch: Program, store: Store, app: str, skopeo: Skopeo
    ) -> None:
        one = image(store, S390X)
        index(store, [one, attestation(store, one)], name=f"{app}-signed")
        polyarch("manifest", "create", app, f"{app}-amd64", f"{app}-signed")
        polyarch("manifest", "push", app)
        entries = remote(skopeo, app)["manifests"]
        assert [entry["platform"]["architecture"] for entry in entries] == ["amd64", "s390x", "unknown"]
        assert entries[2]["annotations"]["vnd.docker.reference.digest"] == entries[1]["digest"]
        gone = polyarch("manifest", "remove", app, "linux/s390x")
        assert f"- linux/s390x {one.digest}" in gone.stderr
        assert listed(polyarch("manifest", "inspect", app).json()) == ["linux/amd64"]

    def test_two_images_for_one_platform_are_refused_and_both_are_named(
        self, polyarch: Program, store: Store, app: str
    ) -> None:
        image(store, AMD64, {"other": "content"}, name=f"{app}-other")
        for command in (["create", app], ["create", "--amend", app]):
            result = polyarch.fails("manifest", *command, f"{app}-amd64", f"{app}-other")
            assert f"{app}-amd64: sha256:" in result.stderr
            assert f"{app}-other: sha256:" in result.stderr
        polyarch("manifest", "create", "--allow-duplicates", app, f"{app}-amd64", f"{app}-other")
        assert listed(polyarch("manifest", "inspect", app).json()) == ["linux/amd64", "linux/amd64"]

    def test_a_user_without_root_ties_and_pushes(
        self, either_user: Program, registry: LocalRegistry, skopeo: Skopeo
    ) -> None:
        name = f"{registry.address}/mine:1"
        either_user("manifest", "create", name, "busybox")
        either_user("manifest", "remove", name, "linux/s390x")
        either_user("manifest", "push", name)
        assert listed(remote(skopeo, name)) == ["linux/amd64", "linux/arm64", "linux/arm/v7"]


class TestEntries:
    """annotate and remove, by image, digest or platform."""

    def test_an_empty_value_takes_a_field_away(self, polyarch: Program, app: str) -> None:
        polyarch("manifest", "create", app, f"{app}-amd64", f"{app}-arm64")

        def entry() -> Any:
            return json.loads(polyarch("manifest", "inspect", app).stdout)["manifests"][0]["platform"]

        fields = {"--variant": "v2", "--os-version": "1.0", "--os-features": "x"}
        polyarch("manifest", "annotate", app, "linux/amd64", *(word for pair in fields.items() for word in pair))
        assert entry()["os.features"] == ["x"]
        polyarch("manifest", "annotate", app, f"{app}-amd64", "--os-features", "")
        assert entry() == {"architecture": "amd64", "os": "linux", "os.version": "1.0", "variant": "v2"}
        polyarch("manifest", "annotate", app, f"{app}-amd64", "--os-version", "", "--variant", "")
        assert entry() == {"architecture": "amd64", "os": "linux"}

    def test_an_entry_is_labelled_in_every_way_that_the_specification_knows(
        self, polyarch: Program, app: str, skopeo: Skopeo
    ) -> None:
        polyarch("manifest", "create", app, f"{app}-amd64", f"{app}-arm64")
        words = ["--os-version", "10.0.1", "--os-features", "one,two", "--variant", "v9", "--annotation", "k=v"]
        told = polyarch("manifest", "annotate", *words, app, f"{app}-arm64")
        assert "whose own config says linux/arm64" in told.stderr
        polyarch("manifest", "annotate", "--index", "--annotation", "list=mine", app)
        # The version was not typed, so any is meant.
        polyarch("manifest", "annotate", "--annotation", "second=note", app, "linux/arm64/v9")
        polyarch("manifest", "annotate", "--arch", "loong64", "--os", "hurd", app, "linux/amd64")
        polyarch("manifest", "push", app)
        found = remote(skopeo, app)
        assert found["annotations"] == {"list": "mine"}
        assert found["manifests"][0]["platform"] == {"architecture": "loong64", "os": "hurd"}
        assert found["manifests"][1]["annotations"] == {"k": "v", "second": "note"}
        assert found["manifests"][1]["platform"] == {
            "architecture": "arm64",
            "os": "linux",
            "variant": "v9",
            "os.version": "10.0.1",
            "os.features": ["one", "two"],
        }

    def test_a_platform_that_the_list_lacks_is_not_looked_for_in_a_registry(self, polyarch: Program, app: str) -> None:
        polyarch("manifest", "create", app, f"{app}-amd64")
        for command in (["remove"], ["annotate", "--annotation", "k=v"]):
            result = polyarch.fails("manifest", *command, app, "linux/s390x")
            assert "the list has no entry for linux/s390x" in result.stderr
            assert "the list has linux/amd64" in result.stderr

    def test_one_of_two_images_for_a_platform_goes_by_its_digest(
        self, polyarch: Program, store: Store, app: str
    ) -> None:
        other = image(store, AMD64, {"other": "content"}, name=f"{app}-other")
        polyarch("manifest", "create", "--allow-duplicates", app, f"{app}-amd64", f"{app}-other")
        polyarch("manifest", "remove", app, other.digest[:19])
        (left,) = polyarch("manifest", "inspect", app).json()["manifests"]
        assert left["digest"] != other.digest

    def test_adding_labels_the_entry(self, polyarch: Program, app: str) -> None:
        polyarch("manifest", "create", app, f"{app}-amd64")
        polyarch("manifest", "add", "--variant", "v8", "--annotation", "k=v", app, f"{app}-arm64")
        entry = polyarch("manifest", "inspect", app).json()["manifests"][1]
        assert entry["platform"]["variant"] == "v8"
        assert entry["annotations"] == {"k": "v"}


def test_many_commands_on_one_list_at_once_lose_nothing(polyarch: Program, store: Store, app: str) -> None:
    polyarch("manifest", "create", app)
    wanted = {f"linux/made-up-{number}" for number in range(6)}
    for platform in wanted:
        image(store, platforms.parse(platform), name=f"{app}-{platform.rpartition('/')[2]}")
    command = [polyarch.path, "manifest", "add", app]
    running = [
        subprocess.Popen(
            [*command, f"{app}-{platform.rpartition('/')[2]}"], env=polyarch.env, stderr=subprocess.DEVNULL
        )
        for platform in wanted
    ]
    assert [process.wait(60) for process in running] == [0] * len(wanted)
    assert set(listed(polyarch("manifest", "inspect", app).json())) == wanted


class TestFormats:
    """OCI's and docker's, each in its own words."""

    def test_a_push_in_dockers_format_rewrites_manifests_and_leaves_blobs_alone(
        self, polyarch: Program, app: str, registry: LocalRegistry, skopeo: Skopeo
    ) -> None:
        polyarch("manifest", "create", app, f"{app}-amd64", f"{app}-arm64")
        polyarch("manifest", "push", app)
        oci, before = remote(skopeo, app), len(registry.requests())
        polyarch("manifest", "push", "--format", "docker", app, f"{app}-docker")
        docker = remote(skopeo, f"{app}-docker")
        assert (oci["mediaType"], docker["mediaType"]) == (_OCI_INDEX, _DOCKER_LIST)
        assert not any("/blobs/uploads/" in line for line in registry.requests()[before:])
        assert skopeo.config(f"docker://{app}-docker", "linux/arm64") == skopeo.config(f"docker://{app}", "linux/arm64")

    def test_what_dockers_format_has_no_place_for_is_said(self, polyarch: Program, app: str, skopeo: Skopeo) -> None:
        polyarch("manifest", "create", "--annotation", "team=blue", app, f"{app}-amd64")
        pushed = polyarch("manifest", "push", "--format", "docker", app)
        assert "docker's format has no annotations: the list lost team" in pushed.stderr
        assert "annotations" not in remote(skopeo, app)
        refused = polyarch.fails("manifest", "create", "--format", "docker", "--annotation", "a=b", "x", f"{app}-amd64")
        assert "has no annotations" in refused.stderr

    def test_a_list_of_dockers_images_is_dockers_until_it_is_annotated(
        self, polyarch: Program, store: Store, app: str, skopeo: Skopeo
    ) -> None:
        image(store, AMD64, docker=True, name=f"{app}-docker")
        polyarch("manifest", "create", app, f"{app}-docker")
        polyarch("manifest", "push", app)
        assert remote(skopeo, app)["mediaType"] == _DOCKER_LIST
        polyarch("manifest", "annotate", "--index", "--annotation", "k=v", app)
        polyarch("manifest", "push", app)
        assert remote(skopeo, app)["mediaType"] == _OCI_INDEX
        polyarch("manifest", "create", "--format", "oci", "converted", f"{app}-docker")
        (entry,) = polyarch("manifest", "inspect", "converted").json()["manifests"]
        assert entry["mediaType"] == media_types.OCI_MANIFEST


class TestRemotes:
    """A list here and the same name in a registry."""

    def test_a_difference_is_shown_by_entry(self, polyarch: Program, store: Store, app: str) -> None:
        polyarch("manifest", "create", app, f"{app}-amd64", f"{app}-arm64")
        polyarch("manifest", "push", app)
        assert polyarch("manifest", "diff", app).stdout == ""
        polyarch("manifest", "remove", app, "linux/arm64")
        image(store, S390X, name=f"{app}-s390x")
        polyarch("manifest", "add", app, f"{app}-s390x")
        polyarch("manifest", "annotate", "--annotation", "k=v", app, "linux/amd64")
        polyarch("manifest", "annotate", "--index", "--annotation", "k=v", app)
        differing = polyarch("manifest", "diff", app, check=False)
        assert differing.status == 1
        assert [line.split()[:2] for line in differing.lines()] == [
            *(["~", "linux/amd64"], ["-", "linux/arm64"], ["+", "linux/s390x"], ["~", "annotation"]),
        ]
        rows = [json.loads(line) for line in polyarch("manifest", "diff", "--format", "json", app, check=False).lines()]
        assert [row["Change"] for row in rows] == ["changed", "removed", "added"]
        backwards = polyarch("manifest", "diff", app, f"docker://{app}", check=False).lines()
        assert "+ linux/arm64" in backwards[2]

    def test_a_list_that_somebody_else_pushed_meanwhile_is_named(
        self, polyarch: Program, app: str, skopeo: Skopeo, fresh: Program
    ) -> None:
        polyarch("manifest", "create", app, f"{app}-amd64", f"{app}-arm64")
        assert "changed" not in polyarch("manifest", "push", app).stderr
        fresh("manifest", "create", app, f"docker://{app}")
        fresh("manifest", "remove", app, "linux/arm64")
        theirs = fresh("manifest", "push", app).stdout.strip()
        polyarch("manifest", "annotate", "--annotation", "k=v", app, "linux/amd64")
        pushed = polyarch("manifest", "push", app)
        assert f"{app} was changed in the registry since it was last read: sha256:" in pushed.stderr
        assert f"{theirs} now" in pushed.stderr


# ── what must not go wrong
