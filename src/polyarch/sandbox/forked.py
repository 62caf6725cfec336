"""Doing something in a child process, because it changes the process that does it."""

import os
from collections.abc import Callable
from typing import TypeVar

import msgspec

from polyarch.errors import PolyarchError

_Result = TypeVar("_Result")


def in_child(work: Callable[[], _Result], kind: type[_Result], what: str) -> _Result:
    """Return the result of `work`, which a child process does. msgspec must be able to encode `kind`.

    Raises PolyarchError with the message `what` if the child ends without a result.
    """
    answer, report = os.pipe()
    child = os.fork()
    if child == 0:
        # Only system calls and our own code, then os._exit: the caller's buffers and handlers are never used.
        try:
            os.close(answer)
            result = work()
            with open(report, "wb") as writer:
                writer.write(msgspec.msgpack.encode(result))
        finally:
            os._exit(0)
    os.close(report)
    with open(answer, "rb") as reader:
        raw = reader.read()
    os.waitpid(child, 0)
    if not raw:
        raise PolyarchError(what)
    return msgspec.msgpack.decode(raw, type=kind)
