"""`bake`: builds the targets of bake files."""

import contextlib
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from polyarch.cli import forecasts, options
from polyarch.cli.farm_flags import farm_options
from polyarch.cli.session import Session, pass_session
from polyarch.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from polyarch.bake.project import BakeWords
    from polyarch.bake.reading.definition import BakeFile, ComposeReader, ReadDefinition, ReadOptions
    from polyarch.bake.remote import BakeWhere
    from polyarch.bake.target import Definition


@click.command("bake")
@click.argument("words", nargs=-1, metavar="[URL] [TARGET]...")
@click.option("-f", "--file", "files", multiple=True, metavar="FILE|-", help="A bake file; repeatable")
@click.option(
    "--set", "sets", multiple=True, metavar="TARGET.KEY=VALUE", help="Replace a value of targets; * is a pattern"
)
@click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", help="Set a variable of the files")
@click.option("--print", "print_", is_flag=True, help="Print the targets as JSON, without building")
@click.option("--list", "list_", metavar="targets|variables", help="List the targets or the variables of the files")
@click.option("--call", default="build", metavar="METHOD", help="Report on the Dockerfiles: check, outline or targets")
@click.option("--check", is_flag=True, help="Short for --call=check")
@click.option("--load", is_flag=True, help="Keep the results in the store, beside what the files say")
@click.option("--push", is_flag=True, help="Push the images to the registries of their tags")
@click.option("--no-cache/--use-cache", default=None, help="Do not use the build cache")
@click.option("--pull/--no-pull", default=None, help="Look for newer base images in their registries")
@click.option("--provenance", metavar="VALUE", default="", help='Short for --set "*.attest=type=provenance"')
@click.option("--sbom", metavar="VALUE", default="", help='Short for --set "*.attest=type=sbom"')
@click.option("--policy", "policies", multiple=True, hidden=True)
@click.option("--allow", multiple=True, metavar="WHAT", help="Allow an entitlement or access to a path")
@farm_options
@forecasts.options
@options.progress
@click.option("--keep-going", is_flag=True, help="Finish the other targets if one fails")
@click.option("--metadata-file", metavar="FILE", help="Write digests and names of the results to FILE, as JSON")
@options.insecure
@click.option("--list-targets", is_flag=True, hidden=True)
@click.option("--list-variables", is_flag=True, hidden=True)
@click.option("--builder", hidden=True)
@pass_session
def bake(session: Session, /, **words: Any) -> int:
    """Build the targets of bake files: HCL, JSON or compose files.

    Without TARGET, the group or target "default" is built. With URL, the files are read from a git repository or an
    archive.
    """
    listed = words["list_"] or ("targets" if words["list_targets"] else "variables" if words["list_variables"] else "")
    if words["print_"] and listed:
        raise UsageError("--print and --list cannot be used together")
    with contextlib.ExitStack() as stack:
        return _run(session, words, listed, stack)


def _run(session: Session, words: Mapping[str, Any], listed: str, stack: contextlib.ExitStack) -> int:
    """The command. What `stack` owns lasts until everything is built."""
    from polyarch.bake import options, project, remote

    variables = session.environment.variables
    where, targets = remote.cut(words["words"])
    asked, form = _asked(words, targets)
    where, files = _files(session, words, where, stack)
    found = project.read(files, _read_options(session, words, where.command), _compose_reader(session, words))
    for message, hint in found.warnings:
        session.warn(message, hint or "")
    if listed:
        _list(found, *project.listing(listed))
        return 0
    resolved = project.resolve(found, asked, _environment(variables), variables.get("SOURCE_DATE_EPOCH", ""))
    for target in resolved.targets.values():
        options.check(target, session.host())
    if words["print_"]:
        from polyarch.bake import printing

        click.echo(printing.printed(project.shown(resolved, where)))
        return 0
    from polyarch.bake import entitlements
    from polyarch.cli.baking import BakeRun

    run = BakeRun(
        session,
        resolved,
        where,
        progress=words["progress"],
        insecure=words["insecure"],
        keep_going=words["keep_going"],
        builder=words["builder"],
        farm=words,
    )
    grants = entitlements.parse(words["allow"]) | entitlements.of_overrides(asked.sets)
    default = not (where.url and _flag(variables, "BAKE_ALLOW_REMOTE_FS_ACCESS"))
    run.check(grants, files=_flag(variables, "BUILDX_BAKE_ENTITLEMENTS_FS", default=default))
    if forecasts.is_asked(words):
        forecasts.show(*run.forecast(), words)
        return 0
    return run.run(form, words["metadata_file"])


def _files(
    session: Session, words: Mapping[str, Any], where: "BakeWhere", stack: contextlib.ExitStack
) -> "tuple[BakeWhere, list[BakeFile]]":
    """The bake files, and where their contexts are."""
    from polyarch.bake import files, remote

    variables = session.environment.variables
    around = session.surroundings()
    names = files.names(words["files"], variables)
    relative = _flag(variables, "BUILDX_BAKE_FILE_RELATIVE_PATHS")
    found: list[BakeFile] = []
    if where.url:
        elsewhere, names = remote.names(names)
        scratch = stack.enter_context(session.store.temporary())
        with session.display(words["progress"]) as emit:
            where, found = remote.fetch(where, elsewhere, around, session.store, session.registry(), scratch, emit)
        if not names and found:
            return where, found
        if not names:
            raise NotFoundError(f"there is no bake file in {where.url}", f"it is called {', '.join(files.DEFAULT)}")
    given = tuple(name.removeprefix("cwd://") for name in names)
    return where, found + files.read(given, around.directory, sys.stdin.buffer.read, relative=relative)


def _compose_reader(session: Session, words: Mapping[str, Any]) -> "ComposeReader":
    """Reads compose files, with the variables of `--var`, of the environment and of `.env` here."""

    def read(files: "Sequence[BakeFile]") -> "Definition":
        from polyarch.bake import project
        from polyarch.compose import baking

        dotenv = session.surroundings().directory / ".env"
        process = _environment(session.environment.variables)
        at = str(dotenv) if dotenv.is_file() else None
        variables = baking.environment(process, at, project.variables(words["variables"]), session.warn)
        return baking.definition(files, variables, session.warn)

    return read


def _asked(words: Mapping[str, Any], targets: tuple[str, ...]) -> "tuple[BakeWords, str]":
    """What the command line says, beside the files; and the format of what --call prints."""
    from polyarch.bake.project import BakeWords

    call, form = _call("check" if words["check"] else words["call"])
    asked = BakeWords(
        targets=targets,
        sets=tuple(words["sets"]),
        push=words["push"],
        load=words["load"],
        no_cache=words["no_cache"],
        pull=words["pull"],
        sbom=words["sbom"],
        provenance=words["provenance"],
        call={"build": "", "check": "lint"}.get(call, call),
        policy=tuple(words["policies"]),
    )
    return asked, form


def _call(word: str) -> tuple[str, str]:
    """The method and format of `--call`. Raises UsageError."""
    method, *options = word.split(",")
    method = {"lint": "check", "": "build"}.get(method, method)
    form = options[0].removeprefix("format=") if options else "text"
    if method not in ("build", "check", "outline", "targets") or form not in ("text", "json") or len(options) > 1:
        raise UsageError(
            f"--call {word} is unknown", "known: build, check, outline, targets, and ,format=json for JSON"
        )
    return method, form


def _environment(variables: Mapping[str, str]) -> Mapping[str, str]:
    """The variables that files may see."""
    return {} if _flag(variables, "BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP") else variables


def _flag(variables: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    """A variable of the environment that is true or false. Raises UsageError."""
    from polyarch.bake import entries

    text = variables.get(name, "").strip()
    value = entries.boolean(text) if text else default
    if value is None:
        raise UsageError(f"{name}={text} is neither true nor false")
    return value


def _read_options(session: Session, words: Mapping[str, Any], command: str) -> "ReadOptions":
    from polyarch.bake import project
    from polyarch.bake.hcl.functions import FunctionHost
    from polyarch.bake.reading.definition import ReadOptions

    variables = session.environment.variables
    return ReadOptions(
        given=project.variables(words["variables"]),
        environment=_environment(variables),
        builtin={"BAKE_CMD_CONTEXT": command, "BAKE_LOCAL_PLATFORM": str(session.host())},
        host=FunctionHost(now=session.surroundings().now, home=variables.get("HOME") or "/root"),
    )


def _list(found: "ReadDefinition", what: str, form: str) -> None:
    from polyarch.bake import lists

    listed = lists.targets(found.definition) if what == "targets" else lists.variables(found.variables)
    click.echo(lists.as_json(listed) if form == "json" else lists.as_table(listed, what), nl=False)
