"""Small projects of each kind, without dependencies: path → text."""

from collections.abc import Mapping
from pathlib import Path

from polyarch.scaffold.project import Project
from polyarch.scaffold.scaffold import Scaffold, scaffold

_GO = 'package main\n\nimport (\n\t"fmt"\n\t"runtime"\n)\n\nfunc main() { fmt.Println("go on", runtime.GOARCH) }\n'
_JAVA = (
    "package org.example;\n\npublic class Main {\n"
    "    public static void main(String[] words) {\n"
    '        System.out.println("java on " + System.getProperty("os.arch"));\n    }\n}\n'
)
_PYPROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "hello"
version = "1"
requires-python = "~=3.11"
dependencies = []
[project.scripts]
hello = "hello:main"
"""

PROJECTS: Mapping[str, Mapping[str, str]] = {
    "go": {"go.mod": "module example.org/hello\n\ngo 1.19\n", "main.go": _GO},
    "go-cmd": {"go.mod": "module example.org/hello\n", "cmd/hello/main.go": _GO, "cmd/other/main.go": _GO},
    "go-vendor": {"go.mod": "module example.org/hello\n", "go.sum": "", "main.go": _GO, "vendor/modules.txt": ""},
    "rust": {
        "Cargo.toml": '[package]\nname = "hello"\nversion = "0.1.0"\nedition = "2021"\n',
        "src/main.rs": 'fn main() { println!("rust on {}", std::env::consts::ARCH); }\n',
    },
    "java-plain": {"src/org/example/Main.java": _JAVA},
    "java-maven": {
        "pom.xml": "<project><properties><maven.compiler.release>17</maven.compiler.release></properties></project>\n",
        "src/main/java/org/example/Main.java": _JAVA,
    },
    "java-gradle": {
        "build.gradle.kts": "java { toolchain { languageVersion = JavaLanguageVersion.of(17) } }\n",
        "src/main/java/org/example/Main.java": _JAVA,
    },
    "java-wrapper": {"build.gradle": "apply plugin: 'java'\n", "gradlew": "#!/bin/sh\n"},
    "python": {"main.py": "import platform\n\nprint('python on', platform.machine())\n"},
    "python-flask": {"requirements.txt": "Flask==3.0  # the server\n", "app.py": "app = None\n"},
    "python-package": {"pyproject.toml": _PYPROJECT, "hello.py": "def main():\n    print('python as a package')\n"},
    "python-app": {
        "pyproject.toml": '[project]\nname = "x"\ndependencies = ["left>=1; python_version > \'3\'", "--evil"]\n',
        "main.py": "",
    },
    "python-poetry": {
        "pyproject.toml": '[build-system]\nrequires = []\n[tool.poetry.scripts]\nhello = "hello:main"\n',
    },
    "python-django": {"requirements.txt": "django\n", "manage.py": ""},
    "node": {
        "package.json": '{"scripts": {"start": "node server.js"}}\n',
        "server.js": "console.log('node on', process.arch)\n",
    },
    "node-npm": {
        "package.json": '{"main": "lib/index.js", "dependencies": {"left": "1"}, "scripts": {"build": "tsc"}}\n',
        "package-lock.json": "{}\n",
        ".nvmrc": "v22.1\n",
    },
    "node-pnpm": {"package.json": '{"dependencies": {"left": "1"}}\n', "pnpm-lock.yaml": "", "index.js": ""},
    "node-yarn": {
        "package.json": '{"dependencies": {"left": "1"}, "scripts": {"start": "A=1 node x"}}\n',
        "yarn.lock": "",
    },
    "node-pages": {
        "package.json": '{"devDependencies": {"vite": "6"}, "scripts": {"build": "vite build"}}\n',
        "package-lock.json": "{}\n",
        "index.html": "<title>Pages</title>\n",
    },
    "static": {"index.html": "<title>Home</title>\n", "style.css": "body {}\n"},
    "static-public": {"public/index.html": "<title>Home</title>\n", "README.md": "About it.\n"},
}


def write(name: str, directory: Path) -> Path:
    """A project in a directory."""
    for path, text in PROJECTS[name].items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return directory


def made(name: str) -> Scaffold:
    """What `init` writes for a project."""
    return scaffold(Project(name=name, paths=frozenset(PROJECTS[name]), texts=PROJECTS[name]))
