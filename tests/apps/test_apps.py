"""Two of the applications, as `make apps` builds them all; and that each of the others is described as it should be.

Both stand on busybox. What BuildKit's image of them has above the base, it had when `make apps` wrote `witnessed.txt`.
"""

from pathlib import Path

import pytest

from polyarch.imagetest import read_tests
from tests.apps import bases, compare, running
from tests.apps.apps import App, everything
from tests.program import Program

APPS = everything()


@pytest.fixture(scope="module")
def based(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Polyarch, on a store with the bases of the applications of CI."""
    directory = tmp_path_factory.mktemp("apps")
    polyarch = Program(directory / "store", directory)
    bases.make(polyarch, sorted({base for app in APPS if app.ci for base in app.bases}))
    return polyarch


@pytest.mark.timeout(300)
@pytest.mark.parametrize("app", [app for app in APPS if app.ci], ids=lambda app: app.name)
def test_an_application_works_on_each_platform_and_has_the_files_that_buildkit_gives_it(
    app: App, based: Program, tmp_path: Path
) -> None:
    running.prepared(app, tmp_path)
    images = running.build_here(app, based, tmp_path)
    assert sorted(images) == sorted(app.platforms)
    witnessed = (app.directory / "witnessed.txt").read_text().splitlines()
    for platform, image in images.items():
        assert compare.added(image, app.volatile) == witnessed, platform
    running.test(app, based)


def test_the_comparison_sees_owners_modes_links_contents_and_config(based: Program, tmp_path: Path) -> None:
    one = "FROM busybox\nRUN echo a > /f && ln -s a /l && echo log > /var/log; rm -r /home\n"
    other = "FROM busybox\nRUN echo b > /f && chmod 600 /f && chown 1:2 /f && ln -s b /l\nUSER app\n"
    images = []
    for number, text in enumerate((one, other)):
        metadata = tmp_path / str(number)
        based("build", "--metadata-file", metadata, "-", stdin=text)
        (image,) = compare.images(based.root / "oci", compare.built(metadata)).values()
        images.append(image)
    found = list(compare.differences(*images, volatile=["f"]))
    assert [line for line in found if not line.startswith("history")] == [
        'config: - User: "app"',
        "path: + 0644 0:0 f (file)",
        "path: + 0777 0:0 l (symlink a)",
        "path: + 0644 0:0 var/log (file 9b75290f6a63)",
        "path: - 0600 1:2 f (file)",
        "path: - 0755 0:0 home (directory)",
        "path: - 0777 0:0 l (symlink b)",
    ]
    assert list(compare.drift({"one": images[0], "other": images[1]})) == [
        "one 0644 0:0 f (file), other 0600 1:2 f (file)"
    ]


def test_there_are_enough_applications() -> None:
    assert len(APPS) >= 24
    assert sum(app.ci for app in APPS) == 2
    assert all(len(app.platforms) > 1 for app in APPS)


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
def test_each_application_has_tests_for_each_of_its_platforms(app: App) -> None:
    tests = read_tests([app.tests])
    assert all(test.run or test.expect.http or test.command for test in tests)
    for test in tests:
        assert set(test.platforms) <= set(app.platforms)
    tested = {platform for test in tests for platform in test.platforms or app.platforms}
    assert tested == set(app.platforms)
