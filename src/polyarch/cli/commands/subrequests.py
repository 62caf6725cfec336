"""`build --check` and `--call`: what can be asked of a Dockerfile without building it."""

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import click
import msgspec

from polyarch.cli.session import Session
from polyarch.errors import UsageError
from polyarch.render import tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyarch.builder import BuildRequest, Checked, Outline


_DESCRIBED = {
    "outline": "List all parameters current build target supports",
    "targets": "List all targets current build supports",
    "lint": "Lint a Dockerfile",
    "subrequests.describe": "List available subrequest types",
}
_VERSION = "1.0.0"


class CallMethod(msgspec.Struct, frozen=True):
    """A value of `--call`: the method, the format ("text" or "json"), and whether findings leave the exit status 0."""

    method: str
    form: str = "text"
    ignores_status: bool = False


class Answer(msgspec.Struct, frozen=True):
    """The answer as an object in BuildKit's form (frontend/subrequests), as text, and the exit status."""

    document: Any
    text: str
    status: int = 0

    def metadata(self) -> dict[str, Any]:
        """What a metadata file says of it."""
        found: dict[str, Any] = {"result.json": self.document, "result.txt": self.text, "version": _VERSION}
        return found | {"result.statuscode": str(self.status)}


def parse(word: str) -> CallMethod:
    """Parse `METHOD[,format=json][,ignorestatus=true]`. Raises UsageError."""
    method, *options = word.split(",")
    method = {"lint": "check", "": "build"}.get(method, method)
    found = CallMethod(method)
    for option in options:
        match option.partition("="):
            case ("format", _, "json" | "text" as form):
                found = msgspec.structs.replace(found, form=form)
            case ("ignorestatus", _, "true" | "1" | "false" | "0" | "" as given):
                found = msgspec.structs.replace(found, ignores_status=given not in ("false", "0"))
            case _:
                raise UsageError(f"--call: unknown option {option!r}", "known options: format=json, ignorestatus=true")
    if method not in ("build", "check", "outline", "targets", "subrequests.describe"):
        raise UsageError(f"--call: unknown method {method!r}", "known methods: build, check, outline, targets")
    return found


def call(method: str, request: "BuildRequest", session: Session) -> int:
    """Print the answer to `check`, `outline` or `targets`. Returns the exit status: 1 if a check found something."""
    return show(CallMethod(method), answer(method, request, session))


def show(asked: CallMethod, answer: Answer) -> int:
    """Print an answer. Returns the exit status."""
    if asked.form == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(answer.document), indent=2))
    else:
        click.echo(answer.text, nl=False)
    return 0 if asked.ignores_status else answer.status


def answered(method: str, request: "BuildRequest", session: Session) -> tuple[dict[str, Any], int]:
    """The answer as an object, and the exit status."""
    found = answer(method, request, session)
    return found.document, found.status


def answer(method: str, request: "BuildRequest", session: Session) -> Answer:
    """The answer to a method of `--call`. A base that a check cannot look up is a warning."""
    from polyarch import builder

    if method == "check":
        checked = builder.check(request, session.store, session.registry())
        for message in checked.unresolved:
            session.warn(f"not everything was checked: {message}")
        return _checked(checked)
    if method == "targets":
        targets = builder.targets(request, session.store, session.registry())
        rows = [(f"{target.name}{' (default)' if target.default else ''}", target.description) for target in targets]
        keys = ("name", "description", "base", "platform")
        found = [{key: value for key in keys if (value := getattr(target, key))} for target in targets]
        listed = [{**one, "default": target.default} for one, target in zip(found, targets, strict=True)]
        return Answer({"targets": listed}, tables.render(("TARGET", "DESCRIPTION"), rows))
    if method == "subrequests.describe":
        described = [{"name": key, "version": _VERSION, "description": text} for key, text in _DESCRIBED.items()]
        return Answer(described, tables.render(("NAME", "DESCRIPTION"), list(_DESCRIBED.items())))
    outline = builder.outline(request, session.store, session.registry())
    return Answer(_outline_document(outline), _outlined(outline))


def _checked(checked: "Checked") -> Answer:
    """The findings. As in buildx, the text begins with their number if there are any."""
    name, text = checked.source
    warnings = [
        {
            "ruleName": finding.rule.name,
            "description": finding.rule.description,
            **({"url": finding.rule.url} if finding.rule.url else {}),
            "detail": finding.message,
            "location": {"sourceIndex": 0, "ranges": [_range(finding.location.first, finding.location.last)]},
        }
        for finding in checked.findings
    ]
    raw = text.encode("utf-8", "surrogateescape")
    sources = [{"filename": name, "language": "Dockerfile", "data": b64encode(raw).decode()}]
    count = len(warnings)
    found = f"{count} warning{'s have' if count > 1 else ' has'} been found!" if count else "no warnings found."
    lines = [f"Check complete, {found}"]
    for finding in checked.findings:
        lines += ["", f"WARNING: {finding.rule.name} (line {finding.location.first})", finding.message]
    return Answer({"warnings": warnings, "sources": sources}, "\n".join(lines) + "\n", 1 if count else 0)


def _outline_document(outline: "Outline") -> dict[str, Any]:
    return {
        "name": outline.name,
        **({"description": outline.description} if outline.description else {}),
        "args": [
            {
                "name": one.name,
                **({"description": one.description} if one.description else {}),
                "value": one.value or "",
            }
            for one in outline.arguments
        ],
        "secrets": [{"name": one.name, "required": one.required} for one in outline.secrets],
        "ssh": [{"name": one.name, "required": one.required} for one in outline.ssh],
    }


def _range(first: int, last: int) -> dict[str, Any]:
    return {"start": {"line": first}, "end": {"line": last}}


def _outlined(outline: "Outline") -> str:
    """What buildx prints for an outline: the target, then a table for each kind of input that it has."""
    parts = [f"TARGET:      {outline.name}\n" if outline.name else ""]
    if outline.description:
        parts.append(f"DESCRIPTION: {outline.description}\n")
    _part(
        parts,
        ("BUILD ARG", "VALUE", "DESCRIPTION"),
        [(a.name, a.value or "", a.description) for a in outline.arguments],
    )
    _part(parts, ("SECRET", "REQUIRED"), [(needed.name, str(needed.required).lower()) for needed in outline.secrets])
    _part(parts, ("SSH", "REQUIRED"), [(needed.name, str(needed.required).lower()) for needed in outline.ssh])
    return "\n".join(part for part in parts if part)


def _part(parts: list[str], header: "Sequence[str]", rows: "Sequence[Sequence[str]]") -> None:
    if rows:
        parts.append(tables.render(header, rows))
