"""The warnings that are stored with the layer of a COPY or WORKDIR: (name of a lint rule, message)."""

from polyarch.builder.perform.copy.accounts import Owner
from polyarch.builder.vertices import CopyFiles
from polyarch.dockerfile import rules

Note = tuple[str, str]


def nothing_copied(vertex: CopyFiles, excluded: str) -> Note:
    """No pattern of the copy matched a file. `excluded` says which file an ignore file left out, or is empty."""
    patterns = " ".join(part.path for part in vertex.parts)
    return rules.NOTHING_TO_COPY.name, f"no file matches {patterns}, so nothing is copied{excluded}"


def unusable_directory(vertex: CopyFiles, directory: str) -> Note:
    """An octal `--chmod` removed the permission to enter `directory`."""
    message = (
        f"--chmod={vertex.mode} also sets the mode of the directory /{directory}, which then only root can enter; "
        "symbolic modes treat directories differently, as in --chmod=u=rwX,go=rX"
    )
    return rules.UNUSABLE_DIRECTORY.name, message


def unknown_owner(owner: Owner | None, option: str) -> tuple[Note, ...]:
    """Names in `option` that the image's files do not have."""
    if owner is None or not owner.unknown:
        return ()
    uid, gid = owner.ids
    message = (
        f"{option}: the image's /etc/passwd and /etc/group have no {' and no '.join(owner.unknown)}, "
        f"so the files belong to {uid}:{gid}"
    )
    return ((rules.UNKNOWN_OWNER.name, message),)
