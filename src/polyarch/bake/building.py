"""Builds targets together, as one graph. A target that is a context of others is a part of it: what needs its files
waits for them, and nothing else does.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from polyarch import builder, buildflags
from polyarch.bake import options
from polyarch.bake.remote import BakeWhere
from polyarch.bake.resolve import Resolved
from polyarch.bake.target import BakeTarget
from polyarch.builder.history.entry import new_reference
from polyarch.builder.request.input import ContextSource, LayoutContext, LinkedContext
from polyarch.builder.request.output import Export, Output
from polyarch.errors import BuildError, PolyarchError, UsageError
from polyarch.oci import platform as parsing
from polyarch.progress import Event, Started, Warned, ignore

if TYPE_CHECKING:
    from polyarch.builder import BuildRequest, BuildResult
    from polyarch.builder.remote import RemoteRunner
    from polyarch.buildflags import Surroundings
    from polyarch.oci.platform import Platform
    from polyarch.progress import Emit
    from polyarch.registry import Registry
    from polyarch.store import Store


class BuildPlaces(msgspec.Struct, frozen=True, kw_only=True):
    """What builds work with. `registry` is the client for a build; `emit` receives the progress of all targets; `where`
    is where the files come from. `node` is BUILDER/NODE for the references of builds, see `BuildRequest`. `remote` has
    RUN steps done elsewhere.
    """

    around: "Surroundings"
    store: "Store"
    registry: "Callable[[BuildRequest], Registry]"
    where: BakeWhere = BakeWhere()
    emit: "Emit" = ignore
    node: str = ""
    remote: "RemoteRunner | None" = None


class BuiltTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A target that was built."""

    target: BakeTarget
    request: "BuildRequest"
    result: "BuildResult"


class TargetRequests:
    """The requests for builds of targets."""

    def __init__(self, resolved: Resolved, places: BuildPlaces) -> None:
        self._targets = resolved.targets
        self._around = places.around
        self._where = places.where
        self._node = places.node
        self._store = places.store
        self.order = _ordered(resolved.targets)
        self._users = _users(resolved.targets)
        self._platforms: dict[str, tuple[str, ...]] = {}
        for name in reversed(self.order):
            self._platforms[name] = self._platforms_of(self._targets[name])

    def request(self, name: str) -> "BuildRequest":
        """The request for a target. Raises UsageError, NotFoundError, UnsupportedError, with the name of the target."""
        target = self._targets[name]
        with located(name):
            context, given = options.of_target(target, self._where, self._around)
            given |= {"platforms": self._platforms[name], "allow_foreign_base": self._is_foreign(target)}
            if target.linked:
                given |= {"tags": (), "attest": (), "annotations": ()}
            request = buildflags.request(context, self._around, **given)
            return msgspec.structs.replace(
                _with_contexts(request, target, LinkedContext),
                export=self._exported(request.export, target),
                reference=new_reference(self._node),
            )

    def require(self, name: str, failed: "Mapping[str, PolyarchError]") -> None:
        """Raise BuildError if a target that is a context of this one failed."""
        for other in self._targets[name].links().values():
            if other in failed:
                raise BuildError(f"target {name}: not built, because its context {other} failed")

    def is_used(self, name: str) -> bool:
        """Whether a target is a context of others."""
        return name in self._users

    def _exported(self, export: Export, target: BakeTarget) -> Export:
        """What is made of a target: what it says, and its image if others have attestations that name its digest."""
        users = (self._targets[user] for user in self._users.get(target.name, ()))
        image = (Output(kind="none"),) if any(user.result.attest for user in users) else ()
        return msgspec.structs.replace(export, outputs=(*(() if target.linked else export.outputs), *image))

    def _platforms_of(self, target: BakeTarget) -> tuple[str, ...]:
        """The platforms of a target: its own, else for a context those of its users, else none, for the default."""
        if target.platforms or not target.linked:
            return target.platforms or ()
        users = self._users.get(target.name, [])
        found = [one for user in users for one in self._platforms[user]]
        return tuple(dict.fromkeys(found)) if all(self._platforms[user] for user in users) else ()

    def _parsed(self, name: str) -> "tuple[Platform, ...]":
        host = self._around.host
        default = self._around.variables.get("DOCKER_DEFAULT_PLATFORM", "")
        return parsing.parse_list(self._platforms[name], host) or parsing.parse_list([default], host) or (host,)

    def _is_foreign(self, target: BakeTarget) -> bool:
        """Whether one image of another platform is a context of this target, as for a tool that runs anywhere. Raises
        UsageError if the context has several platforms, but not all that are needed.
        """
        foreign = False
        wanted = self._parsed(target.name)
        for other in target.links().values():
            there = self._parsed(other)
            missing = [str(one) for one in wanted if one not in there]
            if missing and len(there) > 1:
                raise UsageError(
                    f"its context {other} is not built for {', '.join(missing)}",
                    f"add them to the platforms of {other}: {', '.join(map(str, there))}",
                )
            foreign = foreign or bool(missing)
        return foreign


@contextmanager
def located(name: str) -> Iterator[None]:
    """Put the name of a target before the message of an error."""
    try:
        yield
    except PolyarchError as error:
        error.message = f"target {name}: {error.message}"
        raise


def build(resolved: Resolved, places: BuildPlaces, *, keep_going: bool = False) -> Iterator[BuiltTarget]:
    """Build all targets; each is returned as soon as it is complete. Stops at the first failure, or with `keep_going`
    finishes the targets that do not need what failed, and then raises BuildError with all failures.

    What can be wrong with a target before it is built is found before the first is built. Raises as `builder.build`,
    with the name of the target in the message.
    """
    failed: dict[str, PolyarchError] = {}
    requests = TargetRequests(resolved, places)
    asked: dict[str, BuildRequest] = {}
    for name in requests.order:
        with kept(name, failed, keep_going):
            requests.require(name, failed)
            asked[name] = requests.request(name)
    for name, result in _built_together(asked, places, failed, keep_going):
        target = resolved.targets[name]
        if not target.linked:
            yield BuiltTarget(target=target, request=asked[name], result=result)
    if failed:
        raise failure(failed, len(resolved.targets))


@contextmanager
def kept(name: str, failed: dict[str, PolyarchError], keep_going: bool) -> Iterator[None]:
    """Put the error of a target into `failed`, or raise it unless the build keeps going."""
    try:
        yield
    except PolyarchError as error:
        if not keep_going:
            raise
        failed.setdefault(name, error)


def _built_together(
    asked: "Mapping[str, BuildRequest]",
    places: BuildPlaces,
    failed: dict[str, PolyarchError],
    keep_going: bool,
) -> "Iterator[tuple[str, BuildResult]]":
    """Build these as one graph. Errors get the name of their target; with `keep_going` they are put into `failed`."""
    from polyarch.builder.several import PlannedBuild, build_all

    builds = {
        name: PlannedBuild(request=request, registry=places.registry(request), emit=_named(name, places.emit))
        for name, request in asked.items()
    }
    for name, found in build_all(builds, places.store, keep_going=keep_going, remote=places.remote):
        if isinstance(found, PolyarchError):
            with kept(name, failed, keep_going), located(name):
                raise found
        else:
            yield name, found


def failure(failed: Mapping[str, PolyarchError], count: int) -> PolyarchError:
    if len(failed) == 1:
        return next(iter(failed.values()))
    hints = dict.fromkeys(error.hint for error in failed.values() if error.hint)
    messages = [f"{len(failed)} of {count} targets failed", *(error.message for error in failed.values())]
    return BuildError("\n".join(messages), "; ".join(hints))


def prepared(resolved: Resolved, places: BuildPlaces) -> "Iterator[tuple[BakeTarget, BuildRequest]]":
    """The targets to report on, with their requests. Only those that are contexts of others are built."""
    alone = {name: msgspec.structs.replace(target, linked=True) for name, target in resolved.targets.items()}
    requests = TargetRequests(Resolved(alone, resolved.groups), places)
    images: dict[str, LayoutContext] = {}
    for name in requests.order:
        target = resolved.targets[name]
        request = _with_contexts(requests.request(name), target, images.__getitem__)
        if requests.is_used(name):
            image = Output(kind="none")
            kept = msgspec.structs.replace(request, export=msgspec.structs.replace(request.export, outputs=(image,)))
            made = _built(name, kept, places).descriptor
            assert made is not None, name
            images[name] = LayoutContext(f"target:{name}", Path(places.store.layout.oci), made.digest)
        if not target.linked:
            yield target, request


def _with_contexts(
    request: "BuildRequest", target: BakeTarget, context: "Callable[[str], ContextSource]"
) -> "BuildRequest":
    """The request with this context for each target that is one."""
    links = target.links()
    if not links:
        return request

    def replaced(known: "Mapping[str, ContextSource]", platform: "Platform | None") -> "dict[str, ContextSource]":
        return {name: context(made[name, platform]) if (name, platform) in made else at for name, at in known.items()}

    made: dict[tuple[str, Platform | None], str] = {}
    for word, other in links.items():
        name, colons, only = word.partition("::")
        made[name, parsing.parse(only) if colons else None] = other
    overrides = tuple(
        msgspec.structs.replace(one, contexts=replaced(one.contexts, one.platform)) for one in request.overrides
    )
    given = msgspec.structs.replace(request.input, contexts=replaced(request.input.contexts, None))
    return msgspec.structs.replace(request, input=given, overrides=overrides)


def _built(name: str, request: "BuildRequest", places: BuildPlaces) -> "BuildResult":
    with located(name):
        emit = _named(name, places.emit)
        return builder.build(request, places.store, places.registry(request), emit, remote=places.remote)


def _named(target: str, emit: "Emit") -> "Emit":
    """Passes on events with the name of the target, as in `[app 1/2] FROM …`."""

    def pass_on(event: Event) -> None:
        if isinstance(event, Started):
            name = f"[{target} {event.name[1:]}" if event.name.startswith("[") else f"[{target}] {event.name}"
            event = Started(f"{target}/{event.id}", name, event.platforms)
        elif isinstance(event, Warned):
            event = Warned(f"{target}: {event.message}", event.detail)
        else:
            event = msgspec.structs.replace(event, id=f"{target}/{event.id}")
        emit(event)

    return pass_on


def _ordered(targets: Mapping[str, BakeTarget]) -> list[str]:
    """The names of the targets, each after those that are its contexts. There are no circles (`resolve`)."""
    found: dict[str, None] = {}

    def add(name: str) -> None:
        if name not in found:
            for other in targets[name].links().values():
                add(other)
            found[name] = None

    for name in targets:
        add(name)
    return list(found)


def _users(targets: Mapping[str, BakeTarget]) -> dict[str, list[str]]:
    """The targets that use each target as a context."""
    found: dict[str, list[str]] = {}
    for name, target in targets.items():
        for other in target.links().values():
            found.setdefault(other, []).append(name)
    return found
