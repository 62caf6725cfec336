"""One way to send an image to a registry, so that no way forgets to remember it."""

import ast
import shutil
from pathlib import Path

import pytest

from polyarch.oci import digest as digests
from polyarch.oci import reference as references
from polyarch.oci.document import Index
from polyarch.registry import Credentials, Hosts, Registry
from polyarch.store import Store
from polyarch.transfer import copy as copier
from polyarch.transfer import origins
from polyarch.transfer.copy import CopyOptions
from polyarch.transfer.layout import OciLayout
from polyarch.transfer.publish import publish, remember_pull, remember_root, remembered_tag
from polyarch.transfer.read_through import ReadThroughSource
from scripts.local_registry import LocalRegistry
from tests.oci.examples import ARM64, multi_platform

SOURCE = Path(__file__).parents[2] / "src" / "polyarch"


def _targets(path: Path) -> list[str]:
    """The third arguments of the calls of `transfer.copy.send` and `copy` in a file."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    named = [node for node in calls if ast.unparse(node.func) in ("send", "copy", "copier.send", "copier.copy")]
    return [ast.unparse(node.args[2]) for node in named if len(node.args) > 2]


def test_only_publish_sends_to_a_registry() -> None:
    senders = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if any("repository" in target for target in _targets(path))
    }
    assert senders == {"transfer/publish.py"}


@pytest.mark.integration
def test_what_was_sent_is_remembered(
    registry: LocalRegistry, client: Registry, source: OciLayout, store: Store
) -> None:
    root = multi_platform(source, "app")
    copier.copy(source, "app", store, [])
    reference = references.parse(f"{registry.address}/app:1")
    publish(store, client, store, root.digest, reference, CopyOptions())
    assert remembered_tag(store, reference) == root.digest
    assert origins.find(store, root.digest) == (reference.repository,)


@pytest.mark.integration
def test_an_image_that_is_there_gets_a_name_without_a_question_about_its_blobs(
    registry: LocalRegistry, client: Registry, source: OciLayout, store: Store
) -> None:
    root = multi_platform(source, "app")
    copier.copy(source, "app", store, [])
    local = ReadThroughSource(store, client)
    first, second = (references.parse(f"{registry.address}/app:{tag}") for tag in (1, 2))
    publish(store, client, local, root.digest, first, CopyOptions())
    for reference, puts in ((second, 1), (second, 0)):
        with Registry(Hosts(), Credentials(None), "polyarch-test") as fresh:
            before = len(registry.requests())
            sent = publish(store, fresh, local, root.digest, reference, CopyOptions())
            asked = registry.requests()[before:]
        assert not any("/blobs/" in line for line in asked)
        assert [line.split()[0] for line in asked].count("PUT") == puts
        assert (sent.moved, sent.form) == (0, "whole")
    assert client.repository(second).resolve("2").digest == root.digest


@pytest.mark.integration
def test_a_registry_that_lost_an_image_gets_it_again(
    registry: LocalRegistry, client: Registry, source: OciLayout, store: Store
) -> None:
    root = multi_platform(source, "app")
    copier.copy(source, "app", store, [])
    local = ReadThroughSource(store, client)
    publish(store, client, local, root.digest, references.parse(f"{registry.address}/app:1"), CopyOptions())
    shutil.rmtree(registry.storage / "docker")
    for tag in (1, 2):
        reference = references.parse(f"{registry.address}/app:{tag}")
        with Registry(Hosts(), Credentials(None), "polyarch-test") as fresh:
            publish(store, fresh, local, root.digest, reference, CopyOptions())
            assert fresh.repository(reference).resolve(str(tag)).digest == root.digest


@pytest.mark.integration
def test_what_a_pull_left_out_is_remembered_too(
    registry: LocalRegistry, client: Registry, source: OciLayout, store: Store
) -> None:
    root = multi_platform(source, "app")
    reference = references.parse(f"{registry.address}/app:1")
    repository = client.repository(reference)
    copier.copy(source, "app", repository, ["1"])
    copier.copy(repository, "1", store, [str(reference)], CopyOptions(platforms=(ARM64,)))
    remember_pull(store, root, reference)
    index = store.load(root)
    assert isinstance(index, Index)
    entries = index.manifests
    assert not all(store.has_manifest(entry) for entry in entries)
    assert all(origins.find(store, entry.digest) == (reference.repository,) for entry in entries)
    assert remembered_tag(store, reference) == root.digest


def test_a_base_is_remembered_without_its_tag(store: Store) -> None:
    reference = references.parse("x.y/base:1")
    remember_root(store, digests.of(b"x"), reference)
    assert origins.find(store, digests.of(b"x")) == (reference.repository,)
    assert remembered_tag(store, reference) is None
