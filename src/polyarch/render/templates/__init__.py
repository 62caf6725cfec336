"""`--format`: Go's text/template over plain values (dicts, lists, strings, numbers), with docker's functions.

The language is Go's whole one: pipelines, variables, `if`, `with`, `range`, `define`, `template`, `block`, comments,
trim markers, and every built-in function. tests/render/tables/templates.txt holds what Go prints. Differences:

- A field is found without regard to case if there is none of its very name, so that `.Config.Env` and `.config.Env`
  both read an image's config.
- A field that a row or document does not have is an error that lists those it has, as with a Go struct.
- Complex numbers, the Go types and addresses of lists and maps, and floats in base 2 and 16 are errors.
- Keys in JSON keep the order that a document gives them, as the fields of a Go struct do.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

from polyarch.errors import UsageError
from polyarch.render.templates.evaluate import Evaluation
from polyarch.render.templates.functions import FUNCTIONS, HEADER_FUNCTIONS, Function
from polyarch.render.templates.parser import parse
from polyarch.render.templates.values import Titles, parse_error, run_error


class Template:
    """A parsed template. `table` says that it is for the rows of a table, which have a header."""

    def __init__(
        self,
        source: str,
        *,
        table: bool = False,
        escapes: bool = False,
        functions: Mapping[str, Function] = FUNCTIONS,
    ) -> None:
        """Parse `source`. With `escapes`, `\\t` and `\\n` outside actions mean tab and newline. Raises UsageError.

        `functions` are those that the template may call.
        """
        self.table = table
        self._functions = functions
        try:
            self._block, self._defined = parse(source, functions, escapes=escapes)
        except RecursionError:
            raise parse_error("it is nested too deeply") from None

    def render(self, value: Any) -> str:
        """The text for one value: a mapping, list, string, number, boolean or None. Raises UsageError."""
        out: list[str] = []
        self._run(value, self._functions, out)
        return _joined(out)

    def header(self, titles: Mapping[str, str]) -> str:
        """The header line of a table: each field replaced by its title.

        As in docker, it ends at the first action that is not for titles, such as a {{range}}.
        """
        out: list[str] = []
        with contextlib.suppress(UsageError):
            self._run(Titles(titles), HEADER_FUNCTIONS, out)
        return _joined(out)

    def _run(self, value: Any, functions: Mapping[str, Function], out: list[str]) -> None:
        try:
            Evaluation(value, self._defined, functions, out).block(self._block, value)
        except RecursionError:
            raise run_error("the template is nested too deeply, or calls itself") from None


def for_rows(form: str) -> Template:
    """The template of a `--format` for rows. It may begin with `table`, and `\\t` and `\\n` mean tab and newline.

    docker replaces them inside strings as well, and then refuses a string with a newline. Here a string keeps them as
    Go's escape sequences, which mean the same.
    """
    return Template(form.removeprefix("table").strip(" "), table=form.startswith("table"), escapes=True)


def _joined(out: list[str]) -> str:
    # A slice may have cut a character; its bytes show as a terminal shows them.
    return "".join(out).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
