"""The limits of the source: prints each violation as `path:line: rule: what`, and exits with 1 when there are any.

`python -m scripts.limits` checks all rules, `python -m scripts.limits circles words` only these, and
`python -m scripts.limits --quiet` prints only how many violations each rule has. `tests/test_house.py` runs it.
"""

import ast
import io
import re
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

FILE_LINES = 400
FUNCTION_LINES = 60
CLASS_FIELDS = 16

# Plain requests: one field for each thing that a user can ask for, and no behaviour that needs them all.
PLAIN_REQUESTS: Mapping[str, str] = {
    "BuildKeywords": "the keywords of Polyarch.build",
}

# Phrases that are hard to read, and what to write instead: regular expressions that ignore case, whose space is also a
# line break. The user nobody may be named, where no word follows.
PHRASES: Mapping[str, str] = {
    r"\bas of `": "See `X` / Implements `X`",
    r"(?<!there\s)\bis no (?!longer\b|more than\b)": "is not a",
    r"(?<!there\s)\bare no (?!longer\b|more than\b)": "are not",
    r"\b(?:comes?|came|coming) to lie\b": "is placed",
    r"\bfor who\b": "for a caller that / for users who",
    r"\bmade anew\b": "made again / recreated",
    r"\bnobody\b(?=(?:'s)? [a-z]|\.$|\. )": "no X / not … by any X",
    r"\bsomebody\b": "another process / a user",
    r"\bwish(?:es)?\b": "request / option",
    r"\b(?:the longest unused|unused the longest|longest unused first)\b": "least recently used",
    r"\bat the price of one\b": "in one transaction / request",
    r"\bcannot be had\b": "is not available",
    r"\bin no order\b": "in no particular order",
    r"\bwhere there (?:is|are) none\b": "if there is none",
    r"\bwhoever asks\b": "for every caller / from any client",
    r"\bas it likes\b": "freely / any",
    r"\bnot worth its space\b": "takes too much space",
    r"\bliving process(?:es)?\b": "running process",
    r"\b(?:came|comes) alone\b": "without a context / as the only file",
}

# Own words in names of files, classes and functions where the field has a term.
OWN_WORDS: Mapping[str, str] = {
    "wishes": "request / options",
    "crew": "pool",
    "survival": "failures",
    "sweep": "sequential",
    "beneath": "rooted",
    "outlook": "plan",
    "foresee": "prefetch",
    "glance": "peek",
    "wording": "gostrings",
}


# Where such a word is the field's own.
FIELD_TERMS: Mapping[str, str] = {"src/polyarch/images/remove.py _sweep": "the second half of mark and sweep"}


class Violation(NamedTuple):
    path: str
    line: int
    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.what}"


class File:
    """One Python file of the source. `name` is its module's, as `polyarch.oci.index`; a package has its own name."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path = path.relative_to(root).as_posix()
        self.text = path.read_text()
        parts = path.relative_to(root / "src").with_suffix("").parts
        self.name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the file."""
        return list(ast.walk(ast.parse(self.text)))

    def classes(self) -> Iterator[ast.ClassDef]:
        return (node for node in self.nodes if isinstance(node, ast.ClassDef))

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        return (node for node in self.nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))

    def texts(self) -> Iterator[tuple[int, str]]:
        """Docstrings and all other strings, each with its first line."""
        for node in self.nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.lineno, node.value

    def comments(self) -> Iterator[tuple[int, str]]:
        """The comments, those of adjacent lines as one text, each with its first line."""
        block: list[str] = []
        first = last = 0
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type == tokenize.COMMENT:
                line = token.start[0]
                if block and line > last + 1:
                    yield first, "\n".join(block)
                    block = []
                first = first if block else line
                block.append(token.string.lstrip("#"))
                last = line
        if block:
            yield first, "\n".join(block)


class Source:
    """The files below `src/polyarch` of a repository, and its pages: `README.md` and those of `docs`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = [File(path, root) for path in sorted((root / "src" / "polyarch").rglob("*.py"))]

    def pages(self) -> Iterator[tuple[str, str]]:
        """Path and text of each page. `docs/reference/cli.md` is written from the source, which is checked itself."""
        for path in [self.root / "README.md", *sorted((self.root / "docs").rglob("*.md"))]:
            name = path.relative_to(self.root).as_posix()
            if path.exists() and name != "docs/reference/cli.md":
                yield name, path.read_text()


def imported(file: File, names: Iterable[str]) -> dict[str, int]:
    """The modules among `names` that a file imports, each with the line of its first import.

    Every import statement counts: those inside functions and those under `TYPE_CHECKING` too. `from a import b` is
    an import of the module `a.b` where there is one, otherwise of `a`. That Python runs the `__init__` of each
    package on the way does not count.
    """
    found: dict[str, int] = {}
    for node in file.nodes:
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            wanted = [name if name in names else node.module for name in inner]
        else:
            continue
        for name in wanted:
            if name in names and name != file.name:
                found.setdefault(name, node.lineno)
    return found


def circles(source: Source) -> Iterator[Violation]:
    """Files that import each other, directly or through others. See `imported` for what counts as an import."""
    files = {file.name: file for file in source.files}
    edges = {name: imported(file, files.keys()) for name, file in files.items()}
    reached = {name: _reached(name, edges) for name in edges}
    for name, file in files.items():
        if name in reached[name]:
            circle = sorted(other for other in reached[name] if name in reached[other])
            line = min(edges[name][other] for other in circle if other in edges[name])
            yield Violation(file.path, line, "circles", f"imports in a circle with {', '.join(circle)}")


def _reached(start: str, edges: Mapping[str, Iterable[str]]) -> set[str]:
    seen: set[str] = set()
    todo = list(edges[start])
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += edges[name]
    return seen


def file_lines(source: Source) -> Iterator[Violation]:
    """Files of more than 400 lines."""
    for file in source.files:
        count = len(file.text.splitlines())
        if count > FILE_LINES:
            yield Violation(file.path, 1, "file-lines", f"{count} lines, more than {FILE_LINES}")


def function_lines(source: Source) -> Iterator[Violation]:
    """Functions of more than 60 lines, counted from `def` to the end, the docstring included."""
    for file in source.files:
        for node in file.functions():
            count = (node.end_lineno or node.lineno) - node.lineno + 1
            if count > FUNCTION_LINES:
                what = f"{node.name} has {count} lines, more than {FUNCTION_LINES}"
                yield Violation(file.path, node.lineno, "function-lines", what)


def fields(node: ast.ClassDef) -> set[str]:
    """A class's fields: those declared in its body, and what its methods assign to `self`."""
    found = set()
    for statement in node.body:
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and "ClassVar" not in ast.unparse(statement.annotation)
        ):
            found.add(statement.target.id)
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            found |= {
                inner.attr
                for inner in ast.walk(statement)
                if isinstance(inner, ast.Attribute)
                and isinstance(inner.ctx, ast.Store)
                and isinstance(inner.value, ast.Name)
                and inner.value.id == "self"
            }
    return found


def class_fields(source: Source) -> Iterator[Violation]:
    """Classes of more than 16 fields that are not in `PLAIN_REQUESTS`, and names there that are no longer needed."""
    unused = dict(PLAIN_REQUESTS)
    for file in source.files:
        for node in file.classes():
            count = len(fields(node))
            if count > CLASS_FIELDS and unused.pop(node.name, None) is None:
                what = f"{node.name} has {count} fields, more than {CLASS_FIELDS}"
                yield Violation(file.path, node.lineno, "class-fields", what)
    for name in unused:
        yield Violation("scripts/limits.py", 1, "class-fields", f"{name} needs no place in PLAIN_REQUESTS")


def public_twice(source: Source) -> Iterator[Violation]:
    """Public class names that stand for several classes."""
    return _twice(source, "public-twice", lambda name: not name.startswith("_"))


def private_twice(source: Source) -> Iterator[Violation]:
    """Private class names that stand for several classes."""
    return _twice(source, "private-twice", lambda name: name.startswith("_"))


def _twice(source: Source, rule: str, matches: Callable[[str], bool]) -> Iterator[Violation]:
    places: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for file in source.files:
        for node in file.classes():
            if matches(node.name):
                places[node.name].append((file.path, node.lineno))
    for name, found in places.items():
        if len(found) > 1:
            for path, line in found:
                others = ", ".join(f"{other}:{at}" for other, at in found if (other, at) != (path, line))
                yield Violation(path, line, rule, f"class {name} is also at {others}")


def own_words(source: Source) -> Iterator[Violation]:
    """Files, classes and functions named with a word of our own where the field has a term."""
    for file in source.files:
        yield from _own_word(file.path, 1, file.name.rpartition(".")[2])
        for node in [*file.classes(), *file.functions()]:
            yield from _own_word(file.path, node.lineno, node.name)


def _own_word(path: str, line: int, name: str) -> Iterator[Violation]:
    for word in re.findall(r"[A-Z]?[a-z]+", name):
        if word.lower() in OWN_WORDS and f"{path} {name}" not in FIELD_TERMS:
            yield Violation(path, line, "own-words", f"{name}: write {OWN_WORDS[word.lower()]}")


def words(source: Source) -> Iterator[Violation]:
    """Phrases of `PHRASES` in docstrings, comments, texts and pages."""
    for file in source.files:
        for line, text in [*file.texts(), *file.comments()]:
            yield from _phrases(file.path, line, text)
    for path, text in source.pages():
        yield from _phrases(path, 1, text)


_PHRASES = {re.compile(phrase.replace(" ", r"\s+"), re.IGNORECASE): instead for phrase, instead in PHRASES.items()}


def _phrases(path: str, line: int, text: str) -> Iterator[Violation]:
    for phrase, instead in _PHRASES.items():
        for match in phrase.finditer(text):
            around = " ".join(text[max(match.start() - 20, 0) : match.end() + 20].split())
            at = line + text.count("\n", 0, match.start())
            yield Violation(path, at, "words", f"… {around} …: write {instead}")


RULES: Mapping[str, Callable[[Source], Iterator[Violation]]] = {
    "circles": circles,
    "file-lines": file_lines,
    "function-lines": function_lines,
    "class-fields": class_fields,
    "public-twice": public_twice,
    "private-twice": private_twice,
    "own-words": own_words,
    "words": words,
}


def violations(rules: Iterable[str] = RULES, root: Path = ROOT) -> list[Violation]:
    """All violations of some rules, by file and line."""
    source = Source(root)
    return sorted({found for rule in rules for found in RULES[rule](source)})


def main(arguments: list[str]) -> int:
    quiet = "--quiet" in arguments
    rules = [argument for argument in arguments if argument != "--quiet"] or list(RULES)
    unknown = [rule for rule in rules if rule not in RULES]
    if unknown:
        print(f"no such rule: {', '.join(unknown)}; there are {', '.join(RULES)}", file=sys.stderr)
        return 2
    found = violations(rules)
    if not quiet:
        for violation in found:
            print(violation)
    counts = Counter(violation.rule for violation in found)
    print(*(f"{rule}: {counts[rule]}" for rule in rules), sep=", ", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
