import unittest

from app.prices import total


class Prices(unittest.TestCase):
    def test_total(self) -> None:
        assert total([1, 2, 3]) == 6
