"""COPY and ADD."""

from polyarch.dockerfile.instructions.base import Heredoc, Instruction


class Copy(Instruction, frozen=True, kw_only=True):
    """COPY: paths of the build context (or of `from_`: a stage, a stage's number, a context or an image).

    `files` are the heredocs, which come after the `sources`. `chmod` and `chown` are as written.
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

    `keep_git_dir` and `unpack` are None where they are not said.
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
