"""What is to run: a value, made by the builder or by `polyarch run`, translated by `spec.py`."""

from typing import Literal

import msgspec

from polyarch.sandbox.mounts import File, Mount


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """One process in a container.

    `env` are `NAME=value` strings, all that the process gets: nothing of the caller's environment is added, only
    HOME where it is missing. `cwd` is absolute in the root filesystem. `user` is what USER and `--user` take,
    `name|uid[:group|gid]`, empty for root. `mounts` come on top of /proc, /sys, /dev and of /etc/resolv.conf,
    /etc/hosts and /etc/hostname; one with the same target replaces those. `hosts` are (name, address) pairs for
    /etc/hosts. `limits` are (name, soft, hard), the name as in `nofile` for RLIMIT_NOFILE. With `terminal`, stdin
    and stdout of `Sandbox.run` must be file descriptors of a terminal; `terminal_size` is how many rows and columns the
    process's own has when it starts. `insecure` lifts seccomp, masked
    paths and the limits on capabilities (`RUN --security=insecure`), which inside a user namespace still gives no
    power over the host. `for_build`: what a build's process leaves in /etc becomes part of an image, so /etc/hostname
    is the image's own, and the other two cannot be written to, as in BuildKit (executor/oci/mounts.go).
    """

    argv: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: str = ""
    mounts: tuple[Mount, ...] = ()
    network: Literal["host", "none"] = "host"
    hostname: str = "polyarch"
    hosts: tuple[tuple[str, str], ...] = ()
    terminal: bool = False
    terminal_size: tuple[int, int] = (0, 0)
    read_only: bool = False
    insecure: bool = False
    limits: tuple[tuple[str, int, int], ...] = ()
    for_build: bool = False

    def mentions(self, word: str) -> bool:
        """Whether `word` is in what the process is given: arguments, environment, the files mounted for it."""
        texts = (*self.argv, *self.env)
        files = (mount.content for mount in self.mounts if isinstance(mount, File))
        return any(word in text for text in texts) or any(word.encode() in content for content in files)
