"""Node.js: packages are installed by the package manager whose lock file is there. Pages are built once for all."""

import re
from typing import Any

from polyarch.scaffold import static
from polyarch.scaffold.project import Project, ProjectPlan, command, is_word, table, version

_VERSION = "24"
# lock file → how packages are installed as it says, for programs only or with the tools of the build; and the cache.
_MANAGERS = {
    "package-lock.json": ("npm", "npm ci", "npm ci --omit=dev", "/root/.npm"),
    "npm-shrinkwrap.json": ("npm", "npm ci", "npm ci --omit=dev", "/root/.npm"),
    "pnpm-lock.yaml": (
        "pnpm",
        "corepack enable && pnpm install --frozen-lockfile",
        "corepack enable && pnpm install --frozen-lockfile --prod",
        "/root/.local/share/pnpm/store",
    ),
    "yarn.lock": (
        "yarn",
        "yarn install --frozen-lockfile",
        "yarn install --frozen-lockfile --production",
        "/usr/local/share/.cache/yarn",
    ),
    "": ("npm", "npm install", "npm install --omit=dev", "/root/.npm"),
}
_IGNORED = ("node_modules", "**/node_modules", "npm-debug.log*", ".npm", "coverage")
# Tools that make pages, and the directory where they put them.
_PAGES = {"vite": "dist", "react-scripts": "build", "@vue/cli-service": "dist", "parcel": "dist", "astro": "dist"}
_STAGE = """\
FROM {platform}node:{version}-slim AS {name}
WORKDIR /app
COPY {files} ./
RUN --mount=type=cache,target={cache} {install}
"""
_RUNTIME = """\
FROM node:{version}-slim
ENV NODE_ENV=production
WORKDIR /app
{copies}
USER node
{command}
"""


def plan(project: Project) -> ProjectPlan | None:
    """The plan for a Node.js project; None for anything else."""
    if "package.json" not in project.paths:
        return None
    document = project.json("package.json")
    scripts = table(document, "scripts")
    needs, tools = table(document, "dependencies"), table(document, "devDependencies")
    builds = isinstance(scripts.get("build"), str)
    lock = project.first(*(name for name in _MANAGERS if name))
    found = (
        version(project.texts.get(".nvmrc"), r"^\s*v?(\d+)")
        or version(table(document, "engines").get("node"), r"(\d+)")
        or _VERSION
    )
    stages = _Stages(found, lock, f"package.json {lock}".strip())
    pages = next((where for tool, where in _PAGES.items() if tool in needs or tool in tools), "")
    reasons = [f"package.json: a Node.js project, with Node.js {found}"]
    reasons.append(f"{lock}: packages are installed with {_MANAGERS[lock][0]}" if lock else "no lock file: npm is used")
    notes = (
        [] if lock or not (needs or tools) else ["versions of packages are not fixed: npm install writes a lock file"]
    )
    if lock == "yarn.lock" and ".yarnrc.yml" in project.paths:
        notes.append("the options of yarn install are those of Yarn 1")
    if builds and pages and not isinstance(scripts.get("start"), str):
        server = static.SERVER.format(source=f"--from=build /app/{pages}/", command=static.START)
        text = stages.built() + "\n" + server
        reasons.append(f"build makes pages in {pages}: they are built once for every platform, and served on port 8080")
    else:
        start, why, sure = _start(project, document, scripts)
        text = _program(stages, start, installs=bool(needs), builds=builds)
        reasons += [why, *_emulated(installs=bool(needs), builds=builds)]
        notes += [] if sure else ["change CMD if that is not the program"]
    return ProjectPlan(title="Node.js", dockerfile=text, reasons=tuple(reasons), notes=tuple(notes), ignored=_IGNORED)


class _Stages:
    """The texts of the stages that install packages, for one version of Node.js and one lock file."""

    def __init__(self, number: str, lock: str, files: str) -> None:
        self.version = number
        self._manager, self._all, self._needed, self._cache = _MANAGERS[lock]
        self._files = files

    def needed(self) -> str:
        """Installs what the program needs, for each platform."""
        return self._stage("packages", "", self._needed)

    def built(self) -> str:
        """Installs everything, and runs the script `build`, on the build machine's own processor."""
        stage = self._stage("build", "--platform=$BUILDPLATFORM ", self._all)
        return f"{stage}COPY . .\nRUN {self._manager} run build && rm -rf node_modules\n"

    def _stage(self, name: str, platform: str, install: str) -> str:
        return _STAGE.format(
            platform=platform,
            version=self.version,
            name=name,
            files=self._files,
            cache=self._cache,
            install=install,
        )


def _program(stages: _Stages, start: str, *, installs: bool, builds: bool) -> str:
    texts = [stages.built()] if builds else []
    texts += [stages.needed()] if installs else []
    copies = ["COPY --from=packages /app/node_modules ./node_modules"] if installs else []
    copies.append("COPY --from=build /app ./" if builds else "COPY . .")
    texts.append(_RUNTIME.format(version=stages.version, copies="\n".join(copies), command=start))
    return "\n".join(texts)


def _emulated(*, installs: bool, builds: bool) -> list[str]:
    found = ["the script build runs once, on the build machine's own processor"] if builds else []
    if installs:
        found.append("packages are installed for each platform, because they may contain compiled code")
    return found or ["there are no packages to install, so no step runs anything: nothing is emulated"]


def _start(project: Project, document: dict[str, Any], scripts: dict[str, Any]) -> tuple[str, str, bool]:
    """The CMD, why it is that, and whether it is sure."""
    start = scripts.get("start")
    if isinstance(start, str):
        # Without npm in between, the program gets the signals. Only plain words can do without a shell.
        words = start.split()
        if words[:1] == ["node"] and all(re.fullmatch(r"[\w./@:=-]+", word) for word in words):
            return command(*words), f"the script start: {start}", True
        return command("npm", "start"), "the script start, which needs npm and a shell", True
    main = document.get("main")
    program = project.first("server.js", "index.js", "app.js", "main.js", "index.mjs", "server.mjs", "src/index.js")
    if isinstance(main, str) and all(is_word(part) or part == "." for part in main.split("/")):
        return command("node", main), f"main: the program is {main}", True
    if program:
        return command("node", program), f"{program}: the program", True
    return command("node", "index.js"), "no program was found", False
