"""What is to run: a value, made by the builder or by `polyarch run`, translated by `spec.py`."""

from collections.abc import Mapping

import msgspec

from polyarch.sandbox.mounts import File, Mount
from polyarch.sandbox.settings import RunSettings
from polyarch.secret import Variables


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """One process in a container.

    `env` are `NAME=value` strings, all that the process gets: nothing of the caller's environment is added, only
    HOME where it is missing. `hidden_env` are further variables, whose values are never printed: secrets, and proxies
    with a password. `cwd` is absolute in the root filesystem. `user` is what USER and `--user` take,
    `name|uid[:group|gid]`, empty for root. `mounts` come on top of /proc, /sys, /dev and of /etc/resolv.conf,
    /etc/hosts and /etc/hostname; one with the same target replaces those. With `terminal`, stdin and stdout of
    `Sandbox.run` must be file descriptors of a terminal; `terminal_size` is how many rows and columns the process's
    own has when it starts. `insecure` lifts seccomp, masked paths and the limits on capabilities
    (`RUN --security=insecure`), which inside a user namespace still gives no power over the host. `for_build`: what a
    build's process leaves in /etc becomes part of an image, so /etc/hostname is the image's own, and the other two
    cannot be written to, as in BuildKit (executor/oci/mounts.go).
    """

    argv: tuple[str, ...]
    env: tuple[str, ...] = ()
    hidden_env: Mapping[str, str] = Variables()
    cwd: str = "/"
    user: str = ""
    mounts: tuple[Mount, ...] = ()
    settings: RunSettings = RunSettings()
    hostname: str = "polyarch"
    terminal: bool = False
    terminal_size: tuple[int, int] = (0, 0)
    read_only: bool = False
    insecure: bool = False
    for_build: bool = False

    @property
    def environment(self) -> tuple[str, ...]:
        """All variables as `NAME=value`, the hidden ones too. Do not print it."""
        return (*self.env, *(f"{name}={value}" for name, value in self.hidden_env.items()))

    def mentions(self, word: str) -> bool:
        """Whether `word` is in what the process is given: arguments, environment, the files mounted for it."""
        texts = (*self.argv, *self.environment)
        files = (mount.content for mount in self.mounts if isinstance(mount, File))
        return any(word in text for text in texts) or any(word.encode() in bytes(content) for content in files)
