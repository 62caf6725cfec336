"""Go: compiled on the build machine's own processor for each platform, into an image with nothing else in it."""

import re

from polyarch.scaffold.project import Project, ProjectPlan, command, is_path, version

_DOCKERFILE = """\
FROM --platform=$BUILDPLATFORM golang:{version} AS build
WORKDIR /src
COPY {modules} ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \\
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags="-s -w" -o /out/app {package}

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/app /app
USER 65532:65532
{command}
"""


def plan(project: Project) -> ProjectPlan | None:
    """The plan for a Go module; None for anything else."""
    if "go.mod" not in project.paths:
        return None
    text = project.texts.get("go.mod", "")
    found = version(text, r"(?m)^go\s+(\d+\.\d+)") or "1"
    module = version(text, r"(?m)^module\s+(\S+)")
    package, why = _package(project, module)
    dockerfile = _DOCKERFILE.format(
        version=found,
        modules="go.mod go.sum" if "go.sum" in project.paths else "go.mod",
        package=package,
        command=command("/app"),
    )
    reasons = [
        f"go.mod: a Go module, with Go {found}",
        why,
        "Go compiles for other platforms itself, so nothing is emulated",
    ]
    notes = ("files that need cgo are left out (CGO_ENABLED=0)",)
    if "vendor/modules.txt" in project.paths:
        dockerfile = re.sub(r"COPY go\.mod.*\nRUN .*go mod download\n", "", dockerfile)
        reasons.append("vendor/: modules are not downloaded")
    return ProjectPlan(title="Go", dockerfile=dockerfile, reasons=tuple(reasons), notes=notes)


def _package(project: Project, module: str) -> tuple[str, str]:
    """The main package, and why it is that one."""
    if "main.go" in project.paths:
        return ".", "main.go: the program"
    found = re.compile(r"(?:cmd/)?[^/]+/main\.go")
    directories = sorted(path.rpartition("/")[0] for path in project.paths if found.fullmatch(path))
    directories = [directory for directory in directories if is_path(directory)]
    if not directories:
        return ".", "no main.go: the module itself is taken for the program"
    directories.sort(key=lambda directory: (not directory.startswith("cmd/"), directory))
    wanted = module.rpartition("/")[2]
    chosen = next((one for one in directories if one.rpartition("/")[2] == wanted), directories[0])
    others = ", ".join(one for one in directories if one != chosen)
    return f"./{chosen}", f"{chosen}/main.go: the program" + (f"; there are also {others}" if others else "")
