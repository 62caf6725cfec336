"""The files in which the kernel says how it is configured, and the package manager."""

import contextlib
import os
import shutil

import msgspec

# The command that installs packages, by the program that shows which distribution this is; and the names of packages
# that differ from Debian's.
_MANAGERS = {
    "apt-get": "apt-get install",
    "dnf": "dnf install",
    "zypper": "zypper install",
    "pacman": "pacman -S",
    "apk": "apk add",
}
_NAMES = {
    ("dnf", "uidmap"): "shadow-utils",
    ("zypper", "uidmap"): "shadow",
    ("pacman", "uidmap"): "shadow",
    ("apk", "uidmap"): "shadow-uidmap",
    ("zypper", "qemu-user-static"): "qemu-linux-user",
    ("apk", "qemu-user-static"): "qemu-aarch64 qemu-arm qemu-s390x",
}


class System(msgspec.Struct, frozen=True):
    """The machine. Files are read below `root`, which is empty for the real ones."""

    search_path: str
    root: str = ""

    def read(self, path: str) -> str:
        """The text of a file without surrounding whitespace; empty if it cannot be read."""
        with contextlib.suppress(OSError), open(self.root + path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
        return ""

    def is_container(self) -> bool:
        """Whether this process runs in a container, as the files of docker, podman and systemd say."""
        marks = ("/.dockerenv", "/run/.containerenv", "/run/systemd/container")
        return any(os.path.exists(self.root + mark) for mark in marks)

    def install(self, package: str) -> str:
        """The command that installs a package, which has its Debian name here."""
        for program, command in _MANAGERS.items():
            if shutil.which(program, path=self.search_path):
                return as_root(f"{command} {_NAMES.get((program, package), package)}")
        return f"install the package {package}"


def as_root(command: str) -> str:
    """The command as it is typed: through sudo, unless this user is root."""
    return command if os.geteuid() == 0 else f"sudo {command}"


def command_of(hint: str) -> str:
    """The command in a hint such as "allow them with: sudo sysctl …"; a hint without one stays as it is."""
    return hint.rpartition("with: ")[2]
