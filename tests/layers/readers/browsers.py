"""Browsers as readers: a page inflates a layer with DecompressionStream, or has it inflated on the way (zstd)."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.browser import FLAGS
from tests.needs import missing

_PAGE = b"""<!doctype html><script type="module">
const format = location.search.slice(1);
let said;
try {
  const answer = await fetch("/layer");
  const body = format === "gzip" ? answer.body.pipeThrough(new DecompressionStream("gzip")) : answer.body;
  const digest = await crypto.subtle.digest("SHA-256", await new Response(body).arrayBuffer());
  said = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
} catch (error) {
  said = String(error);
}
await fetch("/said", { method: "POST", body: said });
</script>"""
BROWSERS = {"Chromium": ("chromium", "google-chrome", "chromium-browser"), "Firefox": ("firefox-esr", "firefox")}


def digest(browser: str, layer: Path, encoding: str, scratch: Path) -> str:
    """The SHA-256 of what a browser reads, in hex; or its error."""
    found = next(filter(None, map(shutil.which, BROWSERS[browser])), None)
    if found is None:
        missing(f"needs {browser} on PATH (`make readers` installs what is missing)")
        raise AssertionError
    with _served(layer, encoding) as (url, said, answered):
        command = [found, *FLAGS, "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        command.append(f"--user-data-dir={scratch}")
        if browser == "Firefox":
            command = [found, "--headless", "--no-remote", "--profile", str(scratch)]
        running = subprocess.Popen([*command, url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            assert answered.wait(60), f"{browser} said nothing"
        finally:
            running.terminate()
            running.wait(20)
    return said[0]


@contextmanager
def _served(layer: Path, encoding: str) -> Iterator[tuple[str, list[str], threading.Event]]:
    said: list[str] = []
    answered = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = layer.read_bytes() if self.path == "/layer" else _PAGE
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Type", "application/x-tar" if self.path == "/layer" else "text/html")
            if self.path == "/layer" and encoding == "zstd":
                self.send_header("Content-Encoding", "zstd")
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            said.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(204)
            self.end_headers()
            answered.set()

        def log_message(self, *arguments: object) -> None:
            """Nothing: the tests' output is theirs."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/?{encoding}", said, answered
        finally:
            server.shutdown()
            thread.join()
