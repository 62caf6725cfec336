"""`explain`: what a build did, or would do now, step by step, and why."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyarch.cli import options
from polyarch.cli.session import Session, pass_session
from polyarch.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from polyarch.builder import Record, Step

# An emulated RUN that takes longer is worth a word.
_LONG = 1.0
# As is waiting for another step.
_NOTABLE = 0.1
_WIDTH = 60


@click.command("explain")
@click.argument("what", required=False, metavar="IMAGE|PATH", shell_complete=options.complete_image)
@click.option("-f", "--file", metavar="FILE", help="Explain what a build of this Dockerfile would do now")
@options.platform(several=True, help="For these platforms (with a Dockerfile)")
@click.option("--target", multiple=True, metavar="STAGE", help="Build up to this stage (with a Dockerfile)")
@click.option("--build-arg", "build_args", multiple=True, metavar="NAME[=VALUE]", help="Set an ARG (with a Dockerfile)")
@click.option("--build-context", "contexts", multiple=True, metavar="NAME=PATH", help="Another context")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON")
@click.option("--html", metavar="FILE", help="Write a time line for a browser; - is standard output")
@options.insecure
@pass_session
def explain(
    session: Session,
    what: str | None,
    file: str | None,
    platform: tuple[str, ...],
    target: tuple[str, ...],
    build_args: tuple[str, ...],
    contexts: tuple[str, ...],
    as_json: bool,
    html: str | None,
    insecure: bool,
) -> None:
    """Show the last build of an image: what each step took, whether it was cached, and if not, why.

    With -f or the PATH of a context: what a build would do now, compared with the last one there; nothing is built.
    Long steps under emulation come with advice.
    """
    if what is None and file is None:
        raise UsageError("explain needs an image or a Dockerfile", "as in: polyarch explain app; polyarch explain .")
    planned = file is not None or Path(what or "").is_dir()
    if planned:
        given = {"--platform": platform, "--target": target, "--build-arg": build_args, "--build-context": contexts}
        words = [word for flag, values in given.items() for value in values for word in (flag, value)]
        found = _outlook(session, what or ".", file, [*words, *(["--insecure"] if insecure else [])])
    else:
        found = _last(session, what or "")
    if html:
        from polyarch.cli.explain_page import render_page

        made = render_page(found, planned=planned)
        if html == "-":
            click.echo(made, nl=False)
        else:
            Path(html).write_text(made)
    elif as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(_document(found)), indent=2))
    else:
        click.echo(render(found, session.now(), planned=planned), nl=False)


def _last(session: Session, name: str) -> "Record":
    from polyarch.builder import Archive
    from polyarch.images import names

    found = Archive(session.store).of_image(names.full(name))
    if found is None:
        raise NotFoundError(
            f"there is no record of a build of {name}",
            "builds with -t are recorded; 'polyarch explain -f Dockerfile PATH' shows what a build would do",
        )
    return found


def _outlook(session: Session, context: str, file: str | None, words: Sequence[str]) -> "Record":
    """What `build` would do with these words, which its own parser reads."""
    from polyarch import api
    from polyarch.cli.build import build
    from polyarch.cli.wishes import wishes

    parsed = build.make_context("build", [*words, context], parent=click.get_current_context())
    asked = wishes(session, parsed.params)
    return api.outlook(context, session.store, registry=session.registry_for(()), file=file, **asked)


def shown_steps(record: "Record") -> list["Step"]:
    """The steps that people know of: what was looked at of their Dockerfile."""
    return [step for step in record.steps if step.kind not in ("Context", "Inline") and (step.done or step.cached)]


def advice(record: "Record") -> list[str]:
    """What would make the build quicker, the most first."""
    emulated = [step for step in record.steps if step.how == "emulated" and step.seconds >= _LONG]
    waited = [step for step in record.steps if step.waited >= _LONG]
    return [
        f"{step.name} took {step.seconds:.1f} s under emulation for {', '.join(step.platforms)}: if it can compile for "
        "another platform, or makes the same files for all, move it to a stage FROM --platform=$BUILDPLATFORM and "
        "COPY --from it"
        for step in sorted(emulated, key=lambda one: -one.seconds)
    ] + [
        f"{step.name} waited {step.waited:.1f} s for a cache mount that is sharing=locked: with sharing=private, or "
        "another id=, it need not wait"
        for step in sorted(waited, key=lambda one: -one.waited)
    ]


def called_of(record: "Record") -> str:
    """What the result is called."""
    from polyarch.images import names

    return ", ".join(map(names.familiar, record.names)) or "an image without a name"


def name_of(step: "Step") -> str:
    """A step's name. The digest of a base is among the reasons, where it matters."""
    return step.name.partition("@sha256:")[0] if step.kind == "ImageLayers" else step.name


def platforms_of(step: "Step", record: "Record") -> str:
    """For which platforms a step is, and whether once for several."""
    if len(record.platforms) > 1 and len(step.platforms) == len(record.platforms):
        return "all, once"
    return ", ".join(step.platforms)


def state_of(step: "Step", *, planned: bool) -> str:
    """Whether a step was cached, done or failed."""
    if step.cached:
        return "cached"
    if step.error:
        return "failed"
    if step.canceled:
        return "canceled"
    if planned:
        return "to do"
    return f"{step.seconds:.1f} s{waiting(step)}"


def waiting(step: "Step") -> str:
    """For how long a step waited beside its work, where that is worth a word."""
    return f", waited {step.waited:.1f} s" if step.waited >= _NOTABLE else ""


def why(step: "Step") -> str:
    """Why a step was not cached, or failed."""
    return "; ".join([*([step.error] if step.error else []), *step.reasons])


def render(record: "Record", now: float, *, planned: bool) -> str:
    """The record as a table, and the advice below."""
    from polyarch.cli import tables, text

    platforms = ", ".join(record.platforms)
    if planned:
        head = f"A build of {record.dockerfile} for {platforms} would do this:"
    else:
        age = text.age(max(0.0, now - record.begun))
        head = f"{called_of(record)} for {platforms}, built {age} in {record.seconds:.1f} s"
    rows = [_row(step, record, planned) for step in shown_steps(record)]
    lines = [head, "", tables.render(("STEP", "PLATFORMS", "RESULT", "HOW", "WHY"), rows)]
    said = advice(record)
    if said:
        lines += ["Advice:", *(f"- {text.plain(one)}" for one in said), ""]
    return "\n".join(lines)


def _row(step: "Step", record: "Record", planned: bool) -> Sequence[str]:
    from polyarch.cli import text

    name = text.clip(text.plain(name_of(step)), _WIDTH)
    return (name, platforms_of(step, record), state_of(step, planned=planned), step.how, text.plain(why(step)))


def _document(record: "Record") -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(record)
    del document["version"], document["stacks"]
    tops = {stack: top for stack, (_, top) in record.stacks.items()}
    for step, shown in zip(record.steps, document["steps"], strict=True):
        if step.inputs:
            shown["inputs"] = [tops.get(key, key) for key in step.inputs]
        shown |= {"cached": step.cached, "seconds": step.seconds, "waited": step.waited, "reasons": list(step.reasons)}
    return {**document, "advice": advice(record)}
