"""Java: bytecode is the same on every processor, so it is compiled once, on the build machine's own."""

import re

from polyarch.scaffold.project import Project, ProjectPlan, command, version

_VERSION = "21"
_BUILDS = {
    "maven": """\
FROM --platform=$BUILDPLATFORM maven:3-eclipse-temurin-{version} AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.m2 mvn --batch-mode -DskipTests package && \\
    mkdir /out && find target -maxdepth 1 -name '*.jar' ! -name '*-sources.jar' ! -name '*-javadoc.jar' \\
      ! -name 'original-*.jar' -exec cp {{}} /out/app.jar \\;
""",
    "gradle": """\
FROM --platform=$BUILDPLATFORM gradle:8-jdk{version} AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.gradle gradle --no-daemon --gradle-user-home /root/.gradle assemble && \\
    mkdir /out && find build/libs -name '*.jar' ! -name '*-plain.jar' ! -name '*-sources.jar' \\
      ! -name '*-javadoc.jar' -exec cp {{}} /out/app.jar \\;
""",
    "wrapper": """\
FROM --platform=$BUILDPLATFORM eclipse-temurin:{version}-jdk AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.gradle sh ./gradlew --no-daemon --gradle-user-home /root/.gradle assemble && \\
    mkdir /out && find build/libs -name '*.jar' ! -name '*-plain.jar' ! -name '*-sources.jar' \\
      ! -name '*-javadoc.jar' -exec cp {{}} /out/app.jar \\;
""",
    "javac": """\
FROM --platform=$BUILDPLATFORM eclipse-temurin:{version}-jdk AS build
WORKDIR /src
COPY . .
RUN mkdir -p /out/classes && find . -name '*.java' ! -path '*/test/*' -exec javac -d /out/classes {{}} +
""",
}
_RUNTIME = """
FROM eclipse-temurin:{version}-jre
WORKDIR /app
COPY --from=build /out/ ./
USER 65532:65532
{command}
"""


def plan(project: Project) -> ProjectPlan | None:
    """The plan for a Maven, Gradle or plain Java project; None for anything else."""
    sources = sorted(path for path in project.paths if path.endswith(".java"))
    gradle = project.first("build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts")
    wrapper = project.first("gradlew")
    if "pom.xml" in project.paths:
        way, file, found = "maven", "pom.xml", _maven(project.texts.get("pom.xml", ""))
    elif gradle:
        way, file = ("wrapper" if wrapper else "gradle"), gradle
        found = version(
            project.texts.get(gradle), r"(?:languageVersion.*?|JavaVersion\.VERSION_|Compatibility\D*)(\d+)"
        )
    elif sources and "package.json" not in project.paths:
        return _plain(project, sources)
    else:
        return None
    names = {"maven": "Maven", "gradle": "Gradle", "wrapper": "the project's Gradle (gradlew)"}
    return ProjectPlan(
        title="Java",
        dockerfile=_text(way, found, command("java", "-jar", "app.jar")),
        reasons=(
            f"{file}: a Java project, built with {names[way]} for Java {found or _VERSION}",
            "bytecode is the same for every platform: it is built once, and nothing is emulated",
        ),
        notes=("the JAR must name its main class, and have or find its libraries (for example with a shade plugin)",),
        ignored=("target",) if way == "maven" else ("build", ".gradle"),
    )


def _plain(project: Project, sources: list[str]) -> ProjectPlan | None:
    main = next((path for path in sources if _MAIN.search(project.texts.get(path, ""))), "")
    if not main:
        return None
    package = version(project.texts[main], r"(?m)^\s*package\s+([\w.]+)\s*;")
    name = main.rpartition("/")[2].removesuffix(".java")
    name = f"{package}.{name}" if package else name
    return ProjectPlan(
        title="Java",
        dockerfile=_text("javac", "", command("java", "-cp", "classes", name)),
        reasons=(
            f"{main}: the main class {name}",
            "bytecode is the same for every platform: it is compiled once, and nothing is emulated",
        ),
        ignored=("*.class",),
    )


_MAIN = re.compile(r"\bstatic\s+(?:final\s+)?void\s+main\s*\(")


def _maven(text: str) -> str:
    return version(text, r"<(?:maven\.compiler\.(?:release|target|source)|java\.version|release)>\s*(?:1\.)?(\d+)")


def _text(way: str, found: str, start: str) -> str:
    known = found or _VERSION
    return _BUILDS[way].format(version=known) + _RUNTIME.format(version=known, command=start)
