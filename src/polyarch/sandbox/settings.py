"""The settings of a process that a person chooses. A file of its own, because planning a build loads no more."""

from typing import Literal

import msgspec


class RunSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How processes are run: the settings that a person chooses, for all steps of a build or for one container.

    `hosts` are (name, address) pairs for /etc/hosts. `shm_size` is the size of /dev/shm in bytes, 0 for the default.
    `ulimits` are (name, soft, hard), the name as in `nofile` for RLIMIT_NOFILE. The network "default" is the host's.

    A RUN's cache key contains these settings. Defaults are not encoded, so a new setting changes no other key.
    """

    network: Literal["default", "none", "host"] = "default"
    hosts: tuple[tuple[str, str], ...] = ()
    shm_size: int = 0
    ulimits: tuple[tuple[str, int, int], ...] = ()
