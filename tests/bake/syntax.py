"""HCL's syntax: texts with small changes, what our parser makes of them, and what HCL's own parser does.

HCL's parser is that of @cdktf/hcl2json: it converts a file to JSON without evaluating it. An expression that is not
written out is a text `${…}` there, so that the places of expressions are compared, too.
"""

import hashlib
import json
import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from polyarch.bake.hcl import bodies, types
from polyarch.bake.hcl.bodies import NativeBody
from polyarch.bake.hcl.convert import convert
from polyarch.bake.hcl.numbers import BigFloat, NumberError
from polyarch.bake.hcl.source import HclError, SourceFile, Span
from polyarch.bake.hcl.syntax import (
    ConditionalExpr,
    Expr,
    ForExpr,
    JoinExpr,
    LiteralExpr,
    ObjectExpr,
    TemplateExpr,
    TraversalExpr,
    TupleExpr,
    UnaryExpr,
    VariableExpr,
    WrappedExpr,
)
from tests.bake import cases

HERE = Path(__file__).parent
RECORDED = HERE / "syntax.jsonl"
_PIECES = [
    *'\n"{}[]()=,.:?*+-/%!<>&|#$~ 1a\\',
    *(
        "${",
        "%{",
        "<<E\n",
        "\nE\n",
        "<<-E\n",
        '"${',
        '}"',
        "=>",
        "...",
        "[*]",
        ".*",
        "//",
        "/*",
        "*/",
        "&&",
        "||",
        "==",
    ),
    *(
        "for ",
        " in ",
        " if ",
        "null",
        "true",
        "\t",
        "\r\n",
        "é",
        "\\n",
        "\\u00e9",
        "1.5e3",
        ": ",
        "%{if a}",
        "%{endif}",
    ),
]


def texts(count: int, seed: int) -> Iterator[str]:
    """The files of the cases, and files with small changes."""
    chosen = random.Random(seed)
    sources = [text for case in cases.tables() for name, text in case.files.items() if name.endswith(".hcl")]
    sources += [f"v = {case.title.partition(': ')[2]}\n" for case in cases.expressions()]
    sources = [text for text in dict.fromkeys(sources) if len(text) < 300]
    for _ in range(count):
        yield changed(chosen.choice(sources), chosen)


def changed(text: str, chosen: random.Random) -> str:
    """A text with up to three changes."""
    for _ in range(chosen.choice([0, 1, 1, 1, 2, 3])):
        at = chosen.randrange(len(text) + 1)
        end = min(len(text), at + chosen.choice([0, 0, 1, 1, 2, 5]))
        text = text[:at] + chosen.choice([*_PIECES, "", ""]) + text[end:]
    return text


def ours(text: str) -> Any:
    """What hcl2json would say of our tree; None if the text is refused."""
    try:
        return _Converter(text).body(bodies.parse_native(SourceFile("x.hcl", text)))
    except HclError:
        return None


def theirs(given: Iterable[str], directory: Path) -> list[Any]:
    """What hcl2json says: the JSON, None for a text that is refused, "skip" for one that it cannot convert."""
    for name in ("package.json", "package-lock.json", "parse.js"):
        shutil.copy(HERE / "hcl2json" / name, directory)
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=directory, check=True)
    lines = "".join(json.dumps(text) + "\n" for text in given)
    done = subprocess.run(["node", "parse.js"], cwd=directory, check=True, input=lines.encode(), stdout=subprocess.PIPE)
    found = []
    for line in done.stdout.splitlines():
        answer = json.loads(line)
        refused = answer.get("error", "").startswith("Error: parse config")
        found.append(answer.get("value", None if refused else "skip"))
    return found


def differences(given: list[tuple[str, str]]) -> list[str]:
    """The texts of which our parser makes something else. Numbers beyond our limits are refused here only."""
    return [text for text, found in given if digest(ours(text)) != found and not re.search(r"\d[eE][+-]?\d{5}", text)]


def digest(value: Any) -> str:
    """A short name for an answer; empty for a text that is refused."""
    if value is None:
        return ""
    # 1 and 1.0 are one number, and so are 0 and -0.
    plain = json.loads(json.dumps(value), parse_int=float, parse_float=lambda text: float(text) + 0.0)
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]


def asked(given: Iterable[str]) -> list[tuple[str, str]]:
    """Texts, and the digests of what HCL's parser makes of them."""
    listed = list(dict.fromkeys(given))
    with tempfile.TemporaryDirectory(prefix="polyarch-hcl-") as directory:
        answers = theirs(listed, Path(directory))
    return [(text, digest(answer)) for text, answer in zip(listed, answers, strict=True) if answer != "skip"]


def record(count: int, seed: int) -> None:
    """Write down what HCL's parser makes of new texts."""
    lines = [json.dumps([text, found], ensure_ascii=False) for text, found in asked(texts(count, seed))]
    RECORDED.write_text("\n".join(lines) + "\n")


def recorded() -> list[tuple[str, str]]:
    """Texts, and the digests of what HCL's parser made of them."""
    return [(text, found) for text, found in map(json.loads, RECORDED.read_text().splitlines())]


class _Converter:
    """A tree as JSON, with hcl2json's rules."""

    def __init__(self, text: str) -> None:
        self._text = text

    def body(self, body: NativeBody) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for block in body._blocks:
            place, key = found, block.type
            for label in block.labels:
                place, key = place.setdefault(key, {}), label
            assert isinstance(block.body, NativeBody)
            place.setdefault(key, []).append(self.body(block.body))
        return found | {name: self.expression(one.value) for name, one in body.attributes().items()}

    def expression(self, expression: Expr) -> Any:
        match expression:
            case LiteralExpr():
                return _plain(expression)
            case UnaryExpr() if isinstance(expression.operand, LiteralExpr):
                value = _plain(expression.operand)
                return not value if expression.operator == "!" else -value
            case TemplateExpr():
                return "".join(map(self.part, expression.parts))
            case WrappedExpr() if not self._text.startswith("(", expression.span.start):
                return self.expression(expression.inner)
            case TupleExpr():
                return [self.expression(item) for item in expression.items]
            case ObjectExpr():
                return {self.key(item.key): self.expression(item.value) for item in expression.items}
            case _:
                return self.source(expression.span)

    def key(self, key: Expr) -> str:
        if isinstance(key, VariableExpr | TraversalExpr):
            return self._text[key.span.start : key.span.end]
        return self.part(key)

    def part(self, part: Expr) -> str:
        if isinstance(part, LiteralExpr):
            text = "null" if part.value.data is None else convert(part.value, types.STRING).data
            return str(text).replace("${", "$${").replace("%{", "%%{")
        if isinstance(part, TemplateExpr):
            return "".join(map(self.part, part.parts))
        if isinstance(part, WrappedExpr) and not self._text.startswith("(", part.span.start):
            return self.part(part.inner)
        if isinstance(part, ConditionalExpr):
            no = self.part(part.no)
            condition, other = self.words(part.condition.span), f"%{{else}}{no}" if no else ""
            return f"%{{if {condition}}}{self.part(part.yes)}{other}%{{endif}}"
        if isinstance(part, JoinExpr):
            loop = part.items
            assert isinstance(loop, ForExpr)
            names = ", ".join(filter(None, (loop.key_name, loop.value_name)))
            return f"%{{for {names} in {self.words(loop.collection.span)}}}{self.part(loop.value)}%{{endfor}}"
        return self.source(part.span)

    def source(self, span: Span) -> str:
        return f"${{{self.words(span)}}}"

    def words(self, span: Span) -> str:
        """The text of an expression. hcl2json adds a parenthesis that follows."""
        end = span.end + self._text.startswith(")", span.end)
        return self._text[span.start : end]


def _plain(expression: LiteralExpr) -> Any:
    data = expression.value.data
    try:
        return data.floating() if isinstance(data, BigFloat) else data
    except NumberError:
        return "too large for JSON"
