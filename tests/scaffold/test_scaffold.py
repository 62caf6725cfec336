"""What `init` writes for each kind of project, as texts."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyarch.dockerfile import parser
from polyarch.errors import NotFoundError, PolyarchError, UsageError
from polyarch.scaffold.project import Project
from polyarch.scaffold.scaffold import KINDS, Scaffold, image_name, scaffold
from tests.scaffold.projects import PROJECTS


def of(files: dict[str, str], kind: str | None = None) -> Scaffold:
    return scaffold(Project(name="My App", paths=frozenset(files), texts=files), kind)


def dockerfile(name: str) -> str:
    return of(dict(PROJECTS[name])).files["Dockerfile"]


@pytest.mark.parametrize("name", PROJECTS)
def test_every_image_starts_a_program_as_a_user_without_privileges(name: str) -> None:
    made = of(dict(PROJECTS[name]))
    assert made.kind == name.partition("-")[0]
    last = made.files["Dockerfile"].rpartition("\nFROM ")[2]
    assert re.search(r"^USER (65532:65532|node|101)$", last, re.MULTILINE)
    assert re.search(r'^CMD \[".*"\]$', last, re.MULTILINE)


@pytest.mark.parametrize("name", [name for name in PROJECTS if name.startswith(("go", "rust", "java", "static"))])
def test_compiled_languages_and_pages_run_no_step_on_another_processor(name: str) -> None:
    for stage in re.split(r"(?m)^(?=FROM )", dockerfile(name)):
        assert not re.search(r"^RUN ", stage, re.MULTILINE) or stage.startswith("FROM --platform=$BUILDPLATFORM ")


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("go", ["golang:1.19 AS", "-o /out/app .\n", "COPY go.mod ./\n"]),
        ("go-cmd", ["golang:1 AS", "-o /out/app ./cmd/hello\n"]),
        ("rust", ["/release/hello", "cargo build --release --target", 'CMD ["app"]']),
        ("java-plain", ["eclipse-temurin:21-jdk", 'CMD ["java", "-cp", "classes", "org.example.Main"]']),
        ("java-maven", ["maven:3-eclipse-temurin-17", "eclipse-temurin:17-jre", "target=/root/.m2"]),
        ("java-gradle", ["gradle:8-jdk17", "eclipse-temurin:17-jre"]),
        ("java-wrapper", ["sh ./gradlew", "eclipse-temurin:21-jdk"]),
        ("python", ['CMD ["python", "main.py"]']),
        ("python-flask", ["pip install -r requirements.txt", '"--app", "app"']),
        ("python-package", ["python:3.11-slim", "pip install .", 'CMD ["hello"]']),
        ("python-app", ["""["pip", "install", "left>=1; python_version > '3'"]""", 'CMD ["python", "main.py"]']),
        ("python-poetry", ["pip install .", 'CMD ["hello"]']),
        ("python-django", ["manage.py"]),
        ("node", ["node:24-slim", 'CMD ["node", "server.js"]']),
        ("node-npm", ["node:22-slim", "npm ci --omit=dev", "npm run build", 'CMD ["node", "lib/index.js"]']),
        ("node-pnpm", ["pnpm install --frozen-lockfile --prod", 'CMD ["node", "index.js"]']),
        ("node-yarn", ["yarn install --frozen-lockfile --production", 'CMD ["npm", "start"]']),
        ("node-pages", ["npm run build", "COPY --from=build /app/dist/ /usr/share/nginx/html/"]),
        ("static", ["COPY . /usr/share/nginx/html/", "EXPOSE 8080"]),
        ("static-public", ["COPY public/ /usr/share/nginx/html/"]),
    ],
)
def test_versions_programs_and_package_managers_come_from_the_project(name: str, lines: list[str]) -> None:
    text = dockerfile(name)
    assert [line for line in lines if line not in text] == []


def test_a_step_that_is_not_needed_is_left_out() -> None:
    assert "RUN" not in dockerfile("python")
    assert "RUN" not in dockerfile("node")
    assert "go mod download" not in dockerfile("go-vendor")


def test_a_kind_can_be_chosen_and_the_others_are_named() -> None:
    files = {**PROJECTS["python"], **PROJECTS["static"]}
    assert (of(files).kind, of(files).others) == ("python", ("static",))
    assert of(files, "static").kind == "static"
    with pytest.raises(UsageError, match="--kind cobol"):
        of(files, "cobol")
    with pytest.raises(NotFoundError, match="of the kind go"):
        of(files, "go")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"package.json": "{"}, "package.json is not JSON"),
        ({"package.json": "[" * 100_000}, "package.json is not JSON"),
        ({"package.json": "[]"}, "package.json is not a JSON object"),
        ({"pyproject.toml": "a ="}, "pyproject.toml is not TOML"),
        ({"Cargo.toml": "[package"}, "Cargo.toml is not TOML"),
        ({"notes.txt": ""}, "not a project that init knows"),
        ({}, "not a project that init knows"),
    ],
)
def test_what_cannot_be_read_or_is_not_known_is_an_error(files: dict[str, str], message: str) -> None:
    with pytest.raises(PolyarchError, match=message):
        of(files)


def test_an_unknown_project_lists_what_is_recognized() -> None:
    with pytest.raises(NotFoundError) as error:
        of({})
    assert all(word in str(error.value.hint) for word in ("go.mod", "package.json", "pyproject.toml", "index.html"))


HOSTILE = st.sampled_from(["x\nRUN evil", '"; evil', "$(evil)", "a b", "\\", "{}", "", "é"]) | st.text(max_size=8)


@settings(max_examples=60)
@given(HOSTILE, st.sampled_from(["name", "main", "start", "directory", "binary", "script", "version"]))
def test_a_name_from_the_project_never_becomes_an_instruction(text: str, place: str) -> None:
    quoted = json.dumps(text)
    files = {
        "name": {"index.html": ""},
        "main": {"package.json": json.dumps({"main": text})},
        "start": {"package.json": json.dumps({"scripts": {"start": f"node {text}"}})},
        "directory": {"go.mod": "", f"cmd/{text}/main.go": ""},
        "binary": {"Cargo.toml": f"[package]\nname = {quoted}\n"},
        "script": {"pyproject.toml": f"[project.scripts]\n{quoted} = ''\n"},
        "version": {"package.json": json.dumps({"engines": {"node": text}})},
    }[place]
    project = Project(name=text, paths=frozenset(files), texts=files)
    try:
        made = scaffold(project)
    except UsageError:
        # JSON may contain what TOML may not.
        assert place in ("binary", "script")
        return
    words = {line.split(" ")[0] for line in made.files["Dockerfile"].splitlines() if line[:1].isupper()}
    assert words <= set("FROM WORKDIR COPY RUN ARG ENV USER CMD EXPOSE CARGO_TARGET".split())
    parser.parse(made.files["Dockerfile"])


def test_the_image_has_the_name_of_the_directory() -> None:
    assert [image_name(name) for name in ("My App", "web_api", "..", "-x-", "é")] == [
        "my-app",
        "web-api",
        "app",
        "x",
        "app",
    ]
    assert 'tags      = ["my-app:${TAG}"]' in of({"index.html": ""}).files["docker-bake.hcl"]


def test_every_kind_has_a_project_here() -> None:
    assert {name.partition("-")[0] for name in PROJECTS} == set(KINDS)
