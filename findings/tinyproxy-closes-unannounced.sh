#!/bin/bash
# tinyproxy 1.11.1: ends every connection after one response without announcing it.
#
# Guess: a proxy that does not keep a connection sends `Connection: close` with the response (RFC 9112, section 9.6).
# What happens: the response to a forwarded request has a Content-Length and no `Connection: close`, so a client with a
# pool of connections keeps the connection, and the next request on it meets the end of the stream. A request whose
# body cannot be sent again then fails. A wrong password is answered by 401 and a missing one by 407, so a client that
# takes 401 for the server's answer asks the user for the password of the wrong machine.
source "$(dirname "$0")/common/packages.sh"

debian bookworm tinyproxy-bin=1.11.1-2.1+deb12u1
cat >run.py <<'PY'
import http.client, http.server, os, pathlib, subprocess, sys, threading, time


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *arguments: object) -> None:
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
port = server.server_port + 1
pathlib.Path("proxy.conf").write_text(f"Port {port}\nListen 127.0.0.1\nBasicAuth ada right\nTimeout 60\n")
proxy = subprocess.Popen([*sys.argv[1:], "-d", "-c", "proxy.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
url = f"http://127.0.0.1:{server.server_port}/"


def ask(connection: http.client.HTTPConnection, password: str) -> http.client.HTTPResponse:
    import base64

    headers = {"Proxy-Authorization": "Basic " + base64.b64encode(f"ada:{password}".encode()).decode()} if password else {}
    for _ in range(100):
        try:
            connection.request("GET", url, headers=headers)
            return connection.getresponse()
        except ConnectionRefusedError:
            connection.close()
            time.sleep(0.05)
    raise TimeoutError


try:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    response = ask(connection, "right")
    response.read()
    print("length", response.getheader("Content-Length"), "connection", response.getheader("Connection"))
    print("then", repr(connection.sock.recv(1)) if connection.sock else "closed by the client")
    print("statuses", *(ask(http.client.HTTPConnection("127.0.0.1", port, timeout=10), word).status for word in ("wrong", "")))
finally:
    proxy.kill()
PY
expect "the same through tinyproxy" "length 2 connection None;then b'';statuses 401 407" \
  "$(LD_LIBRARY_PATH=$work/debian/usr/lib/x86_64-linux-gnu python3 run.py "$work/debian/usr/bin/tinyproxy" | paste -sd';')"
