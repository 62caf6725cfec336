"""Commands in the documentation do what the pages say, and links resolve."""

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyarch.cli.commands.program import program
from scripts.local_registry import LocalRegistry
from tests import bases
from tests.commandlines import mistake
from tests.needs import need
from tests.program import Program, run

_REPOSITORY = Path(__file__).resolve().parents[2]
_DOCS = sorted((_REPOSITORY / "docs").rglob("*.md"))
_PAGES = [
    *_REPOSITORY.glob("*.md"),
    *_DOCS,
    *(_REPOSITORY / "examples").rglob("*.md"),
    *(_REPOSITORY / "findings").glob("*.md"),
    *(_REPOSITORY / "tests").glob("*/*.md"),
    *(_REPOSITORY / "tests").glob("*/cases/*.md"),
]
_COMING = "docs/coming-from-docker.md"


def _blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (_REPOSITORY / page).read_text(), re.DOTALL | re.MULTILINE)


def _links(page: Path) -> list[str]:
    """The targets of a page's links, pictures left out, in order."""
    return re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", page.read_text())


def _linked(page: str) -> set[Path]:
    """The files that a page links."""
    source = _REPOSITORY / page
    return {(source.parent / target.partition("#")[0]).resolve() for target in _links(source) if "://" not in target}


def _anchors(page: Path) -> set[str]:
    """The anchors that a code host makes of a page's headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _leads_somewhere(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    file = page.parent / path if path else page
    return file.exists() and (not anchor or anchor in _anchors(file))


def test_every_relative_link_of_every_page_resolves_with_its_anchor() -> None:
    links = [(page, target) for page in _PAGES for target in _links(page) if "://" not in target]
    assert len(links) > 60
    assert [(page.name, target) for page, target in links if not _leads_somewhere(page, target)] == []


def test_a_link_to_a_missing_heading_does_not_resolve() -> None:
    index = _REPOSITORY / "docs/index.md"
    assert _leads_somewhere(index, "guides/disk.md#the-limit")
    assert not _leads_somewhere(index, "guides/disk.md#the-limits")
    assert not _leads_somewhere(index, "guides/disks.md")


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_readme_and_the_index_link_every_page(page: str) -> None:
    pages = {path for path in _DOCS if path != _REPOSITORY / page}
    assert [str(path) for path in sorted(pages - _linked(page))] == []


def test_the_second_link_of_the_readme_is_for_users_of_docker() -> None:
    assert _links(_REPOSITORY / "README.md")[1] == _COMING


def _commands() -> Iterator[tuple[str, str]]:
    """Page and text of every command in the pages: lines of code blocks, and code between backquotes."""
    for page in _PAGES:
        text = page.read_text()
        for block in re.findall(r"^```(?:sh|console|)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            for line in block.replace("\\\n", " ").splitlines():
                yield page.name, line
        for code in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)):
            yield page.name, code


def _polyarch_words(text: str) -> list[str] | None:
    """The words behind `polyarch` in a line, up to a pipe or a redirection; None where the line has no such command."""
    found = re.search(r"(?:^|\| |\$ )polyarch (.+)", text)
    if found is None:
        return None
    words = shlex.split(found[1], comments=True)
    ends = [at for at, word in enumerate(words) if word in ("|", ">", "&&")]
    return words[: ends[0]] if ends else words


def test_every_command_in_the_pages_exists_with_its_flags() -> None:
    commands = [(page, words) for page, text in _commands() if (words := _polyarch_words(text))]
    assert len(commands) > 100
    assert [(page, words) for page, words in commands if mistake(program, words)] == []


def test_an_unknown_command_or_flag_is_found() -> None:
    assert mistake(program, ["buildx", "bild", "."]) == "bild"
    assert mistake(program, ["build", "--platfrom", "linux/arm64", "."]) == "--platfrom"
    assert mistake(program, ["build", "--platform", "linux/arm64", "."]) == ""


@pytest.fixture
def on_loopback(polyarch: Program, busybox: str, registry: LocalRegistry, tmp_path: Path) -> Program:
    """`polyarch` with busybox in its store, where registry.example.org is a registry on loopback."""
    settings = tmp_path / "registries.conf"
    settings.write_text(
        f'[[registry]]\nprefix = "registry.example.org"\nlocation = "{registry.address}"\ninsecure = true\n'
    )
    polyarch.env["CONTAINERS_REGISTRIES_CONF"] = str(settings)
    return polyarch


def test_the_example_of_the_readme_works_as_it_stands(on_loopback: Program, tmp_path: Path) -> None:
    need("crun", "qemu-aarch64-static")
    example = _blocks("README.md", "sh")[0]
    assert len(example.splitlines()) == 6
    env = {**on_loopback.env, "PATH": f"{on_loopback.path.parent}:{on_loopback.env['PATH']}"}
    (tmp_path / "place").mkdir()
    shown = run(["sh", "-euc", example], cwd=tmp_path / "place", env=env)
    assert "aarch64" in shown.stdout.splitlines()
    run([sys.executable, "-c", _blocks("README.md", "python")[0]], cwd=tmp_path / "place", env=env)
    assert "linux/arm64" in shown.stdout


def _rows(page: str, section: str) -> list[list[str]]:
    """The cells of the tables of a section, without their titles."""
    text = (_REPOSITORY / page).read_text()
    part = re.split(rf"^#+ {re.escape(section)}$", text, flags=re.MULTILINE)[1]
    part = re.split(r"^## ", part, flags=re.MULTILINE)[0]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in part.splitlines() if line[:2] == "| "]
    return [row for row in rows if set(row[0]) != {"-"}]


def test_every_command_for_users_of_docker_works(on_loopback: Program, tmp_path: Path) -> None:
    need("crun", "qemu-aarch64-static")
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text('FROM busybox\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCMD ["uname", "-m"]\n')
    (context / "compose.yaml").write_text("services: {app: {build: .}}\n")
    shutil.copy(bases.busybox_tars()["linux/amd64"], context / "root.tar")
    for arch in ("amd64", "arm64"):
        on_loopback("build", "-t", f"registry.example.org/team/app:1-{arch}", "--platform", f"linux/{arch}", context)
    typed = [cell for row in _rows(_COMING, "What to type") for cell in row[1:2] if cell.startswith("`polyarch ")]
    assert len(typed) > 30
    for cell in typed:
        words = shlex.split(cell.strip("`").replace("$APP", "registry.example.org/team/app"))
        done = on_loopback(*words[1:], cwd=context)
        if words[1] == "run":
            assert done.lines() == ["aarch64"]


def test_each_guide_begins_with_commands_that_work(on_loopback: Program, tmp_path: Path) -> None:
    need("crun", "qemu-aarch64-static")
    (tmp_path / "Dockerfile").write_text('FROM busybox\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCMD ["uname", "-m"]\n')
    names = ("app", "team/app:1", "registry.example.org/team/app:1")
    tags = [word for name in names for word in ("-t", name)]
    on_loopback("build", "--platform", "linux/amd64,linux/arm64", *tags, tmp_path)
    # Others begin with a project or a definition file, which tests/bake, tests/compose and tests/scaffold have, with a
    # server, or with a farm (tests/farm).
    others = {"contributing.md", "bake.md", "compose.md", "init.md", "test.md", "page.md", "serve.md", "farm.md"}
    guides = [page for page in (_REPOSITORY / "docs/guides").glob("*.md") if page.name not in others]
    typed = [line for page in guides for line in _first_block(page).splitlines()]
    assert len(typed) > 12
    for line in typed:
        program, *words = shlex.split(line)
        assert program == "polyarch"
        on_loopback(*words, cwd=tmp_path, env={"COSIGN_PASSWORD": "of the keys in the guide to signing"})


def test_the_guide_to_tests_begins_with_a_command_that_works(on_loopback: Program, tmp_path: Path) -> None:
    need("crun", "qemu-aarch64-static", "curl")
    (command,) = _first_block(_REPOSITORY / "docs/guides/test.md").splitlines()
    dockerfile = 'FROM busybox\nCMD ["httpd", "-f", "-p", "8000", "-h", "/etc"]\n'
    platforms = "linux/amd64,linux/arm64"
    on_loopback("build", "--platform", platforms, "-t", "registry.example.org/team/app:1", "-", stdin=dockerfile)
    smoke = tmp_path / "smoke.sh"
    smoke.write_text('#!/bin/sh\ncurl -sf "$POLYARCH_TEST_URL/passwd" | grep root\n')
    smoke.chmod(0o755)
    shown = on_loopback(*shlex.split(command)[1:], cwd=tmp_path).stdout
    assert re.findall(r"^(\S+) .* passed ", shown, re.MULTILINE) == platforms.split(",")


def test_the_guide_shows_what_system_df_prints(polyarch: Program) -> None:
    def labels(text: str) -> list[str]:
        return [re.sub(r" +", " ", re.sub(r"\d\S*( \(\d+%\))?|/\S+", "N", line)) for line in text.splitlines()]

    page = (_REPOSITORY / "docs/guides/disk.md").read_text()
    shown = page.partition("$ polyarch system df\n")[2].partition("```")[0]
    assert labels(shown) == labels(polyarch("system", "df").stdout)
    types = [row[0] for row in _rows("docs/guides/disk.md", "What is in the store")]
    assert [label.partition(" N")[0] for label in labels(shown)[1:7]] == types[1:7]


def _first_block(page: Path) -> str:
    return next(iter(re.findall(r"^```\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)))


def test_both_pages_about_lists_agree() -> None:
    rows = [row[:3] for row in _rows(_COMING, "manifest") if row[0] != "what"]
    assert len(rows) > 8
    assert [row for row in rows if row not in _rows("docs/guides/two-ways.md", "What differs from docker")] == []


def test_the_cross_build_of_the_guide_gives_each_platform_its_program(polyarch: Program, tmp_path: Path) -> None:
    # The compiler would be a base of 200 MB: here the stage that would compile writes down its platform instead.
    dockerfile = _blocks("docs/guides/build.md", "dockerfile")[0]
    dockerfile = dockerfile.replace("FROM --platform=$BUILDPLATFORM golang", "FROM --platform=$BUILDPLATFORM busybox")
    dockerfile = dockerfile.replace("go build -o /app", "env | grep ^GOARCH > /app")
    bases.import_busybox(polyarch)
    (tmp_path / "context").mkdir()
    output = tmp_path / "out"
    polyarch(
        "build",
        "--platform",
        "linux/amd64,linux/arm64",
        "-f",
        "-",
        "-o",
        f"type=local,dest={output}",
        tmp_path / "context",
        stdin=dockerfile,
    )
    assert (output / "linux_arm64" / "app").read_text() == "GOARCH=arm64\n"
    assert (output / "linux_amd64" / "app").read_text() == "GOARCH=amd64\n"


def _is_there(path: str) -> bool:
    """Whether a file that a page names exists: from the root or src/polyarch, or a test by its name alone."""
    roots = (_REPOSITORY, _REPOSITORY / "src/polyarch", _REPOSITORY / "tests/builds")
    return any((root / path).exists() for root in roots) or any((_REPOSITORY / "tests").glob(f"*/{path}"))


def _is_in_a_package(path: str) -> bool:
    """Whether a source file ends with this path: docs/architecture.md leaves out the package after its first file."""
    return any((_REPOSITORY / "src/polyarch").rglob(path))


def test_every_source_file_that_a_page_names_exists() -> None:
    names = re.compile(r"`((?:[\w.-]+/)*[\w-]+\.py)`|`((?:src|tests|scripts|findings|examples)/[\w./-]+)`")
    found = [(page.name, one or other) for page in _PAGES for one, other in names.findall(page.read_text())]
    assert len(found) > 30
    assert [
        (page, path)
        for page, path in found
        if not (_is_there(path) or (page == "architecture.md" and _is_in_a_package(path)))
    ] == []
