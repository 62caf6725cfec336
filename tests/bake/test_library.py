"""The table of bake's functions, which are imported when they are first looked up."""

import subprocess
import sys

import pytest

from polyarch.bake.hcl import library
from polyarch.bake.hcl.library import LibraryFunctions


@pytest.mark.parametrize("family", library.families())
def test_each_family_defines_what_the_table_says_of_it(family: str) -> None:
    functions = LibraryFunctions()
    for name, function in library.table(family).items():
        assert functions[name] is function
    assert library.table(family).keys() == {name for name in functions if functions.family(name) == family}


def test_a_name_is_known_without_an_import_and_looked_up_with_the_import_of_its_family() -> None:
    code = (
        "import sys\nfrom polyarch.bake.hcl.library import LibraryFunctions\nfound = LibraryFunctions()\n"
        "assert 'cidrhost' in found and 'nothing' not in found and 'upper' in list(found)\n"
        "families = lambda: {name.rpartition('.')[2] for name in sys.modules if '.hcl.library.' in name}\n"
        "assert families() == set(), families()\nfound['semvercmp']\nassert families() == {'versions'}, families()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
