"""The packages that signing needs, which only an extra of Polyarch installs."""

import contextlib
from collections.abc import Iterator

from polyarch.errors import UnsupportedError


@contextlib.contextmanager
def required(extra: str, what: str) -> Iterator[None]:
    """Import packages of an extra inside this. Raises UnsupportedError that says how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == "polyarch":
            raise
        raise UnsupportedError(
            f"{what} needs the Python package {package}, which is not installed",
            f"install it with: pip install 'polyarch[{extra}]'",
        ) from None
