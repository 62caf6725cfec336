"""`polyarch page`: pages as files."""

import html
import re
from pathlib import Path

import pytest
from hypothesis import given, settings

from polyarch.page import address as addresses
from polyarch.page import files
from polyarch.page.address import PageAddress
from polyarch.page.files import PageFile
from polyarch.store import Store
from tests.page import samples
from tests.page.test_address import pages
from tests.program import Program


def written(directory: Path) -> set[str]:
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture
def filled(polyarch: Program) -> Program:
    with Store.open(polyarch.root) as store:
        samples.repository(store)
        samples.attested(store)
        samples.faulty(store)
        samples.hostile(store)
    return polyarch


def test_every_link_leads_to_a_file_and_every_file_is_reached(filled: Program, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = filled(
        "page", "localhost/team/app:1.0", "localhost/team/app:0.9", "localhost/team/attested:1", "-o", str(out)
    )
    found = written(out)
    assert result.stdout == f"Wrote {len(found)} pages; open {out}/index.html\n"
    seen, todo = set(), [out / "index.html"]
    while todo:
        file = todo.pop()
        if file in seen:
            continue
        seen.add(file)
        text = file.read_text()
        links = [html.unescape(link) for link in re.findall(r' href="([^"#][^"]*)"', text)]
        assert all(not link.startswith(("/", "http")) for link in links)
        todo += [(file.parent / link).resolve() for link in links]
    assert {path.relative_to(out).as_posix() for path in seen} == found
    image = "images/localhost/team/app/-/tag/1.0"
    assert {f"{image}/index.html", f"{image}/linux/arm/v7/index.html", f"{image}/-/check/index.html"} <= found
    assert f"zh/{image}/-/drift/index.html" in found
    assert f"{image}/-/diff/images/localhost/team/app/-/tag/0.9/index.html" in found


def test_pages_name_the_image_as_it_is_pulled_and_say_what_the_check_found(filled: Program, tmp_path: Path) -> None:
    with Store.open(filled.root) as store:
        store.tag("registry.example.org:5000/x/y:1", store.resolve("localhost/team/faulty:1"))
    filled("page", "registry.example.org:5000/x/y:1", "-o", str(tmp_path / "out"))
    page = (tmp_path / "out/images/registry.example.org_5000/x/y/-/tag/1/index.html").read_text()
    assert "registry.example.org:5000/x/y:1</span>" in page
    assert "Something is wrong with linux/arm64" in page
    assert "<form" not in page, "a file cannot answer a form"


def test_nothing_of_an_image_becomes_a_part_of_a_page_in_a_file(filled: Program, tmp_path: Path) -> None:
    filled("page", "localhost/team/hostile:1", "-o", str(tmp_path / "out"))
    for file in (tmp_path / "out").rglob("*.html"):
        text = file.read_text()
        assert text.count("<script>") == 1
        assert "<img" not in text
        assert "'unsafe" not in text


def test_all_images_of_a_store_and_one_by_its_id(filled: Program, tmp_path: Path) -> None:
    filled("page", "--all", "-o", str(tmp_path / "all"))
    assert {"images/localhost/team/app/-/index.html", "images/localhost/team/hostile/-/index.html"} <= written(
        tmp_path / "all"
    )
    with Store.open(filled.root) as store:
        digest = store.resolve("localhost/team/app:0.9").digest
    filled("page", digest[7:19], "-o", str(tmp_path / "id"))
    assert "images/localhost/team/app/-/tag/0.9/index.html" in written(tmp_path / "id")


def test_without_jinja2_the_command_says_how_to_get_it(filled: Program, tmp_path: Path) -> None:
    (tmp_path / "jinja2.py").write_text("raise ModuleNotFoundError('no', name='jinja2')\n")
    result = filled.fails("page", "--all", "-o", str(tmp_path / "x"), env={"PYTHONPATH": str(tmp_path)})
    assert "page needs the Python package jinja2" in result.stderr
    assert "pip install 'polyarch[serve]'" in result.stderr


def test_mistakes_are_explained(filled: Program, tmp_path: Path) -> None:
    assert "page needs images, or --all" in filled.fails("page", "-o", str(tmp_path / "x")).stderr
    assert "nosuch" in filled.fails("page", "nosuch", "-o", str(tmp_path / "x")).stderr
    assert not (tmp_path / "x").exists()
    (tmp_path / "file").write_text("")
    assert "file" in filled.fails("page", "localhost/team/app:1.0", "-o", str(tmp_path / "file")).stderr


@given(pages(), pages())
@settings(max_examples=100)
def test_no_two_pages_are_the_same_file_or_below_one(one: PageAddress, other: PageAddress) -> None:
    first, second = files.path_of(PageFile(one)), files.path_of(PageFile(other))
    # A comparison with a tag of the same repository may be written in two ways.
    both = one.other and other.other and one.image == other.image
    same = one == other or bool(both and one.compared() == other.compared())
    assert (first == second) == same
    assert not second.startswith(f"{first}/")
    assert ".." not in first.split("/")
    assert addresses.parse(addresses.path(one)) == one


def test_a_page_knows_how_long_the_steps_of_a_build_of_this_store_took(polyarch: Program, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY a /a\nWORKDIR /srv\nENV A=1\n")
    (context / "a").write_text("a")
    polyarch("build", "--platform", "linux/amd64,linux/arm64", "-t", "localhost/app:1", str(context))
    out = tmp_path / "out"
    polyarch("page", "localhost/app:1", "-o", str(out))
    page = (out / "images/localhost/app/-/tag/1/linux/arm64/index.html").read_text()
    text = re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", page))
    assert re.search(r"COPY a /a [0-9a-f]{12} · [^·]* · \d+\.\d s, once for all platforms", text)
    assert "This store built the image" in text
    # The name points at another image now, which that build did not make.
    polyarch("import", "--platform", "linux/amd64", str(tarball(tmp_path)), "localhost/app:1")
    polyarch("page", "localhost/app:1", "-o", str(tmp_path / "other"))
    other = (tmp_path / "other/images/localhost/app/-/tag/1/index.html").read_text()
    assert "This store built the image" not in other


def tarball(directory: Path) -> Path:
    import tarfile

    with tarfile.open(directory / "root.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("x"))
    return directory / "root.tar"
