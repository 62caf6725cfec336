"""Running a process in a root filesystem: namespaces, emulation, overlay, mounts, an OCI runtime.

A command that runs something calls `enter()` before it starts any thread, then creates one `Sandbox`, and then calls
`Sandbox.rootfs` and `Sandbox.run` for each process, from any number of threads.
"""

from typing import TYPE_CHECKING

from polyarch import lazy

if TYPE_CHECKING:
    from polyarch.sandbox.account import Account as Account
    from polyarch.sandbox.account import resolve_user as resolve_user
    from polyarch.sandbox.ahead import CopiesAhead as CopiesAhead
    from polyarch.sandbox.container import Sandbox as Sandbox
    from polyarch.sandbox.emulation import (
        Support as Support,
    )
    from polyarch.sandbox.emulation import (
        find_emulator as find_emulator,
    )
    from polyarch.sandbox.emulation import (
        host_platforms as host_platforms,
    )
    from polyarch.sandbox.emulation import (
        support as support,
    )
    from polyarch.sandbox.host import host_platform as host_platform
    from polyarch.sandbox.mounts import Bind as Bind
    from polyarch.sandbox.mounts import File as File
    from polyarch.sandbox.mounts import Mount as Mount
    from polyarch.sandbox.mounts import Tmpfs as Tmpfs
    from polyarch.sandbox.namespaces import Entered as Entered
    from polyarch.sandbox.namespaces import enter as enter
    from polyarch.sandbox.namespaces import entered as entered
    from polyarch.sandbox.network import PrivateNetwork as PrivateNetwork
    from polyarch.sandbox.process import Process as Process
    from polyarch.sandbox.processors import chosen as chosen
    from polyarch.sandbox.running import RunningProcess as RunningProcess
    from polyarch.sandbox.settings import RunSettings as RunSettings
    from polyarch.sandbox.starting import StartError as StartError
else:
    __getattr__, __all__ = lazy.exports(
        __name__,
        {
            "account": "Account resolve_user",
            "ahead": "CopiesAhead",
            "container": "Sandbox",
            "emulation": "Support find_emulator host_platforms support",
            "host": "host_platform",
            "mounts": "Bind File Mount Tmpfs",
            "namespaces": "Entered enter entered",
            "network": "PrivateNetwork",
            "process": "Process",
            "processors": "chosen",
            "running": "RunningProcess",
            "settings": "RunSettings",
            "starting": "StartError",
        },
    )
