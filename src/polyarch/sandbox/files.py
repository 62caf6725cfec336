"""What a container sees of /etc and /sys that is not in its image, and the sandbox's own few files."""

import contextlib
import os

from polyarch.sandbox.mounts import Bind, File, Tmpfs
from polyarch.sandbox.process import Process

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
    """/etc/hosts and /etc/hostname as docker generates them; /etc/resolv.conf of the host, whose network it is.

    For a build without the second, and without those in a directory that it mounts.
    """
    hosts = _HOSTS + f"127.0.1.1\t{process.hostname}\n"
    hosts += "".join(f"{address}\t{name}\n" for name, address in process.settings.hosts)
    resolver = b""
    with contextlib.suppress(OSError), open("/etc/resolv.conf", "rb") as file:
        resolver = file.read()
    found = (
        File("/etc/resolv.conf", resolver, read_only=process.for_build),
        File("/etc/hosts", hosts.encode(), read_only=process.for_build),
    )
    if not process.for_build:
        return (*found, File("/etc/hostname", f"{process.hostname}\n".encode()))
    return () if any(mount.target == "/etc" for mount in process.mounts) else found


def mount_sys(target: str) -> None:
    """Shows the host's /sys at `target`, read-only, with an empty directory over each file system mounted in it.

    In a user namespace it can be neither mounted anew (the network is the host's) nor bound without those (they are
    locked to it), and to root some of them, debugfs for one, would show more than docker does.
    """
    Bind("/sys", target, read_only=True).perform()
    for path in _mounted_below("/sys"):
        # Where a container's own runtime has masked a file of /sys, that mask stays.
        if os.path.isdir(path):
            Tmpfs(target + path.removeprefix("/sys"), mode=0o755, read_only=True).perform()


def keep_off_cgroups(*, hidden: bool) -> bool:
    """Puts the host's cgroups out of a runtime's reach, in this namespace; whether there were any.

    `hidden` for crun, which refuses to start where it sees hybrid cgroups, even if told to use none. runc wants to
    see them, and goes on without where it may not write.
    """
    if not os.path.isdir(CGROUPS):
        return False
    mount = Tmpfs(CGROUPS, mode=0o755) if hidden else Bind(CGROUPS, CGROUPS, read_only=True)
    mount.perform()
    return True


def _mounted_below(top: str) -> list[str]:
    """The mount points below `top` that are not below one another."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        # Octal escapes stand for white space, which no mount point of the kernel's own in /sys has.
        found = sorted({line.split()[4] for line in lines})
    outermost: list[str] = []
    for path in found:
        if path.startswith(f"{top}/") and not any(path.startswith(f"{other}/") for other in outermost):
            outermost.append(path)
    return outermost


def write(path: str, file: File) -> None:
    """Writes a File's content to `path`, with its mode and owner."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as writer:
        writer.write(bytes(file.content))
        os.fchmod(descriptor, file.mode)
        if file.uid or file.gid:
            os.fchown(descriptor, file.uid, file.gid)


def remove(path: str) -> None:
    """Removes a tree of the sandbox's own, if it is there. Directories that a process made unreadable go as well."""
    for directory, directories, names in os.walk(path, topdown=False):
        for name in names:
            os.unlink(os.path.join(directory, name))
        for name in directories:
            full = os.path.join(directory, name)
            (os.unlink if os.path.islink(full) else os.rmdir)(full)
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(path)
