"""`--init`: a small program as process 1, which passes signals on and removes zombies."""

import os

import msgspec

from polyarch.sandbox import emulators, runtime
from polyarch.sandbox.mounts import Bind
from polyarch.sandbox.process import Process

# What podman and docker use, and their like. They must be static: the image has no libraries of this machine.
_PROGRAMS = ("catatonit", "tini-static", "docker-init", "tini", "dumb-init")
_DIRECTORIES = "/usr/libexec/podman:/usr/lib/podman:/usr/libexec/docker"
# /dev is a tmpfs of the container, so nothing is left in the image.
_TARGET = "/dev/init"


def find(search_path: str) -> str | None:
    """Return the path of a static program that can be process 1 of any container, or None."""
    for name in _PROGRAMS:
        path = runtime.which(name, f"{search_path}:{_DIRECTORIES}")
        if path and emulators.is_static(path):
            return os.path.realpath(path)
    return None


def under(process: Process, program: str) -> Process:
    """Return `process` as a child of `program`."""
    return msgspec.structs.replace(
        process,
        argv=(_TARGET, "--", *process.argv),
        mounts=(*process.mounts, Bind(program, _TARGET, read_only=True)),
    )
