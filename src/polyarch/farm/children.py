"""Python processes that this room starts: each is told what to do on its standard input, and ends when that ends."""

import subprocess
import sys

_CODE = (
    "import sys, importlib; module, name = sys.argv[1:3]; sys.path[:] = sys.argv[3:]; "
    "getattr(importlib.import_module(module), name)()"
)
# Before a message: its length in so many bytes.
HEAD = 4


def command(module: str, name: str) -> list[str]:
    """The command line of a process that calls the function `name` of `module`, with this process's modules."""
    return [sys.executable, "-c", _CODE, module, name, *filter(None, sys.path)]


def framed(message: bytes) -> bytes:
    """A message with its length before it."""
    return len(message).to_bytes(HEAD, "big") + message


def ended(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Wait until a process that was told to end does so, and kill it after `seconds`."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
