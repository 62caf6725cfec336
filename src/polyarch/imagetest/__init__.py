"""Testing images: what a test asks of an image, and finding out for every platform whether it holds.

`testfile.py` and `structure_tests.py` read files of tests into the values of `values.py`. `suite.py` runs tests for
several platforms side by side; `trial.py` is one test of one platform, in a sandbox with a private network.
"""

from typing import TYPE_CHECKING

from polyarch import lazy

if TYPE_CHECKING:
    from polyarch.imagetest.files import read_tests as read_tests
    from polyarch.imagetest.suite import Suite as Suite
    from polyarch.imagetest.values import ImageTest as ImageTest
    from polyarch.imagetest.values import TestOutcome as TestOutcome
else:
    __getattr__, __all__ = lazy.exports(
        __name__,
        {"files": "read_tests", "suite": "Suite", "values": "ImageTest TestOutcome"},
    )
