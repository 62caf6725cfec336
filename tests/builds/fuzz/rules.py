"""How two builds of one recipe are compared, and which differences are intended.

Each rule stands for a line of docs/coming-from-docker.md, and takes away what that line explains and no more.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.builds.cases import Case, unescaped
from tests.builds.fuzz.trees import Changes, Node, Seen

# A `!` pattern with another one behind it.
_TAKEN_BACK = re.compile(r"^\.dockerignore = .*!.*\\n.", re.MULTILINE)


class Outcome(NamedTuple):
    """The result of a build: an image, or the text of an error."""

    image: Seen | None
    error: str = ""


class Where(NamedTuple):
    """Where a path differs: the history's line of its layer, the case, and what BuildKit had there before."""

    step: str
    case: Case
    before: Node | None

    @property
    def dockerfile(self) -> str:
        return self.case.sections["Dockerfile"]


class Rule(NamedTuple):
    """A rule: the first words of its line in docs/coming-from-docker.md, and whether it explains what became of a path.

    explains(where, ours, theirs): the path in both (None: is not there).
    """

    line: str
    explains: Callable[[Where, Node | None, Node | None], bool]


class Refusal(NamedTuple):
    """A rule of an error that only BuildKit makes, or only this builder: its line, who, and a pattern of the words."""

    line: str
    ours: bool
    words: str


def refusal(ours: Outcome, theirs: Outcome) -> Refusal | None:
    """The rule for an error that only one of them makes."""
    found = (
        rule
        for rule in REFUSALS
        if re.search(rule.words, (ours if rule.ours else theirs).error, re.DOTALL | re.MULTILINE)
    )
    return next(found, None) if (ours.image is None) != (theirs.image is None) else None


def differences(case: Case, ours: Outcome, theirs: Outcome) -> list[str]:
    """Differences without a rule, one per line: + is ours, - is theirs. The first word is the kind."""
    if ours.image is None or theirs.image is None:
        if (ours.image is None) == (theirs.image is None) or refusal(ours, theirs):
            return []
        who, error = ("ours", ours.error) if ours.image is None else ("BuildKit", theirs.error)
        return [f"error: only of {who}: {' '.join(error.split())[-600:]}"]
    return [
        *_config(ours.image, theirs.image),
        *_history(ours.image, theirs.image),
        *_trees(case, ours.image, theirs.image),
    ]


def _config(ours: Seen, theirs: Seen) -> Iterator[str]:
    for key in sorted(ours.config.keys() | theirs.config.keys()):
        pair = ours.config.get(key), theirs.config.get(key)
        if pair[0] != pair[1]:
            yield f"config: {key}: + {pair[0]} - {pair[1]}"


def _history(ours: Seen, theirs: Seen) -> Iterator[str]:
    if ours.history != theirs.history:
        yield from (f"history: + {line}" for line in ours.history if line not in theirs.history)
        yield from (f"history: - {line}" for line in theirs.history if line not in ours.history)
        if sorted(ours.history) == sorted(theirs.history):
            yield "history: another order"


def _trees(case: Case, ours: Seen, theirs: Seen) -> Iterator[str]:
    if len(ours.changes) != len(theirs.changes):
        yield f"layers: + {len(ours.changes)} - {len(theirs.changes)}"
        return
    steps = [line for line in ours.history if line.startswith("+")]
    for number, (one, other) in enumerate(zip(ours.changes, theirs.changes, strict=True)):
        step = steps[number] if number < len(steps) else ""
        before = _tree(theirs.changes, number - 1)
        trees = _tree(ours.changes, number), _tree(theirs.changes, number)
        for path in sorted(one.keys() | other.keys()):
            where = Where(step, case, before.get(path))
            pair = trees[0].get(path), trees[1].get(path)
            if pair[0] != pair[1] and not any(rule.explains(where, *pair) for rule in RULES):
                yield from (
                    f"tree {number}: {sign} {node.line(path) if node else 'no ' + path}"
                    for sign, node in zip("+-", pair, strict=True)
                )


def _tree(changes: tuple[Changes, ...], number: int) -> dict[str, Node]:
    tree: dict[str, Node | None] = {}
    for layer in changes[: number + 1]:
        tree.update(layer)
    return {path: node for path, node in tree.items() if node is not None}


def _directory_time(where: Where, ours: Node | None, theirs: Node | None) -> bool:
    """Only the time of a directory, and one of them is the time of the build."""
    if ours is None or theirs is None or ours.kind != "directory" or ours._replace(time=theirs.time) != theirs:
        return False
    return ours.time in (0, -1) or theirs.time in (0, -1)


def _heredoc_time(where: Where, ours: Node | None, theirs: Node | None) -> bool:
    """A heredoc's file, wherever a later step took it."""
    if ours is None or theirs is None or not re.search(r"^(COPY|ADD) .*<<", where.dockerfile, re.MULTILINE):
        return False
    return ours._replace(time=-1) == theirs and ours.time == 0


def _linked_by_run(where: Where, ours: Node | None, theirs: Node | None) -> bool:
    """Names that a RUN linked to a file of a layer below. What COPY takes of them is linked as they are."""
    if ours is None or theirs is None or not re.search(r"\bln ", where.dockerfile):
        return False
    # The file that is linked is another one than before: it has left the names that it had.
    expected = set(theirs.twins) < set(ours.twins) or (theirs == where.before and where.step.startswith("+ RUN"))
    return expected and ours._replace(twins=theirs.twins) == theirs


def _setuid_written(where: Where, ours: Node | None, theirs: Node | None) -> bool:
    """A file that a RUN wrote to, wherever a later step took it."""
    if ours is None or theirs is None or ours.kind != "file" or "RUN" not in where.dockerfile:
        return False
    return ours.mode == theirs.mode & ~0o6000 and ours._replace(mode=theirs.mode) == theirs


def _copied_over_its_like(where: Where, ours: Node | None, theirs: Node | None) -> bool:
    """What BuildKit left as it was: a file with its links, a heredoc even with its text, a symlink with its target."""
    if ours is None or theirs is None or theirs != where.before or not re.match(r"\+ (COPY|ADD) ", where.step):
        return False
    if ours.kind == theirs.kind and ours.kind in ("file", "symlink") and _size(ours) == _size(theirs):
        # The heredocs of one build have one time.
        times = {ours.time, theirs.time}
        if ours.kind == "symlink" or times <= {0, -1}:
            ours = ours._replace(content=theirs.content, time=theirs.time if times <= {0, -1} else ours.time)
    return (set(ours.twins) < set(theirs.twins) and ours._replace(twins=theirs.twins) == theirs) or ours == theirs


def _taken_back(where: Where, ours: Node | None, theirs: Node | None) -> bool:
    """What BuildKit makes empty. Its walk takes the file, and its reader, which asks anew, does not."""
    if ours is None or theirs is None or theirs.content or not _TAKEN_BACK.search(where.case.sections["context"]):
        return False
    return ours._replace(content="") == theirs


def _size(node: Node) -> int:
    return len(unescaped(node.content).encode("utf-8", "surrogateescape"))


RULES = (
    Rule("Directories that the builder creates", _directory_time),
    Rule("Directories that the builder creates", _heredoc_time),
    Rule("A hard link that a RUN makes to a file of a lower layer", _linked_by_run),
    Rule("A file or symlink that is copied over an equal one", _copied_over_its_like),
    Rule("A file that a `!` pattern includes again", _taken_back),
    Rule("A RUN that writes to a file with setuid", _setuid_written),
)

REFUSALS = (
    Refusal("`COPY --link --chown=NAME`", False, "invalid user index: -1"),
    Refusal(
        "`COPY d/*.none /x/` from the context",
        False,
        r"^ +\d+ \| >>> (?i:COPY|ADD) .*[*?\[].* lstat /[^\n]*no such file",
    ),
    Refusal(
        "`COPY --exclude=… .` with a dangling symlink at the top",
        False,
        r"^ +\d+ \| >>> (?i:COPY|ADD) .*--exclude=.* failed to calculate checksum of ref \S+ \"/[^/\"]+\": not found",
    ),
    Refusal("A member of an ADD archive below a symlink that leads upwards", False, "path escapes from parent"),
    Refusal(
        "USER where /etc/passwd is a symlink loop",
        False,
        r"unable to find (user|groups for spec) \S+: invalid argument",
    ),
)
