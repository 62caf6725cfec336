"""The settings of a process that the user chooses. They have a file of their own because planning imports only this."""

from typing import Literal

import msgspec


class RunSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How processes are run: settings that the user chooses for all steps of a build or for one container.

    `hosts` are (name, address) pairs for /etc/hosts. `shm_size` is the size of /dev/shm in bytes, 0 for the default.
    `ulimits` are (name, soft, hard), with names such as `nofile` for RLIMIT_NOFILE. The network "default" is the
    host's. Unless `sync`, fsync and similar system calls in a RUN do nothing: see `Process.skip_syncs`. `emulated_cpus`
    are the processors that emulators show: see `processors.chosen`.

    A RUN's cache key contains these settings. Defaults are not encoded, so adding a setting does not change other keys.
    """

    network: Literal["default", "none", "host"] = "default"
    hosts: tuple[tuple[str, str], ...] = ()
    shm_size: int = 0
    ulimits: tuple[tuple[str, int, int], ...] = ()
    sync: bool = False
    emulated_cpus: tuple[tuple[str, str], ...] = ()
