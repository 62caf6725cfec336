"""Real proxies on loopback: tinyproxy for HTTP, microsocks for SOCKS, and TLS in front of either.

Loopback is never reached through a proxy. A server that listens on all addresses, or on loopback, is also found at
0.0.0.0, which is no loopback address: so `outside` names it.
"""

import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.conftest import Authority
from tests.needs import need

LOGIN = "ada:p%5Fss"


def outside(address: str) -> str:
    """The address of a server on loopback by a name that a proxy is used for."""
    return address.replace("127.0.0.1", "0.0.0.0")


class TinyProxy:
    """`address` is host:port, `requests` what it was asked for: `GET http://…`, `CONNECT host:port`."""

    def __init__(self, address: str, log: Path) -> None:
        self.address = address
        self._log = log

    def requests(self) -> list[str]:
        lines = (line.partition("): ") for line in self._log.read_text().splitlines() if "Request (file " in line)
        return [request.rpartition(" ")[0] for _, _, request in lines]


@contextlib.contextmanager
def tinyproxy(directory: Path) -> Iterator[TinyProxy]:
    """An HTTP proxy that wants LOGIN, for the length of a `with`."""
    need("tinyproxy")
    port, log = _free_port(), directory / "tinyproxy.log"
    address = (f"Port {port}", "Listen 127.0.0.1")
    options = (*address, "BasicAuth ada p_ss", "MaxClients 50", "Timeout 60", f'LogFile "{log}"', "LogLevel Info")
    (directory / "tinyproxy.conf").write_text("\n".join(options) + "\n")
    with _running(["tinyproxy", "-d", "-c", str(directory / "tinyproxy.conf")], port):
        yield TinyProxy(f"127.0.0.1:{port}", log)


@contextlib.contextmanager
def microsocks() -> Iterator[str]:
    """A SOCKS 5 proxy that wants LOGIN, for the length of a `with`."""
    need("microsocks")
    port = _free_port()
    with _running(["microsocks", "-i", "127.0.0.1", "-p", str(port), "-u", "ada", "-P", "p_ss"], port):
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def behind_tls(address: str, authority: Authority) -> Iterator[str]:
    """The same server, reached over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.server_certificate, authority.server_key)
    host, _, port = address.partition(":")

    def serve(accepted: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            context.wrap_socket(accepted, server_side=True) as client,
            socket.create_connection((host, int(port))) as server,
        ):
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            # The client has closed the connection, so nothing that still comes back has a reader.
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            back.join(5)

    with accepting(serve) as tls_address:
        yield tls_address


@contextlib.contextmanager
def accepting(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """The address of a server that gives each connection to `serve` in a thread. No thread is left behind."""
    threads: list[threading.Thread] = []

    def start(target: Callable[..., None], *arguments: object) -> None:
        threads.append(threading.Thread(target=target, args=arguments, daemon=True))
        threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    start(serve, listener.accept()[0])

        start(accept)
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            # Closing a listener does not wake the thread that waits for a connection.
            listener.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(5)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextlib.contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(500):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.01)
        yield
    finally:
        process.kill()
        process.wait()
