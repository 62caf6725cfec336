"""Annotating, removing, comparing, merging."""

from pathlib import Path

import pytest

from polyarch.errors import ConflictError, NotFoundError, UsageError
from polyarch.indexes import create, diff, edit, inspect, merge
from polyarch.oci import index as indexes
from polyarch.oci import platform as platforms
from polyarch.oci.document import Index
from polyarch.oci.index import PlatformEdit
from polyarch.store.store import Store
from polyarch.transfer import copy as copier
from polyarch.transfer.archive import ArchiveWriter
from polyarch.transfer.layout import OciLayout
from polyarch.transfer.locate import Places
from tests.oci.examples import AMD64, ARM64, S390X, attestation, image, index, multi_platform

LIST = "docker.io/team/app:1"
ARM64_EDIT = PlatformEdit(architecture="arm64")


class TestAnnotate:
    """An entry by image, digest or platform; an image that is not in the list becomes its entry."""

    def test_an_entry_by_its_name_digest_or_platform(self, places: Places, store: Store) -> None:
        one = image(store, AMD64, name="docker.io/library/a:latest")
        index(store, [one, image(store, ARM64)], name=LIST)
        words = ["a", one.digest, "linux/amd64", one.digest[7:19]]
        for number, word in enumerate(words):
            changed = edit.annotate(places, "team/app:1", word, None, {"n": str(number)})
            assert [entry.annotations for entry in changed.index.manifests] == [{"n": str(number)}, {}]
            assert (changed.added, changed.removed, changed.warnings) == ((), (), ())

    def test_an_entry_that_contradicts_its_image_is_a_warning(self, places: Places, store: Store) -> None:
        one = image(store, AMD64, name="docker.io/library/a:latest")
        index(store, [one], name=LIST)
        changed = edit.annotate(places, "team/app:1", "a", PlatformEdit(architecture="loong64", variant="v9"))
        assert str(changed.index.manifests[0].platform) == "linux/loong64/v9"
        assert changed.warnings == (
            f"the entry for linux/loong64/v9 is {one.digest}, whose own config says linux/amd64",
        )

    @pytest.mark.parametrize(
        ("edit_", "found"),
        [
            (PlatformEdit(architecture="x86_64"), "linux/amd64"),
            (PlatformEdit(architecture="AARCH64"), "linux/arm64"),
            (PlatformEdit(architecture="armhf"), "linux/arm/v7"),
            (PlatformEdit(architecture="armhf", variant="v6"), "linux/arm/v6"),
            (PlatformEdit(os="Windows"), "windows/amd64"),
        ],
    )
    def test_names_of_architectures_are_written_as_images_have_them(
        self, places: Places, store: Store, edit_: PlatformEdit, found: str
    ) -> None:
        index(store, [image(store, AMD64)], name=LIST)
        changed = edit.annotate(places, "team/app:1", "linux/amd64", edit_)
        assert indexes.describe(changed.index) == found

    @pytest.mark.parametrize(
        ("edit_", "meant"),
        [
            (PlatformEdit(architecture="amd46"), "did you mean amd64"),
            (PlatformEdit(architecture=""), "use Go's names"),
            (PlatformEdit(os="lunix"), "did you mean linux"),
        ],
    )
    def test_what_names_no_architecture_or_system_is_an_error_with_what_was_meant(
        self, places: Places, store: Store, edit_: PlatformEdit, meant: str
    ) -> None:
        image(store, AMD64, name="docker.io/library/a:latest")
        before = index(store, [image(store, AMD64)], name=LIST)
        with pytest.raises(UsageError) as caught:
            edit.annotate(places, "team/app:1", "linux/amd64", edit_)
        assert meant in (caught.value.hint or "")
        with pytest.raises(UsageError):
            create.add(places, "team/app:1", "a", edit_)
        assert store.resolve(LIST).digest == before.digest

    def test_an_image_that_is_not_in_the_list_takes_the_place_of_the_one_for_the_platform(
        self, places: Places, store: Store
    ) -> None:
        one, old = image(store, AMD64), image(store, ARM64)
        index(store, [one, old, attestation(store, old)], name=LIST)
        new = image(store, ARM64, {"new": "content"}, name="docker.io/team/app-arm64:1")
        changed = edit.annotate(places, "team/app:1", "team/app-arm64:1", ARM64_EDIT, {"k": "v"})
        assert [entry.digest for entry in changed.index.manifests] == [one.digest, new.digest]
        assert changed.added[0].digest == new.digest
        assert changed.removed[0].digest == old.digest
        assert changed.index.manifests[1].annotations == {"k": "v"}
        assert changed.warnings == ()

    def test_it_is_added_where_there_was_none(self, places: Places, store: Store) -> None:
        index(store, [image(store, AMD64)], name=LIST)
        new = image(store, AMD64, {"new": "content"}, name="docker.io/library/b:latest")
        changed = edit.annotate(places, "team/app:1", "b", ARM64_EDIT)
        assert [str(entry.platform) for entry in changed.index.manifests] == ["linux/amd64", "linux/arm64"]
        assert changed.removed == ()
        assert new.digest in changed.warnings[0]

    def test_of_an_index_the_image_for_that_platform_is_taken_with_its_attestation(
        self, places: Places, store: Store
    ) -> None:
        index(store, [image(store, AMD64), image(store, ARM64)], name=LIST)
        new = image(store, ARM64, {"new": "content"})
        note = attestation(store, new)
        index(store, [image(store, S390X), new, note], name="docker.io/library/other:latest")
        changed = edit.annotate(places, "team/app:1", "other", ARM64_EDIT)
        assert [entry.digest for entry in changed.added] == [new.digest, note.digest]

    def test_without_a_platform_an_unknown_image_is_an_error(self, places: Places, store: Store) -> None:
        root = index(store, [image(store, AMD64)], name=LIST)
        image(store, ARM64, name="docker.io/library/b:latest")
        with pytest.raises(NotFoundError, match="has no entry b") as caught:
            edit.annotate(places, "team/app:1", "b", None, {"k": "v"})
        assert "--arch" in (caught.value.hint or "")
        with pytest.raises(UsageError, match="nothing to annotate"):
            edit.annotate(places, "team/app:1", "linux/amd64")
        assert store.resolve(LIST) == root

    def test_the_list_itself_may_be_annotated(self, places: Places, store: Store) -> None:
        multi_platform(store, LIST)
        changed = edit.annotate_list(places, "team/app:1", {"k": "v"})
        assert changed.index.annotations == {"k": "v"}
        assert store.resolve(LIST).digest == changed.index.digest


class TestRemove:
    """Removing an entry and its attestations."""

    def test_an_entry_is_removed_by_platform_with_its_attestation(self, places: Places, store: Store) -> None:
        one, two = image(store, AMD64), image(store, ARM64)
        note = attestation(store, two)
        index(store, [one, two, note], name=LIST)
        changed = edit.remove(places, "team/app:1", "linux/arm64")
        assert [entry.digest for entry in changed.removed] == [two.digest, note.digest]
        assert changed.index.manifests == (one,)

    def test_what_is_not_there_is_an_error_that_lists_what_is(self, places: Places, store: Store) -> None:
        root = multi_platform(store, LIST)
        image(store, S390X, name="docker.io/library/b:latest")
        for word in ("b", "sha256:" + "a" * 64):
            with pytest.raises(NotFoundError) as caught:
                edit.remove(places, "team/app:1", word)
            assert "linux/amd64, linux/arm64" in (caught.value.hint or "")
        assert store.resolve(LIST) == root


class TestInspect:
    """The index as it is."""

    def test_verbose_is_dockers(self, places: Places, store: Store) -> None:
        root = multi_platform(store, LIST)
        shown = inspect.verbose(inspect.inspect(places, "team/app:1", deep=True))
        assert isinstance(shown, list)
        assert [entry["Descriptor"]["platform"]["architecture"] for entry in shown] == ["amd64", "arm64"]
        assert shown[0]["Ref"] == f"{LIST}@{shown[0]['Descriptor']['digest']}"
        assert shown[0]["OCIManifest"]["schemaVersion"] == 2
        assert inspect.inspect(places, "team/app:1").document.raw == store.read_manifest(root)

    def test_a_single_image_is_one_object_with_the_platform_of_its_config(self, places: Places, store: Store) -> None:
        image(store, ARM64, name="docker.io/library/a:latest", docker=True)
        shown = inspect.verbose(inspect.inspect(places, "a", deep=True))
        assert isinstance(shown, dict)
        assert shown["Descriptor"]["platform"] == {"architecture": "arm64", "os": "linux"}
        assert "SchemaV2Manifest" in shown


class TestDiff:
    """Entries that were added, removed and changed."""

    def test_a_difference_names_entries_and_annotations(self, places: Places, store: Store) -> None:
        one, old, new = image(store, AMD64), image(store, ARM64), image(store, ARM64, {"new": "content"})
        index(store, [one, old], name=LIST)
        index(store, [one, new, image(store, S390X)], name="docker.io/team/app:2")
        edit.annotate_list(places, "team/app:2", {"k": "v"})
        compared = diff.diff(places, "team/app:1", "team/app:2")
        assert [(found.change, found.subject) for found in compared.entries] == [
            ("changed", "linux/arm64"),
            ("added", "linux/s390x"),
        ]
        assert "digest" in compared.entries[0].fields
        assert compared.annotations == (("k", None, "v"),)
        back = diff.diff(places, "team/app:2", "team/app:1")
        assert [found.change for found in back.entries] == ["changed", "removed"]

    def test_a_new_label_of_an_old_image_is_a_change_of_its_platform(self, places: Places, store: Store) -> None:
        multi_platform(store, LIST)
        multi_platform(store, "docker.io/team/app:2")
        assert diff.diff(places, "team/app:1", "team/app:2").is_same
        edit.annotate(places, "team/app:2", "linux/amd64", PlatformEdit(variant="v3"))
        (found,) = diff.diff(places, "team/app:1", "team/app:2").entries
        assert (found.change, found.fields) == ("changed", ("platform",))


class TestMerge:
    """Combining the results of several machines."""

    def test_layouts_and_archives_become_one_index(self, places: Places, store: Store, tmp_path: Path) -> None:
        one, two = OciLayout.create(tmp_path / "one"), OciLayout.create(tmp_path / "two")
        image(one, AMD64, name="whatever")
        multi_platform(two, "", [ARM64, S390X])
        with (tmp_path / "two.tar").open("wb") as file:
            writer = ArchiveWriter(file)
            copier.copy(two, "", writer, ["docker.io/library/x:1"])
            writer.finish()
        merged = merge.merge(places, [str(tmp_path / "one"), str(tmp_path / "two.tar")], ["team/app:1", "team/app"])
        made = store.load(store.resolve(LIST))
        assert isinstance(made, Index)
        assert [str(entry.platform) for entry in indexes.images(made)] == ["linux/amd64", "linux/arm64", "linux/s390x"]
        assert store.missing(made.descriptor()) == ()
        assert [found.name for found in merged.lists] == [LIST, "docker.io/team/app:latest"]

    def test_the_baseline_comes_before_its_variants(self, places: Places, tmp_path: Path) -> None:
        paths = []
        for name in ("amd64/v3", "arm64", "amd64"):
            paths.append(str(tmp_path / name.replace("/", "-")))
            image(OciLayout.create(Path(paths[-1])), platforms.parse(f"linux/{name}"), name="x")
        merged = merge.merge(places, paths, ["app"])
        assert indexes.describe(merged.lists[0].index) == "linux/amd64, linux/arm64, linux/amd64/v3"

    def test_an_archive_of_some_platforms_gives_those(self, places: Places, store: Store, tmp_path: Path) -> None:
        one, two = OciLayout.create(tmp_path / "one"), OciLayout.create(tmp_path / "two")
        multi_platform(one, "x", [AMD64, ARM64])
        copier.copy(one, "x", two, ["x"], copier.CopyOptions(platforms=(ARM64,)))
        merged = merge.merge(places, [str(tmp_path / "two")], ["app"])
        assert indexes.describe(merged.lists[0].index) == "linux/arm64"
        assert store.missing(merged.lists[0].descriptor) == ()

    def test_drift_between_platforms_is_reported(self, places: Places, tmp_path: Path) -> None:
        one, two = OciLayout.create(tmp_path / "one"), OciLayout.create(tmp_path / "two")
        image(one, AMD64, name="x", Env=["A=1", "SAME=x"], Entrypoint=["/app"], Labels={"v": "1"})
        image(two, ARM64, name="x", base=[{"more": "x"}], Env=["A=2", "SAME=x"], Entrypoint=["/app"])
        merged = merge.merge(places, [str(tmp_path / "one"), str(tmp_path / "two")], ["app"])
        assert {found.field: dict(found.values) for found in merged.drift} == {
            "layers": {"linux/amd64": "1", "linux/arm64": "2"},
            "env A": {"linux/amd64": "1", "linux/arm64": "2"},
            "label v": {"linux/amd64": "1", "linux/arm64": "(not set)"},
        }

    def test_images_that_agree_do_not_drift(self, places: Places, tmp_path: Path) -> None:
        one = OciLayout.create(tmp_path / "one")
        multi_platform(one, "x", Env=["A=1"])
        assert merge.merge(places, [str(tmp_path / "one")], ["app"]).drift == ()

    def test_two_machines_that_built_the_same_platform_are_named(
        self, places: Places, store: Store, tmp_path: Path
    ) -> None:
        for name in ("one", "two"):
            image(OciLayout.create(tmp_path / name), AMD64, {"built": name}, name="x")
        with pytest.raises(ConflictError, match="linux/amd64") as caught:
            merge.merge(places, [str(tmp_path / "one"), str(tmp_path / "two")], ["app"])
        assert str(tmp_path / "one") in caught.value.message
        assert store.tags() == ()

    def test_what_is_not_there_is_said(self, places: Places, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="No such file"):
            merge.merge(places, [str(tmp_path / "nothing.tar")], ["app"])
        with pytest.raises(UsageError, match="needs a name"):
            merge.merge(places, [], [])
