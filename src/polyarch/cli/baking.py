"""`bake` after its files are read: what they may do, what is built, and what is reported about it."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from polyarch.cli import metadata
from polyarch.cli.farm_flags import farm_of
from polyarch.cli.session import Session
from polyarch.errors import PolyarchError, UsageError

if TYPE_CHECKING:
    from polyarch.bake.building import BuildPlaces, BuiltTarget
    from polyarch.bake.entitlements import Grants, Need
    from polyarch.bake.remote import BakeWhere
    from polyarch.bake.resolve import Resolved
    from polyarch.bake.target import BakeTarget
    from polyarch.builder import BuildRequest
    from polyarch.builder.forecast.values import Forecast
    from polyarch.progress import Emit
    from polyarch.registry import Registry

_GRANT_HINT = "look at the files, then run it again with: {}"


class BakeRun:
    """One run of the command for these targets."""

    def __init__(
        self,
        session: Session,
        resolved: "Resolved",
        where: "BakeWhere",
        *,
        progress: str | None,
        insecure: bool,
        keep_going: bool = False,
        variables: Mapping[str, str] | None = None,
        builder: str | None = None,
        farm: Mapping[str, Any],
    ) -> None:
        """`farm` has the values of `farm_options`. `variables` are added to those of the environment. `builder` is part
        of the references of the builds only.
        """
        self._session = session
        self._resolved = resolved
        self._where = where
        self._progress = progress
        self._insecure = insecure
        self._keep_going = keep_going
        self._variables = variables or {}
        self._builder = builder
        self._farm = farm

    def check(self, grants: "Grants", *, files: bool) -> None:
        """Raise UsageError if the targets need something that is not allowed, and the user does not allow it now.
        `files` says whether access to files is checked.
        """
        from polyarch.bake import entitlements
        from polyarch.bake.entitlements import BakeHost

        session = self._session
        home = session.environment.variables.get("HOME", "")
        host = BakeHost(session.surroundings().directory, home, self._where.is_fetched)
        needs = entitlements.missing(self._resolved.targets.values(), grants, host)
        needs = [need for need in needs if files or not need.is_file]
        if needs and not self._granted(needs):
            named = "; ".join(map(str, needs))
            raise UsageError(
                f"the targets need what bake files may not do by themselves: {named}",
                _GRANT_HINT.format(" ".join(need.flag for need in needs)),
            )

    def forecast(self) -> "tuple[Forecast, PolyarchError | None]":
        """What `run` would do with the targets that it would build, and why others could not be examined."""
        from polyarch.bake import explaining, resolve
        from polyarch.progress import ignore

        targets = self._resolved.targets
        built = [name for name, target in targets.items() if not target.linked and not _method(target)]
        return explaining.forecast(
            resolve.only(self._resolved, built), self._places(ignore), keep_going=self._keep_going
        )

    def run(self, form: str, metadata_file: str | None) -> int:
        """Build the targets, and report on those that say so (`call`), in this format. Returns the exit status."""
        from polyarch.bake import options, resolve

        targets = self._resolved.targets
        for target in targets.values():
            for message in options.left_out(target):
                self._session.warn(f"target {target.name}: {message}")
        called = [name for name, target in targets.items() if not target.linked and _method(target)]
        built = [name for name, target in targets.items() if not target.linked and name not in called]
        if built:
            self._build(resolve.only(self._resolved, built), metadata_file)
        return self._call(resolve.only(self._resolved, called), form) if called else 0

    def _build(self, resolved: "Resolved", metadata_file: str | None) -> None:
        from polyarch.bake import building
        from polyarch.builder.history.entry import new_reference
        from polyarch.cli import refs

        variables = self._session.environment.variables
        # The builds of one command are a group for buildx.
        group = new_reference().rpartition("/")[2]
        done: list[BuiltTarget] = []
        failure: PolyarchError | None = None
        called = ", ".join(sorted(resolved.targets))
        with (
            self._session.display(self._progress) as emit,
            farm_of(self._session, self._farm, called, self._session.registry, emit) as remote,
        ):
            places = msgspec.structs.replace(self._places(emit), remote=remote)
            try:
                for built in building.build(resolved, places, keep_going=self._keep_going):
                    request = msgspec.structs.replace(built.request, reference=built.result.reference)
                    refs.save(variables, request, asked=bool(metadata_file), target=built.target.name, group=group)
                    done.append(built)
            except PolyarchError as error:
                if not self._keep_going:
                    raise
                failure = error
        if self._progress not in ("quiet", "rawjson"):
            for built in done:
                self._note(built)
        if metadata_file:
            names = [built.target.name for built in done]
            refs.save_group(variables, group, names, [built.result.reference for built in done])
            found = {built.target.name: metadata.of(built.request.export, built.result, variables) for built in done}
            found |= metadata.warnings((built.result for built in done), variables)
            metadata.write(Path(metadata_file), found)
        if failure is not None:
            raise failure

    def _note(self, built: "BuiltTarget") -> None:
        if built.result.descriptor is not None:
            platforms = ", ".join(str(image.platform) for image in built.result.images)
            called = ", ".join(name.tagged().familiar() for name in built.request.export.names) or "unnamed image"
            self._session.note(f"{built.target.name}: {called} for {platforms}: {built.result.descriptor.digest}")

    def _call(self, resolved: "Resolved", form: str) -> int:
        """Report on the Dockerfiles. Returns the exit status: 1 if a check found something."""
        from polyarch.bake import building, printing
        from polyarch.cli.commands import subrequests

        session = self._session
        status, first = 0, True
        answers: dict[str, dict[str, Any]] = {}
        with session.display(self._progress) as emit:
            for target, request in building.prepared(resolved, self._places(emit)):
                method = _method(target)
                with building.located(target.name):
                    if form == "json":
                        answer, found = subrequests.answered(method, request, session)
                        answers[target.name] = {method: answer}
                    else:
                        head = [target.name, target.description] if target.description else [target.name]
                        click.echo("\n".join(([] if first else [""]) + head) + "\n")
                        found = subrequests.call(method, request, session)
                status, first = max(status, found), False
        if form == "json":
            click.echo(printing.with_answers(self._resolved, answers))
        return status

    def _places(self, emit: "Emit") -> "BuildPlaces":
        import msgspec

        from polyarch.bake.building import BuildPlaces

        around = self._session.surroundings()
        if self._variables:
            around = msgspec.structs.replace(around, variables={**around.variables, **self._variables})
        return BuildPlaces(
            around=around,
            store=self._session.store,
            registry=self._registry,
            where=self._where,
            emit=emit,
            node=self._session.node(self._builder),
        )

    def _registry(self, request: "BuildRequest") -> "Registry":
        from polyarch.cli.insecure import insecure_names

        return self._session.registry_for(insecure_names(request, everything=self._insecure))

    def _granted(self, needs: "Sequence[Need]") -> bool:
        """Ask on a terminal whether the targets may do this."""
        if not sys.stdin.isatty():
            return False
        self._session.note("The targets need what bake files may not do by themselves:")
        for need in needs:
            self._session.note(f" - {need}")
        self._session.note(f"To allow it without this question: {' '.join(need.flag for need in needs)}")
        return click.confirm("Allow it and continue?", default=False, err=True)


def _method(target: "BakeTarget") -> str:
    """What is asked about a target instead of building it; empty to build it."""
    method = target.call or "build"
    return {"build": "", "lint": "check"}.get(method, method)
