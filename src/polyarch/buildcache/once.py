"""An answer that is asked for once, even if it is an error."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from polyarch.errors import PolyarchError

Answer = TypeVar("Answer")


class Once(Generic[Answer]):
    """The answer of `ask`, or the PolyarchError that it raised. It may be used from several threads."""

    def __init__(self, ask: Callable[[], Answer]) -> None:
        self._ask = ask
        self._mutex = threading.Lock()
        self._found: tuple[Answer] | PolyarchError | None = None

    def get(self) -> Answer:
        """The answer. Raises the PolyarchError of the first call in every later one."""
        with self._mutex:
            if self._found is None:
                try:
                    self._found = (self._ask(),)
                except PolyarchError as error:
                    self._found = error
            found = self._found
        if isinstance(found, PolyarchError):
            raise found
        return found[0]

    def forget(self) -> None:
        """Ask again when the answer is needed."""
        with self._mutex:
            self._found = None
