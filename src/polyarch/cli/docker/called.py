"""Polyarch under the name of `docker` or `docker-buildx`: which commands it has then, and how it reports errors."""

import os
from collections.abc import Sequence

from polyarch.cli.docker import versions
from polyarch.cli.docker.errors import DockerErrors, NoticingStream
from polyarch.cli.execute import execute
from polyarch.cli.personality import Personality
from polyarch.version import VERSION

_PLUGIN = "docker-buildx"


def execute_as(path: str, words: Sequence[str]) -> int:
    """Run the command `words` of the program that was called by `path`. Returns the exit status."""
    if words and words[0] in ("-v", "--version"):
        # Also with more words: podman-compose calls `docker --version ''`.
        print(f"Docker version {versions.DOCKER}, build polyarch-{VERSION}")
        return 0
    from polyarch.cli.docker import program

    with NoticingStream() as noticing:
        if is_plugin(path):
            if words and words[0] == "docker-cli-plugin-metadata":
                print(program.plugin_metadata())
                return 0
            personality = Personality("docker buildx", program.plugin, DockerErrors)
        elif path.rpartition("/")[2] == _PLUGIN:
            personality = Personality("docker-buildx", program.standalone, DockerErrors)
        else:
            personality = Personality("docker", program.program, DockerErrors)
        status = execute(words, personality)
        # GitHub's actions take a failure without a word on standard error for success.
        if status and not noticing.written and "run" not in words:
            noticing.stream.write(f"ERROR: exit status {status}\n")
    return status


def is_plugin(path: str) -> bool:
    """Whether this is docker's plugin for buildx: called by its name, and no `docker` of ours lies beside it."""
    directory, _, name = path.rpartition("/")
    if name != _PLUGIN:
        return False
    docker = os.path.realpath(os.path.join(directory, "docker"))
    return docker != os.path.realpath(path)
