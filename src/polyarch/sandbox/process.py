"""The process to run: a value that the builder or `polyarch run` creates and `spec.py` translates."""

from collections.abc import Mapping

import msgspec

from polyarch.sandbox.mounts import File, Mount
from polyarch.sandbox.rights import Rights
from polyarch.sandbox.settings import RunSettings
from polyarch.secret import Variables

# A container's own address in a private network, besides 127.0.0.1: one of those for documentation (RFC 5737), which no
# network has.
PRIVATE_ADDRESS = "192.0.2.2"


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """One process in a container.

    `env` are all its variables, as `NAME=value`: it inherits none from the caller, and only HOME is added if it is
    missing. `hidden_env` are further variables whose values are never printed: secrets, and proxies with a password.
    `cwd` is absolute in the root filesystem. `user` is as in USER and `--user`, `name|uid[:group|gid]`, empty for root.
    `mounts` are added to /proc, /sys, /dev, /etc/resolv.conf, /etc/hosts and /etc/hostname; one with the same target
    replaces those.

    `network` is the path of a network namespace (`network.PrivateNetwork`), used instead of the one in `settings`.

    With `terminal`, stdin and stdout of `Sandbox.run` must be file descriptors of a terminal; `terminal_size` is the
    initial number of rows and columns. `insecure` lifts seccomp, masked paths and the limits on capabilities (`RUN
    --security=insecure`), which inside a user namespace gives no power over the host. `for_build`: files in /etc become
    part of an image, so /etc/hostname is the image's own, and the other two are read-only, as in BuildKit
    (executor/oci/mounts.go). With `skip_syncs`, fsync and similar system calls return 0 at once, unless `insecure`.
    """

    argv: tuple[str, ...]
    env: tuple[str, ...] = ()
    hidden_env: Mapping[str, str] = Variables()
    cwd: str = "/"
    user: str = ""
    mounts: tuple[Mount, ...] = ()
    settings: RunSettings = RunSettings()
    network: str = ""
    hostname: str = "polyarch"
    terminal: bool = False
    terminal_size: tuple[int, int] = (0, 0)
    read_only: bool = False
    rights: Rights = Rights()
    insecure: bool = False
    skip_syncs: bool = False
    for_build: bool = False

    @property
    def environment(self) -> tuple[str, ...]:
        """All variables as `NAME=value`, including the hidden ones. Do not print it."""
        return (*self.env, *(f"{name}={value}" for name, value in self.hidden_env.items()))

    def mentions(self, word: str) -> bool:
        """Return whether `word` occurs in the arguments, the environment or the mounted files of the process."""
        texts = (*self.argv, *self.environment)
        files = (mount.content for mount in self.mounts if isinstance(mount, File))
        return any(word in text for text in texts) or any(word.encode() in bytes(content) for content in files)
