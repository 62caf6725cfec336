"""COPY and ADD."""

import msgspec

from polyarch.dockerfile import flags, syntax
from polyarch.dockerfile.instructions.base import Heredoc, Instruction
from polyarch.dockerfile.instructions.expander import Expander
from polyarch.dockerfile.source import DockerfileError
from polyarch.dockerfile.syntax import SyntaxNode, common

_SHARED: dict[str, flags.Kind] = {"chown": "text", "chmod": "text", "link": "bool", "exclude": "list"}
_COPY: dict[str, flags.Kind] = {**_SHARED, "from": "text", "parents": "bool"}
_ADD: dict[str, flags.Kind] = {**_SHARED, "keep-git-dir": "bool", "checksum": "text", "unpack": "bool"}


class Copy(Instruction, frozen=True, kw_only=True):
    """COPY: paths of the build context, or of `from_` (a stage, a stage's number, a context or an image).

    `files` are the heredocs, which follow the `sources`, with tabs removed for `<<-`. `chmod` and `chown` are as
    written.
    """

    sources: tuple[str, ...]
    destination: str
    files: tuple[Heredoc, ...] = ()
    from_: str = ""
    chown: str = ""
    chmod: str = ""
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()


class Add(Instruction, frozen=True, kw_only=True):
    """ADD: paths of the build context, URLs and git repositories.

    `keep_git_dir` and `unpack` are None if the flag is absent.
    """

    sources: tuple[str, ...]
    destination: str
    files: tuple[Heredoc, ...] = ()
    chown: str = ""
    chmod: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()
    keep_git_dir: bool | None = None
    checksum: str = ""
    unpack: bool | None = None


def parse_copy(node: SyntaxNode) -> Copy:
    """Return the COPY of a node. Raises DockerfileError for fewer than two arguments or an invalid flag."""
    given = _given(node, "COPY", _COPY)
    sources, files, destination = _paths(node, "COPY")
    return Copy(
        sources=sources,
        files=files,
        destination=destination,
        from_=given.text("from"),
        chown=given.text("chown"),
        chmod=given.text("chmod"),
        link=bool(given.bool("link")),
        parents=bool(given.bool("parents")),
        exclude=given.list("exclude"),
        **common(node),
    )


def parse_add(node: SyntaxNode) -> Add:
    """Return the ADD of a node. Raises DockerfileError for fewer than two arguments or an invalid flag."""
    given = _given(node, "ADD", _ADD)
    sources, files, destination = _paths(node, "ADD")
    return Add(
        sources=sources,
        files=files,
        destination=destination,
        chown=given.text("chown"),
        chmod=given.text("chmod"),
        link=bool(given.bool("link")),
        exclude=given.list("exclude"),
        keep_git_dir=given.bool("keep-git-dir"),
        checksum=given.text("checksum"),
        unpack=given.bool("unpack"),
        **common(node),
    )


def _given(node: SyntaxNode, keyword: str, known: dict[str, flags.Kind]) -> flags.Flags:
    if len(node.arguments) < 2:
        raise DockerfileError(
            f"{keyword} requires at least two arguments, but only one was provided. Destination could not be determined"
        )
    return flags.parse(node.flags, known)


def _paths(node: SyntaxNode, keyword: str) -> tuple[tuple[str, ...], tuple[Heredoc, ...], str]:
    if node.json:
        return node.arguments[:-1], (), node.arguments[-1]
    *sources, destination = syntax.joined(node.arguments)
    if syntax.announced(destination) is not None:
        raise DockerfileError(f"{keyword} cannot accept a heredoc as a destination")
    documents = {document.name: document for document in node.heredocs}
    paths: list[str] = []
    files: list[Heredoc] = []
    for source in sources:
        announced = syntax.announced(source)
        if announced is None:
            paths.append(source)
        elif (document := documents.get(announced.name)) is not None:
            files.append(Heredoc(document.name, document.chomped, document.expand))
    return tuple(paths), tuple(files), destination


def expand_copy(copy: Copy, words: Expander) -> Copy:
    """Expand all fields but `--from` and `--exclude`."""
    return msgspec.structs.replace(
        copy,
        chown=words.word(copy.chown),
        chmod=words.word(copy.chmod),
        sources=words.each(copy.sources),
        destination=words.word(copy.destination),
        files=tuple(words.document(file) for file in copy.files),
    )


def expand_add(add: Add, words: Expander) -> Add:
    """Expand all fields but `--exclude`."""
    return msgspec.structs.replace(
        add,
        chown=words.word(add.chown),
        chmod=words.word(add.chmod),
        checksum=words.word(add.checksum),
        sources=words.each(add.sources),
        destination=words.word(add.destination),
        files=tuple(words.document(file) for file in add.files),
    )
