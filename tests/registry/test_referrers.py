"""Lists of referrers: of a registry that has them, and of Debian's, where an index under a tag stands for them."""

import io
import json
import threading
from collections.abc import Callable, Iterator

import pytest

from polyarch.errors import CorruptError, RegistryError
from polyarch.oci import digest as digests
from polyarch.oci import index as indexes
from polyarch.oci import manifest as manifests
from polyarch.oci import media_types, referrer
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Manifest
from polyarch.registry import Credentials, Hosts, Registry, Repository
from scripts.local_registry import LocalRegistry
from tests.oci.examples import image
from tests.registry.conftest import Client
from tests.registry.faults import Answer, Asked
from tests.registry.referring import ReferringRegistry, serving_referrers

NewClient = Callable[..., Client]
KIND = "application/vnd.example.note"


@pytest.fixture
def referring() -> Iterator[ReferringRegistry]:
    with serving_referrers() as registry:
        yield registry


def note(repository: Repository, subject: Descriptor, text: str) -> Manifest:
    """An artifact about `subject`, whose content is in the repository; it is not written itself."""
    raw = text.encode()
    layer = Descriptor(media_type="text/plain", digest=digests.of(raw), size=len(raw))
    for descriptor, content in ((layer, raw), (manifests.EMPTY, manifests.EMPTY_CONFIG)):
        repository.write_blob(descriptor, io.BytesIO(content))
    return manifests.artifact(KIND, [layer], subject, {"note": text})


def listed(repository: Repository, subject: Digest) -> list[str]:
    return [entry.annotations["note"] for entry in repository.referrers(subject)]


class TestRegistryWithLists:
    def test_a_manifest_is_listed_with_its_type_and_annotations(
        self, new_client: NewClient, referring: ReferringRegistry
    ) -> None:
        repository = new_client().at(referring.address, "app")
        subject = image(repository)
        assert repository.referrers(subject.digest) == ()
        wanted = note(repository, subject, "one")
        repository.write_referrers(subject.digest, [wanted])
        (found,) = repository.referrers(subject.digest)
        assert (found.digest, found.artifact_type, found.annotations) == (wanted.digest, KIND, {"note": "one"})
        assert referring.tags == {}, "the registry lists it, so no tag has to"

    def test_what_is_listed_already_is_not_sent_again(
        self, new_client: NewClient, referring: ReferringRegistry
    ) -> None:
        repository = new_client().at(referring.address, "app")
        subject = image(repository)
        wanted = note(repository, subject, "one")
        repository.write_referrers(subject.digest, [wanted])
        before = len(referring.server.asked)
        repository.write_referrers(subject.digest, [wanted])
        assert [asked.method for asked in referring.server.asked[before:]] == ["GET"]

    def test_all_pages_are_read_and_each_entry_counts_once(
        self, new_client: NewClient, referring: ReferringRegistry
    ) -> None:
        referring.page = 2
        repository = new_client().at(referring.address, "app")
        subject = image(repository)
        texts = [f"note {number}" for number in range(5)]
        repository.write_referrers(subject.digest, [note(repository, subject, text) for text in texts])
        referring.lies[subject.digest] = [{**referring._entry(repository.referrers(subject.digest)[0].digest)}]
        assert sorted(listed(repository, subject.digest)) == texts

    def test_a_list_that_never_ends_or_goes_elsewhere_is_an_error(
        self, new_client: NewClient, referring: ReferringRegistry
    ) -> None:
        body = b'{"schemaVersion":2,"manifests":[]}'
        links = iter(("<http://127.0.0.1:1/v2/>", *["<again>"] * 200))

        def answer(asked: Asked) -> Answer | None:
            if "/referrers/" not in asked.path and not asked.path.endswith("again"):
                return None
            return Answer(200, {"Content-Type": media_types.OCI_INDEX, "Link": f'{next(links)}; rel="next"'}, body)

        referring.before = answer
        repository = new_client().at(referring.address, "app")
        with pytest.raises(RegistryError, match="at another host"):
            repository.referrers(digests.of(b"x"))
        with pytest.raises(RegistryError, match="is endless"):
            repository.referrers(digests.of(b"x"))

    @pytest.mark.parametrize("body", [b"{", b"[]", b'{"manifests": 1}', b'{"manifests":[' + b"[" * 1000])
    def test_a_list_that_is_none_is_an_error(
        self, new_client: NewClient, referring: ReferringRegistry, body: bytes
    ) -> None:
        referring.before = lambda asked: (
            Answer(200, {"Content-Type": media_types.OCI_INDEX}, body) if "/referrers/" in asked.path else None
        )
        with pytest.raises(CorruptError, match="the referrers of"):
            new_client().at(referring.address, "app").referrers(digests.of(b"x"))

    def test_a_web_page_for_every_path_is_no_list(self, new_client: NewClient, referring: ReferringRegistry) -> None:
        referring.before = lambda asked: (
            Answer(200, {"Content-Type": "text/html"}, b"<html>") if "/referrers/" in asked.path else None
        )
        assert new_client().at(referring.address, "app").referrers(digests.of(b"x")) == ()

    def test_a_repository_that_is_not_there_says_nothing_of_the_registry(
        self, new_client: NewClient, referring: ReferringRegistry
    ) -> None:
        """A registry answers 404 for both. The first push to a new repository must not make it look old."""
        gone = Answer(404, body=json.dumps({"errors": [{"code": "NAME_UNKNOWN"}]}).encode())
        client = new_client()
        referring.before = lambda asked: gone if "/v2/new/referrers/" in asked.path else None
        assert client.at(referring.address, "new").referrers(digests.of(b"x")) == ()
        repository = client.at(referring.address, "app")
        subject = image(repository)
        repository.write_referrers(subject.digest, [note(repository, subject, "one")])
        assert listed(repository, subject.digest) == ["one"]

    def test_a_registry_that_refuses_subjects_says_so(
        self, new_client: NewClient, referring: ReferringRegistry
    ) -> None:
        referring.takes_subjects = False
        repository = new_client().at(referring.address, "app")
        subject = image(repository)
        with pytest.raises(RegistryError, match="manifest_invalid") as refused:
            repository.write_referrers(subject.digest, [note(repository, subject, "one")])
        assert "may not know `subject`" in str(refused.value.hint)

    def test_a_conditional_write_that_lost_is_done_again(
        self, new_client: NewClient, referring: ReferringRegistry
    ) -> None:
        referring.lists, referring.conditions = False, True
        client = new_client()
        repository = client.at(referring.address, "app")
        subject = image(repository)
        first, second, third = (note(repository, subject, text) for text in ("1", "2", "3"))
        repository.write_referrers(subject.digest, [first])
        tag = referrer.tag(subject.digest)

        def overtake(asked: Asked) -> None:
            """Another client changes the tag between our GET and our PUT."""
            if asked.method == "PUT" and asked.path.endswith(tag):
                referring.before = lambda asked: None
                other = Registry(Hosts(), Credentials(None), "other", sleep=lambda seconds: None)
                with other:
                    other.repository(repository.reference).write_referrers(subject.digest, [second])

        referring.before = overtake
        repository.write_referrers(subject.digest, [third])
        assert sorted(listed(repository, subject.digest)) == ["1", "2", "3"]


class TestRegistryWithoutLists:
    """docker-registry 2.8."""

    def test_an_index_under_a_tag_lists_them(self, new_client: NewClient, shared_registry: LocalRegistry) -> None:
        repository = new_client().at(shared_registry.address, "tagged")
        subject = image(repository)
        assert repository.referrers(subject.digest) == ()
        for text in ("one", "two"):
            repository.write_referrers(subject.digest, [note(repository, subject, text)])
        assert listed(repository, subject.digest) == ["one", "two"]
        tag = subject.digest.replace(":", "-")
        assert repository.tags() == (tag,)
        found = json.loads(repository.read_manifest(repository.resolve(tag)))
        assert found["mediaType"] == media_types.OCI_INDEX
        assert [entry["artifactType"] for entry in found["manifests"]] == [KIND, KIND]

    def test_nothing_is_listed_twice(self, new_client: NewClient, shared_registry: LocalRegistry) -> None:
        repository = new_client().at(shared_registry.address, "twice")
        subject = image(repository)
        wanted = note(repository, subject, "one")
        for _ in range(2):
            repository.write_referrers(subject.digest, [wanted, wanted])
        assert listed(repository, subject.digest) == ["one"]

    def test_the_registry_is_asked_for_its_list_only_once(
        self, new_client: NewClient, shared_registry: LocalRegistry
    ) -> None:
        client = new_client()
        repository = client.at(shared_registry.address, "once")
        for text in (b"a", b"b", b"c"):
            repository.referrers(digests.of(text))
        assert sum("/referrers/" in line for line in client.lines) == 1

    def test_a_tag_that_is_no_list_stays_as_it_is(self, new_client: NewClient, shared_registry: LocalRegistry) -> None:
        repository = new_client().at(shared_registry.address, "taken")
        subject = image(repository)
        taken = image(repository, files={"another": "image"}, name=referrer.tag(subject.digest))
        assert repository.referrers(subject.digest) == ()
        with pytest.raises(RegistryError, match="is not a list of referrers"):
            repository.write_referrers(subject.digest, [note(repository, subject, "one")])
        assert repository.resolve(referrer.tag(subject.digest)).digest == taken.digest

    @pytest.mark.parametrize("kind", ["image", "index"])
    def test_a_tag_of_the_subject_itself_is_no_list(
        self, new_client: NewClient, shared_registry: LocalRegistry, kind: str
    ) -> None:
        """`cosign copy` leaves such a tag for an index and for each of its images."""
        repository = new_client().at(shared_registry.address, f"copied-{kind}")
        subject = image(repository)
        if kind == "index":
            index = indexes.add(indexes.create(), subject)
            subject = index.descriptor()
            repository.write_manifest(subject, index.raw, "latest")
        repository.write_manifest(subject, repository.read_manifest(subject), referrer.tag(subject.digest))
        assert repository.referrers(subject.digest) == ()
        for text in ("one", "two"):
            repository.write_referrers(subject.digest, [note(repository, subject, text)])
        assert listed(repository, subject.digest) == ["one", "two"]

    def test_writers_at_the_same_time_lose_nothing(self, shared_registry: LocalRegistry) -> None:
        clients = [Registry(Hosts(), Credentials(None), "polyarch-test") for _ in range(6)]
        repositories = [Client.at(client, shared_registry.address, "race") for client in clients]  # type: ignore[arg-type]
        subject = image(repositories[0])
        texts = [f"note {number}" for number in range(6)]
        wanted = [note(one, subject, text) for one, text in zip(repositories, texts, strict=True)]
        start = threading.Barrier(6)

        def write(repository: Repository, document: Manifest) -> None:
            start.wait()
            repository.write_referrers(subject.digest, [document])

        threads = [threading.Thread(target=write, args=pair) for pair in zip(repositories, wanted, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(listed(repositories[0], subject.digest)) == texts
        for client in clients:
            client.close()

    def test_a_list_that_others_keep_emptying_is_an_error(
        self, new_client: NewClient, referring: ReferringRegistry
    ) -> None:
        referring.lists = False
        repository = new_client().at(referring.address, "app")
        subject = image(repository)

        def forget(asked: Asked) -> None:
            if asked.method == "GET" and asked.path.endswith(referrer.tag(subject.digest)):
                referring.tags.clear()

        referring.before = forget
        with pytest.raises(RegistryError, match="others keep changing it"):
            repository.write_referrers(subject.digest, [note(repository, subject, "one")])


@pytest.mark.parametrize(
    ("digest", "tag"),
    [("sha256:" + "a" * 64, "sha256-" + "a" * 64), ("sha512:" + "b" * 128, "sha512-" + "b" * 64)],
)
def test_the_tag_of_a_digest(digest: str, tag: str) -> None:
    assert referrer.tag(Digest(digest)) == tag
    assert referrer.is_tag(tag)
    assert referrer.subject_of(tag) == (digest if digest.startswith("sha256") else None)


def test_the_entry_of_a_manifest_without_a_type_has_that_of_its_config() -> None:
    config = Descriptor(media_type="application/vnd.example.config", digest=digests.of(b"{}"), size=2)
    made = manifests.create(config, (), {"a": "b", "org.opencontainers.image.ref.name": "latest"})
    entry = referrer.entry(made)
    assert (entry.artifact_type, entry.annotations) == (config.media_type, {"a": "b"}), "a name would be the layout's"
    long = manifests.create(config, (), {"a": "b" * (1 << 20)})
    assert referrer.entry(long).annotations == {}
