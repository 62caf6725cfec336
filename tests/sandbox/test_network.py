"""A private network: what a container sees of it, and how connections get in."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.people import Person
from tests.sandbox.inside import Room, inside

Bases = dict[str, Path]

pytestmark = pytest.mark.integration

ECHO = "nc -ll -p 7000 -e cat"


def _until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
    return value


@contextlib.contextmanager
def _serving(room: Room, command: str, port: int = 7000, protocol: Any = "tcp") -> Iterator[tuple[Any, int]]:
    """A container that runs `command` in a private network: the network, and a port of this machine that leads in."""
    from polyarch.sandbox import Process, ports

    with room.rootfs() as (root, _), room.sandbox.network() as network:
        listener = ports.listen("127.0.0.1", 0, protocol)
        outside = int(listener.getsockname()[1])
        network.forward(listener, port)
        process = Process(argv=("/bin/sh", "-c", command), env=("PATH=/bin",), network=network.path)
        with room.sandbox.start(process, root) as running:
            _until(lambda: network.listening(port, protocol) != "no")
            yield network, outside
            running.stop(grace=1)


def _inside(network: Any, make: Callable[[], socket.socket]) -> socket.socket:
    """A socket that was made in the network."""
    from polyarch.sandbox import syscalls

    made: list[socket.socket] = []

    def enter_and_make() -> None:
        syscalls.enter_namespace(network.path, syscalls.CLONE_NEWNET)
        made.append(make())

    thread = threading.Thread(target=enter_and_make)
    thread.start()
    thread.join()
    return made[0]


def _sees(room: Room) -> list[object]:
    with room.sandbox.network() as network:
        script = "ip -4 addr | grep -o 'inet [0-9.]*'; ip route; hostname -i; ls /sys/class/net"
        own = room.run(script, network=network.path)
        reached = room.run("nc -w 2 127.0.0.1 80; nc -w 2 10.255.255.1 9", network=network.path)
    return [own.output.split(), reached.output.count("refused"), reached.output.count("Network is unreachable")]


def test_a_private_network_is_loopback_and_an_address_of_its_own(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _sees, amd64) == [
        ["inet", "127.0.0.1", "inet", "192.0.2.2", "192.0.2.2", "lo"],
        1,
        1,
    ]


def _echoes(room: Room) -> list[object]:
    block = os.urandom(1 << 20)
    answers: list[bool] = []

    def exchange(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            sender = threading.Thread(target=lambda: (client.sendall(block * 8), client.shutdown(socket.SHUT_WR)))
            sender.start()
            received = bytearray()
            while data := client.recv(1 << 16):
                received += data
            sender.join()
            answers.append(bytes(received) == block * 8)

    with _serving(room, ECHO) as (_, port):
        clients = [threading.Thread(target=exchange, args=(port,)) for _ in range(4)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    return list(answers)


def test_connections_carry_everything_both_ways_at_once_and_their_ends(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _echoes, amd64) == [True] * 4


def _is_refused(room: Room) -> list[object]:
    from polyarch.sandbox import ports

    seen: list[object] = []
    with room.sandbox.network() as network, _inside(network, lambda: socket.create_server(("127.0.0.1", 7000))):
        for port in (7000, 7001):
            seen.append(network.listening(port))
            listener = ports.listen("127.0.0.1", 0)
            network.forward(listener, port)
            with socket.create_connection(listener.getsockname(), timeout=20) as client:
                seen.append(client.recv(1).decode())
    return seen


def test_a_program_that_listens_on_loopback_only_is_not_reached_from_outside(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _is_refused, amd64) == ["loopback", "", "no", ""]


def _datagrams(room: Room) -> list[str]:
    from polyarch.sandbox import ports

    with contextlib.ExitStack() as opened:
        network = opened.enter_context(room.sandbox.network())
        server = opened.enter_context(_inside(network, lambda: socket.socket(type=socket.SOCK_DGRAM)))
        server.bind(("", 7000))
        server.settimeout(20)
        listener = ports.listen("127.0.0.1", 0, "udp")
        network.forward(listener, 7000)
        assert network.listening(7000, "udp") == "yes"
        clients = [opened.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(3)]
        for number, client in enumerate(clients):
            client.settimeout(20)
            client.connect(listener.getsockname())
            client.send(f"{number}".encode() * 50_000)
        for _ in clients:
            received, sender = server.recvfrom(1 << 16)
            server.sendto(b"to " + received, sender)
        answers = [client.recv(1 << 16).decode() for client in reversed(clients)]
    return [f"{answer[:5]} {len(answer)}" for answer in answers]


def test_datagrams_come_back_to_their_senders(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _datagrams, amd64) == ["to 22 50003", "to 11 50003", "to 00 50003"]


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def _leaves_nothing(room: Room) -> list[object]:
    with _serving(room, ECHO):
        pass
    before, place = _open_files(), Path(room.scratch, "run")
    mounts = Path("/proc/self/mountinfo").read_text().count("nsfs")
    for _ in range(3):
        with _serving(room, ECHO) as (_, port):
            socket.create_connection(("127.0.0.1", port)).close()
    names = [path.name for path in place.iterdir() if path.name.startswith("network")]
    now = Path("/proc/self/mountinfo").read_text().count("nsfs")
    threads = [thread.name for thread in threading.enumerate() if thread.name.startswith("polyarch")]
    return [_open_files() - before, names, now - mounts, threads]


def test_a_closed_network_leaves_no_descriptor_mount_file_or_thread(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _leaves_nothing, amd64) == [0, [], 0, []]


def test_a_port_that_is_taken_is_named() -> None:
    from polyarch.sandbox import ports

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ports.PortTakenError, match=rf"cannot listen on 127\.0\.0\.1:{port}/tcp: the port is taken"):
            ports.listen("127.0.0.1", port)
        ports.listen("127.0.0.1", port, "udp").close()


def test_an_address_that_this_machine_lacks_is_named() -> None:
    from polyarch.errors import NotFoundError
    from polyarch.sandbox import ports

    with pytest.raises(NotFoundError, match=r"192\.0\.2\.99:8080/tcp: this machine does not have the address"):
        ports.listen("192.0.2.99", 8080)
