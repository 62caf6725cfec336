"""The build checks over a whole request. Nothing here builds anything."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from polyarch.builder.bases import Bases, open_layouts
from polyarch.builder.plan import planner
from polyarch.builder.plan.options import Base
from polyarch.builder.request.request import BuildRequest
from polyarch.builder.workspace import Workspace
from polyarch.dockerfile import checks, stages
from polyarch.dockerfile.parser import Dockerfile
from polyarch.dockerfile.rules import LintFinding
from polyarch.dockerfile.source import excerpt
from polyarch.errors import PolyarchError
from polyarch.oci import platform as platforms
from polyarch.oci.platform import Platform
from polyarch.progress import Warned

if TYPE_CHECKING:
    from polyarch.registry import Registry
    from polyarch.store import Store


class Checked(msgspec.Struct, frozen=True):
    """The findings in the order of lines. With `error=true`, `violation` is the reason to fail.

    `unresolved` are the errors of base images that could not be looked up. `source` is the Dockerfile: name and text.
    """

    findings: tuple[LintFinding, ...]
    violation: str = ""
    unresolved: tuple[str, ...] = ()
    source: tuple[str, str] = ("", "")


class _TolerantResolver:
    """A resolver that keeps the errors of bases in `errors`, before it raises them."""

    def __init__(self, bases: Bases) -> None:
        self._bases = bases
        self.errors: list[str] = []

    def image(self, name: str, platform: Platform) -> Base:
        """Implements `plan.options.Resolver`."""
        try:
            return self._bases.image(name, platform)
        except PolyarchError as error:
            self.errors.append(f"the base image {name}: {error.message}")
            raise


def check(request: BuildRequest, store: "Store", registry: "Registry") -> Checked:
    """Check the Dockerfile for all platforms: the target's stages, or every stage if no target is named.

    Base images are looked up, as for a build. A base that is not found only stops the checks that need it. Raises
    DockerfileError for an invalid Dockerfile, and what `plan` raises.
    """
    platforms.doubts(request.platforms)
    with Workspace(request, store, registry) as workspace:
        dockerfile = workspace.dockerfile
        bases = Bases(
            store,
            registry,
            workspace.source,
            pull=request.cache.pull,
            allow_foreign=True,
            layouts=open_layouts(workspace),
        )
        resolver = _TolerantResolver(bases)
        found: list[LintFinding] = []
        for platform in request.platforms:
            options = request.plan_for(platform, workspace.ignore)
            found += planner.check(dockerfile, options, platform, resolver, resolver.errors)
    return msgspec.structs.replace(
        judge(dockerfile, request, found),
        unresolved=tuple(dict.fromkeys(resolver.errors)),
        source=(dockerfile.name, dockerfile.text),
    )


def judge(dockerfile: Dockerfile, request: BuildRequest, planned: Iterable[LintFinding]) -> Checked:
    """The findings in the text and those of planning, without the skipped rules."""
    chosen = _chosen(request)
    cut = stages.cut(dockerfile)
    automatic = stages.automatic_args(
        request.plan.build_platform, request.platforms[0], request.plan.target or cut.stages[-1].name
    )
    text = checks.run(dockerfile, chosen, platforms=request.platforms, automatic=automatic)
    return judge_work(dockerfile, request, [*text, *unknown_stages(dockerfile, request), *planned])


def unknown_stages(dockerfile: Dockerfile, request: BuildRequest) -> tuple[LintFinding, ...]:
    """Names that probably mean a stage but will be looked up in a registry, unless that rule is skipped."""
    contexts = (name.name for name, _ in request.contexts())
    return checks.wanted(checks.unknown_stages(stages.cut(dockerfile), contexts), dockerfile, _chosen(request))


def judge_work(dockerfile: Dockerfile, request: BuildRequest, findings: Iterable[LintFinding]) -> Checked:
    """The findings of the steps, which the text cannot show, without the skipped rules."""
    chosen = _chosen(request)
    kept = checks.wanted(findings, dockerfile, chosen)
    return Checked(kept, checks.violation(kept, dockerfile, chosen))


def _chosen(request: BuildRequest) -> checks.Options | None:
    said = request.plan.arguments.get("BUILDKIT_DOCKERFILE_CHECK", "")
    return checks.options(said) if said else None


def warning(finding: LintFinding, dockerfile: Dockerfile, *, brief: bool = False) -> Warned:
    """A finding for people: the rule, what is wrong, where, and unless it is `brief` the lines around."""
    where = f"{dockerfile.name}:{finding.location.first}"
    lines = "" if brief else excerpt(dockerfile.text, dockerfile.name, (finding.location,))
    return Warned(f"{finding.rule.name}: {finding.message} ({where})", lines)
