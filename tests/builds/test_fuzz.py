"""Random Dockerfiles, against recorded results of BuildKit; and tests of the generator and the comparison."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import bases
from tests.builds.cases import Case
from tests.builds.conftest import Worker, with_base_images
from tests.builds.fuzz import recorded
from tests.builds.fuzz.building import build_here
from tests.builds.fuzz.generate import recipe
from tests.builds.fuzz.recipe import Recipe, Stage, Step
from tests.builds.fuzz.recorded import Record
from tests.builds.fuzz.rules import REFUSALS, RULES, Outcome, differences, refusal
from tests.builds.fuzz.shrink import shrink
from tests.builds.fuzz.trees import Node, Seen
from tests.needs import need_root

RECORDS = recorded.read()
DIFFERENCES = Path(__file__).parents[2] / "docs/coming-from-docker.md"


@pytest.fixture(scope="module")
def recording_worker(tmp_path_factory: pytest.TempPathFactory, busybox_store: Path) -> Iterator[Worker]:
    """A builder for these tests only: results of others for the same content have other times."""
    root = tmp_path_factory.mktemp("recorded") / "store"
    bases.copy_store(busybox_store, root)
    worker = Worker(root)
    try:
        yield with_base_images(worker, tmp_path_factory)
    finally:
        worker.close()


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.case.title)
def test_a_recorded_case_builds_what_buildkit_built(record: Record, recording_worker: Worker, tmp_path: Path) -> None:
    if re.search(r"^\S+ 0000 =", record.case.sections["context"], re.MULTILINE):
        need_root()  # nobody else reads such a file of a context
    ours = build_here(recording_worker, record.case, tmp_path)
    assert ours.image is not None, ours.error
    theirs = Outcome(recorded.with_bases(record.theirs, ours.image))
    assert differences(record.case, ours, theirs) == []


def test_forty_are_recorded_and_more_than_half_of_them_run_something() -> None:
    assert len(RECORDS) == 40
    assert sum("\nRUN" in record.case.sections["Dockerfile"] for record in RECORDS) > 20


def test_a_seed_makes_the_same_recipe_each_time() -> None:
    assert recipe(7) == recipe(7)
    assert len({recipe(seed).text() for seed in range(100)}) == 100
    assert all(recipe(seed).is_sound() for seed in range(100))


def test_each_rule_stands_for_a_line_of_the_page_coming_from_docker() -> None:
    lines = [line for line in DIFFERENCES.read_text().splitlines() if line.startswith("| ")]
    for rule in (*RULES, *REFUSALS):
        assert sum(line.startswith(f"| {rule.line}") for line in lines) == 1, rule.line


FILE = Node("file", 0o4755, 0, 0, 1_000_000_000, "text")
DIRECTORY = Node("directory", 0o755, 0, 0, 0)


def _judged(
    ours: Node | None,
    theirs: Node | None,
    dockerfile: str = "FROM x\nCOPY a /a",
    step: str = "+ COPY a /a",
    before: Node | None = None,
    context: str = "",
) -> int:
    """How many lines differ, where one path of one layer does."""
    images = [Outcome(Seen({}, ("+ FROM", step), ({"a": before}, {"a": node}))) for node in (ours, theirs)]
    return len(differences(Case("fuzz", "one", {"Dockerfile": dockerfile, "context": context}), *images))


def test_a_difference_without_a_rule_is_told() -> None:
    assert _judged(FILE, FILE) == 0
    assert _judged(FILE, None) == 2
    for other in ({"mode": 0o755}, {"uid": 1}, {"gid": 1}, {"time": -1}, {"content": "other"}, {"kind": "symlink"}):
        assert _judged(FILE, FILE._replace(**other)) == 2
    assert _judged(FILE, FILE._replace(twins=("b",))) == 2


def test_the_time_of_a_directory_that_is_made_is_a_builders_own_and_nothing_else_of_it() -> None:
    assert _judged(DIRECTORY, DIRECTORY._replace(time=-1)) == 0
    assert _judged(DIRECTORY._replace(time=5), DIRECTORY._replace(time=6)) == 2
    assert _judged(DIRECTORY, DIRECTORY._replace(time=-1, mode=0o700)) == 2


def test_a_heredocs_time_needs_a_heredoc() -> None:
    pair = FILE._replace(time=0), FILE._replace(time=-1)
    assert _judged(*pair, dockerfile="FROM x\nCOPY --chmod=1 <<EOF /a\nEOF") == 0
    assert _judged(*pair) == 2


def test_a_hard_link_to_a_file_below_needs_a_run_that_links() -> None:
    pair = FILE._replace(twins=("b",)), FILE
    assert _judged(*pair, dockerfile="FROM x\nRUN ln b a", step="+ RUN ln b a") == 0
    assert _judged(*pair) == 2
    assert _judged(*reversed(pair), dockerfile="FROM x\nRUN ln b a", step="+ RUN ln b a") == 2
    moved = FILE._replace(twins=("b",)), FILE._replace(twins=("c",))
    assert _judged(*moved, dockerfile="FROM x\nRUN ln b a", step="+ RUN ln b a", before=moved[1]) == 0
    assert _judged(*moved, dockerfile="FROM x\nRUN ln b a", step="+ RUN ln b a") == 2


def test_what_is_copied_over_its_like_keeps_the_links_that_it_had() -> None:
    linked = FILE._replace(twins=("b",))
    assert _judged(FILE, linked, before=linked) == 0
    assert _judged(FILE, linked) == 2
    assert _judged(FILE._replace(mode=0), linked, before=linked) == 2
    link = FILE._replace(kind="symlink")
    assert _judged(link._replace(content="next"), link, before=link) == 0
    assert _judged(link._replace(content="longer"), link, before=link) == 2


def test_what_is_taken_back_and_matched_again_is_empty_in_buildkit_alone() -> None:
    pair = FILE, FILE._replace(content="")
    assert _judged(*pair, context="a = text\n.dockerignore = d\\n!**/x\\n?\\n\n") == 0
    assert _judged(*pair, context="a = text\n.dockerignore = d\\n!**/x\\n\n") == 2
    assert _judged(*reversed(pair), context="a = text\n.dockerignore = d\\n!**/x\\n?\\n\n") == 2


def test_the_bits_that_a_write_takes_away_need_a_run() -> None:
    pair = FILE._replace(mode=0o755), FILE
    assert _judged(*pair, dockerfile="FROM x\nRUN echo >>a") == 0
    assert _judged(*pair) == 2
    assert _judged(FILE._replace(mode=0o750), FILE, dockerfile="FROM x\nRUN echo >>a") == 2


def test_an_error_of_one_side_is_a_difference_but_for_the_rules() -> None:
    image, error = Outcome(Seen({}, (), ())), Outcome(None, "no such thing")
    case = Case("fuzz", "one", {"Dockerfile": "", "context": ""})
    assert len(differences(case, image, error)) == len(differences(case, error, image)) == 1
    assert differences(case, error, Outcome(None, "another")) == []
    assert refusal(image, Outcome(None, "failed to solve: invalid user index: -1")) is REFUSALS[0]
    assert refusal(Outcome(None, "invalid user index: -1"), image) is None
    loop = refusal(image, Outcome(None, "unable to find user 0: invalid argument"))
    assert loop is not None
    assert loop.line.startswith("USER where")


def test_what_is_wrong_with_a_recipe_stays_while_the_rest_goes() -> None:
    steps = tuple(Step("RUN", (f"echo {number}", "true", "rm b"), ("--network=none",), "; ") for number in range(5))
    large = Recipe("large", (Stage("x", "s0", steps), Stage("y", "s1", steps)), ("a = a", "b == a"), ("c",))
    small = shrink(large, lambda made: "echo 3; " in made.dockerfile() and "s1" in made.dockerfile())
    assert small.dockerfile() == "FROM y AS s1\nRUN echo 3; true\n" or small.dockerfile().count("\n") == 2
    assert not small.context
    assert not small.ignore


def test_an_instruction_is_taken_out_by_any_of_its_lines() -> None:
    steps = (Step("COPY", ("<<EOF", "/a"), close="\ntext\nEOF"), Step("USER", ("1",)))
    made = Recipe("two", (Stage("x", "s0", steps), Stage("y", "s1", steps)), arguments=("A=b",))
    assert made.dockerfile().splitlines()[3] == "text"
    for line in (3, 4, 5):
        assert made.without_line(line).stages[0].steps == steps[1:]
    assert made.without_line(6).stages[0].steps == steps[:1]
    assert made.without_line(7).stages == made.stages[:1]


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "records"
    recorded.write(RECORDS, file)
    assert recorded.read(file) == RECORDS
