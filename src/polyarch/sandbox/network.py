"""A network namespace of its own for a container, without a way to the outside, and its ports on this machine.

It needs neither root nor a program: the process has entered a user namespace, in which a thread may make a network
namespace and other threads may enter it (setns(2) moves one thread only, if the namespace is a network's). What
carries the connections is `relay.Relay`, whose thread is in the namespace, while the sockets that it accepts
connections on were made outside. A connection reaches only programs that listen on `PRIVATE_ADDRESS` or on all
addresses, as with docker's bridge: what listens on 127.0.0.1 is for the container alone.
"""

import contextlib
import fcntl
import os
import socket
import struct
import threading
from typing import Literal, Self

from polyarch.errors import MachineError
from polyarch.sandbox import syscalls
from polyarch.sandbox.mounts import Bind
from polyarch.sandbox.process import PRIVATE_ADDRESS
from polyarch.sandbox.relay import Relay

Listening = Literal["no", "loopback", "yes"]

# linux/sockios.h, linux/if.h
_SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C
_IFF_UP = 1
# The state of a socket that listens, and of one for datagrams that is bound (include/net/tcp_states.h).
_STATES = {"tcp": "0A", "udp": "07"}


class PrivateNetwork:
    """A network namespace with nothing but loopback and `PRIVATE_ADDRESS`, and the relay of its ports.

    Owns the namespace, a mount of it at `path`, the thread of the relay and the sockets given to `forward`. `close`
    ends them; if this process is killed, the kernel does. Processes in the namespace keep it until they end.
    """

    def __init__(self, path: str) -> None:
        """Make the namespace and mount it at `path`, which does not exist. Raises MachineError.

        `namespaces.enter` has been called.
        """
        self.path = path
        self._relay: Relay | None = None
        failures: list[OSError] = []
        thread = threading.Thread(target=self._make, args=(failures,), name="polyarch-network")
        thread.start()
        thread.join()
        if failures:
            self.close()
            raise MachineError(
                f"cannot make a network for the container: {failures[0].strerror}",
                "this needs a kernel with network namespaces; --network host and --network none do not",
            ) from failures[0]

    def _make(self, failures: list[OSError]) -> None:
        # Only this thread is moved, and it ends here. The mount keeps the namespace.
        try:
            syscalls.unshare(syscalls.CLONE_NEWNET)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
                fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))
                for request, value in ((_SIOCSIFADDR, PRIVATE_ADDRESS), (_SIOCSIFNETMASK, "255.255.255.255")):
                    address = struct.pack("16sHH4s16x", b"lo:1", socket.AF_INET, 0, socket.inet_aton(value))
                    fcntl.ioctl(control, request, address)
            self._relax()
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
            Bind(f"/proc/self/task/{threading.get_native_id()}/ns/net", self.path).perform()
        except OSError as error:
            failures.append(error)

    def _relax(self) -> None:
        """As docker since 20.10: programs of any user may listen on ports below 1024, and ping."""
        for name, value in (("ip_unprivileged_port_start", "0"), ("ping_group_range", _all_groups())):
            with contextlib.suppress(OSError), open(f"/proc/sys/net/ipv4/{name}", "w", encoding="ascii") as setting:
                setting.write(value)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def forward(self, listener: socket.socket, port: int) -> None:
        """Carry what reaches `listener` (`ports.listen`) to `port` of the container, by TCP or UDP as the listener's.

        The relay closes the listener. A connection to a port on which nothing listens is closed.
        """
        self._started().forward(listener, PRIVATE_ADDRESS, port)

    def listening(self, port: int, protocol: Literal["tcp", "udp"] = "tcp") -> Listening:
        """Return whether a program in the namespace listens on `port`; "loopback" if only on a loopback address.

        No connection is made, so the program does not see that.
        """
        found: Listening = "no"
        for family in ("", "6"):
            with open(f"/proc/self/task/{self._started().native_id}/net/{protocol}{family}", encoding="ascii") as lines:
                for words in (line.split() for line in lines):
                    address, _, number = words[1].partition(":")
                    if words[3] == _STATES[protocol] and int(number, 16) == port:
                        if not _is_loopback(address):
                            return "yes"
                        found = "loopback"
        return found

    def _started(self) -> Relay:
        if self._relay is None:
            self._relay = Relay(self.path)
        return self._relay

    def close(self) -> None:
        """End the relay and its connections, and unmount the namespace. Safe to call twice."""
        if self._relay is not None:
            self._relay.close()
            self._relay = None
        with contextlib.suppress(OSError):
            syscalls.umount(self.path, syscalls.MNT_DETACH)
        with contextlib.suppress(OSError):
            os.unlink(self.path)


def _all_groups() -> str:
    """The range of groups of this user namespace."""
    with open("/proc/self/gid_map", encoding="ascii") as lines:
        return f"0 {max(int(inside) + int(count) - 1 for inside, _, count in map(str.split, lines))}"


def _is_loopback(address: str) -> bool:
    """Whether an address of /proc/net/tcp or tcp6 is a loopback address: its 32-bit words are in the host's order."""
    raw = b"".join(struct.pack("=I", int(address[at : at + 8], 16)) for at in range(0, len(address), 8))
    if len(raw) == 16 and raw.startswith(b"\0" * 10 + b"\xff\xff"):
        raw = raw[12:]
    return raw[0] == 127 if len(raw) == 4 else raw == b"\0" * 15 + b"\1"
