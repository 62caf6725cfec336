"""Files of /etc and /sys that a container gets from outside its image, and the sandbox's own files."""

import contextlib
import os

from polyarch.oci.platform import Platform
from polyarch.sandbox.mounts import Bind, File, Tmpfs
from polyarch.sandbox.process import PRIVATE_ADDRESS, Process

CGROUPS = "/sys/fs/cgroup"
_HOSTS = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


def network_files(process: Process) -> tuple[File, ...]:
    """Return /etc/hosts and /etc/hostname as docker generates them, and the host's /etc/resolv.conf.

    A build gets no /etc/hostname, and none of them if it mounts /etc itself.
    """
    hosts = _HOSTS + f"{PRIVATE_ADDRESS if process.network else '127.0.1.1'}\t{process.hostname}\n"
    hosts += "".join(f"{address}\t{name}\n" for name, address in process.settings.hosts)
    resolver = b""
    with contextlib.suppress(OSError), open("/etc/resolv.conf", "rb") as file:
        resolver = file.read()
    files = (
        File("/etc/resolv.conf", resolver, read_only=process.for_build),
        File("/etc/hosts", hosts.encode(), read_only=process.for_build),
    )
    if not process.for_build:
        return (*files, File("/etc/hostname", f"{process.hostname}\n".encode()))
    return () if any(mount.target == "/etc" for mount in process.mounts) else files


def processor_files(emulated: Platform | None) -> tuple[File, ...]:
    """Return the /proc/cpuinfo of an emulated platform, if there is one (`cpuinfo.py`)."""
    if emulated is None:
        return ()
    from polyarch.sandbox import cpuinfo

    content = cpuinfo.text(emulated, len(os.sched_getaffinity(0)))
    return () if content is None else (File("/proc/cpuinfo", content, 0o444, read_only=True),)


def mount_sys(target: str) -> None:
    """Show the host's /sys at `target`, read-only, with an empty directory over each file system mounted in it.

    In a user namespace, /sys can be neither mounted again (the network is the host's) nor bound without those file
    systems (they are locked to it), and to root some of them, such as debugfs, would show more than docker does.
    """
    Bind("/sys", target, read_only=True).perform()
    for path in _mounted_below("/sys"):
        # If an outer container's runtime has masked a file of /sys, that mask stays.
        if os.path.isdir(path):
            Tmpfs(target + path.removeprefix("/sys"), mode=0o755, read_only=True).perform()


def keep_off_cgroups(*, hidden: bool) -> bool:
    """Hide the host's cgroups from the runtime, in this namespace. Return whether there were any.

    `hidden` is for crun, which refuses to start if it sees hybrid cgroups, even if it is told to use none. runc needs
    to see them, and goes on without them if they are read-only.
    """
    if not os.path.isdir(CGROUPS):
        return False
    mount = Tmpfs(CGROUPS, mode=0o755) if hidden else Bind(CGROUPS, CGROUPS, read_only=True)
    mount.perform()
    return True


def _mounted_below(top: str) -> list[str]:
    """Return the mount points below `top`, without those below others."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        # Octal escapes stand for white space, which the kernel's own mount points in /sys do not contain.
        mounted = sorted({line.split()[4] for line in lines})
    outermost: list[str] = []
    for path in mounted:
        if path.startswith(f"{top}/") and not any(path.startswith(f"{parent}/") for parent in outermost):
            outermost.append(path)
    return outermost


def write(path: str, file: File) -> None:
    """Write the content of `file` to `path`, with its mode and owner."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as writer:
        writer.write(bytes(file.content))
        os.fchmod(descriptor, file.mode)
        if file.uid or file.gid:
            os.fchown(descriptor, file.uid, file.gid)


def remove(path: str) -> None:
    """Remove a tree of the sandbox, if it exists, even with directories that a process has made unreadable."""
    for directory, directories, names in os.walk(path, topdown=False):
        for name in names:
            os.unlink(os.path.join(directory, name))
        for name in directories:
            full = os.path.join(directory, name)
            (os.unlink if os.path.islink(full) else os.rmdir)(full)
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(path)
