"""A real browser without a window, driven through the DevTools protocol: keys, sizes, schemes, and its complaints.

`tests/browser.py` starts the browser for one picture; here one stays open for many pages.
"""

import asyncio
import base64
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests import browser

_LISTENING = re.compile(r"DevTools listening on ws://([^/\s]+)/")
_SECONDS = 30.0
# Only this machine has names and addresses.
_LOOPBACK = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
# Names of keys, with the code, the number and the text that the protocol wants.
_KEYS = {
    "ArrowUp": ("ArrowUp", 38, ""),
    "ArrowDown": ("ArrowDown", 40, ""),
    "Tab": ("Tab", 9, ""),
    "Enter": ("Enter", 13, "\r"),
    "Space": ("Space", 32, " "),
    "Escape": ("Escape", 27, ""),
}


class Browser:
    """A browser with one tab. It owns the process, an event loop and a connection until `close`."""

    def __init__(self, profile: Path, flags: Sequence[str] = ()) -> None:
        self._runner = asyncio.Runner()
        self._log = open(profile / "browser.log", "w+")  # noqa: SIM115 (closed in `close`)
        command = [browser.program(), *browser.FLAGS, _LOOPBACK, "--remote-debugging-port=0"]
        command += [f"--user-data-dir={profile}", *flags, "about:blank"]
        # It is killed, and leaves its socket in TMPDIR, whose path must be short (unix(7)).
        self._temporary = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            command, stdout=self._log, stderr=self._log, env={**os.environ, "TMPDIR": self._temporary.name}
        )
        try:
            self.tab = self._runner.run(self._connected(profile))
        except BaseException:
            self.close()
            raise

    async def _connected(self, profile: Path) -> "Tab":
        deadline = asyncio.get_running_loop().time() + _SECONDS
        match = None
        while match is None:
            if self._process.poll() is not None or asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"the browser did not start: {(profile / 'browser.log').read_text()[-2000:]}")
            await asyncio.sleep(0.02)
            match = _LISTENING.search((profile / "browser.log").read_text())
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://{match[1]}/json/list") as answer:
            (page,) = [one for one in await answer.json() if one["type"] == "page"]
        socket = await self._session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0)
        tab = Tab(self._runner, socket)
        for domain in ("Page", "Runtime", "Network", "Log", "Audits"):
            await tab.call_(f"{domain}.enable")
        return tab

    def close(self) -> None:
        if hasattr(self, "_session"):
            self._runner.run(self._session.close())
        self._process.kill()
        self._process.wait()
        self._temporary.cleanup()
        self._log.close()
        self._runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Tab:
    """The tab of a browser. `requests` are the addresses that it asked for; `complaints` what it wrote on its console,
    such as violations of a policy and errors of scripts. Both begin anew with each `open`.
    """

    def __init__(self, runner: asyncio.Runner, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._runner = runner
        self._socket = socket
        self._number = 0
        self._events: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.complaints: list[str] = []

    async def call_(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        number = self._number
        await self._socket.send_str(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads((await asyncio.wait_for(self._socket.receive(), _SECONDS)).data)
            if message.get("id") == number:
                assert "error" not in message, (method, message["error"])
                found: dict[str, Any] = message["result"]
                return found
            self._event(message)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol, and wait for its result."""
        return self._runner.run(self.call_(method, **parameters))

    def _event(self, message: dict[str, Any]) -> None:
        what, values = message.get("method", ""), message.get("params", {})
        self._events.append(message)
        if what == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"])
        elif what == "Log.entryAdded":
            self.complaints.append(f"{values['entry']['source']}: {values['entry']['text']}")
        elif what == "Runtime.exceptionThrown":
            self.complaints.append(str(values["exceptionDetails"]))
        elif what == "Audits.issueAdded":
            self.complaints.append(str(values["issue"]))

    def emulate(
        self, *, width: int = 1280, height: int = 900, dark: bool = False, calm: bool = True, scripts: bool = True
    ) -> None:
        """How the next pages are shown: the size of the window, the scheme, whether motion is reduced, and scripts."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        features = {"prefers-color-scheme": "dark" if dark else "light"}
        features["prefers-reduced-motion"] = "reduce" if calm else "no-preference"
        media = [{"name": name, "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", features=media)
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)

    def languages(self, accept_language: str) -> None:
        """The header Accept-Language of the next requests."""
        self.call("Network.setExtraHTTPHeaders", headers={"Accept-Language": accept_language})

    def open(self, address: str) -> None:
        """Load a page, and wait until all of it is there."""
        self._events, self.requests, self.complaints = [], [], []
        result = self.call("Page.navigate", url=address)
        assert "errorText" not in result, result
        self._wait("Page.loadEventFired")

    def _wait(self, event: str) -> None:
        async def wait() -> None:
            while not any(one.get("method") == event for one in self._events):
                self._event(json.loads((await self._socket.receive()).data))

        self._runner.run(asyncio.wait_for(wait(), _SECONDS))

    def evaluate(self, expression: str) -> Any:
        """The value of an expression or promise."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until an expression is true."""
        wait = f"""new Promise((done, failed) => {{
          const begun = performance.now();
          (function look() {{
            if ({expression}) done();
            else if (performance.now() - begun > {_SECONDS * 500}) failed(new Error("it never became true"));
            else setTimeout(look, 20);
          }})();
        }})"""
        self.evaluate(wait)

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press and release a key."""
        code, number, text = _KEYS[key]
        values = {"key": " " if key == "Space" else key, "code": code, "windowsVirtualKeyCode": number}
        values |= {"modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **values)
        self.call("Input.dispatchKeyEvent", type="keyUp", **values)

    def picture(self, file: Path, *, whole: bool = True) -> None:
        """A picture of the window, or of the whole page."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(found["data"]))
