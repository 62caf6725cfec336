"""Rust: compiled on the build machine's own processor, with a linker and C compiler for each platform."""

from polyarch.scaffold.project import Project, ProjectPlan, command, is_word, table

# The variables are those of cargo (the linker of a target) and of the crate cc (its C compiler).
_DOCKERFILE = """\
FROM --platform=$BUILDPLATFORM rust:{version}-bookworm AS build
ARG BUILDARCH TARGETARCH
RUN case "$TARGETARCH" in \\
      amd64) machine=x86_64 package=x86-64 ;; \\
      arm64) machine=aarch64 package=aarch64 ;; \\
      *) echo "no compiler for $TARGETARCH is set up" >&2; exit 1 ;; \\
    esac && \\
    echo "$machine-unknown-linux-gnu" > /target && \\
    if [ "$TARGETARCH" != "$BUILDARCH" ]; then \\
      apt-get update && \\
      apt-get install -y --no-install-recommends "gcc-$package-linux-gnu" "libc6-dev-$TARGETARCH-cross" && \\
      rm -rf /var/lib/apt/lists/*; \\
    fi && \\
    rustup target add "$(cat /target)"
ENV CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc \\
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \\
    cargo build --release{locked} --target "$(cat /target)" && \\
    mkdir /out && cp "target/$(cat /target)/release/{binary}" /out/app

FROM debian:bookworm-slim
COPY --from=build /out/app /usr/local/bin/app
USER 65532:65532
{command}
"""


def plan(project: Project) -> ProjectPlan | None:
    """The plan for a Cargo package; None for anything else."""
    if "Cargo.toml" not in project.paths:
        return None
    document = project.toml("Cargo.toml")
    binary, why = _binary(document)
    locked = "Cargo.lock" in project.paths
    channel = table(project.toml("rust-toolchain.toml"), "toolchain").get("channel")
    found = channel if isinstance(channel, str) and channel[:1].isdigit() and is_word(channel) else "1"
    dockerfile = _DOCKERFILE.format(
        version=found, locked=" --locked" if locked else "", binary=binary, command=command("app")
    )
    reasons = (
        "Cargo.toml: a Rust package" + (", with the versions of Cargo.lock" if locked else ""),
        why,
        "rustc compiles for other platforms with their linkers, so nothing is emulated",
    )
    notes = [
        "libraries of the system (such as OpenSSL) must be installed for the target platform if a crate needs them"
    ]
    return ProjectPlan(title="Rust", dockerfile=dockerfile, reasons=reasons, notes=tuple(notes), ignored=("target",))


def _binary(document: dict[str, object]) -> tuple[str, str]:
    """The name of the program, and why."""
    binaries = document.get("bin")
    first = binaries[0] if isinstance(binaries, list) and binaries else None
    name = table(first).get("name")
    if is_word(name):
        return str(name), f"[[bin]]: the program is {name}"
    default = table(document, "package").get("default-run") or table(document, "package").get("name")
    if is_word(default):
        return str(default), f"[package]: the program is {default}"
    return "app", "no package has a name here: change the name of the program, app, if it is a workspace"
