"""Two of the applications, as `make apps` builds them all; and that each of the others is described as it should be.

Both stand on busybox. What BuildKit's image of them has above the base, it had when `make apps` wrote `witnessed.txt`.
"""

from pathlib import Path

import pytest

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
def test_application(app: App, based: Program, tmp_path: Path) -> None:
    running.prepared(app, tmp_path)
    images = running.build_here(app, based, tmp_path)
    assert sorted(images) == sorted(app.platforms)
    witnessed = (app.directory / "witnessed.txt").read_text().splitlines()
    for platform, image in images.items():
        assert compare.added(image, app.volatile) == witnessed
        for question in app.questions:
            running.ask(app, question, platform, based)


def test_there_are_enough_applications() -> None:
    assert len(APPS) >= 24
    assert sum(app.ci for app in APPS) == 2
    assert all(app.questions and len(app.platforms) > 1 for app in APPS)
