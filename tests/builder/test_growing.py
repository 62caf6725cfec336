"""Persistent collections: deriving a new one never changes the old one."""

from hypothesis import given
from hypothesis import strategies as st

from polyarch.builder.plan.growing import SharedList, SharedMap

_CHANGES = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 9), max_size=3)


@given(st.lists(st.tuples(st.integers(0, 20), _CHANGES, st.booleans()), max_size=12))
def test_tables_are_what_dicts_would_be_wherever_they_branch(steps: list[tuple[int, dict[str, int], bool]]) -> None:
    tables, expected = [SharedMap[int]()], [dict[str, int]()]
    for number, changes, asked in steps:
        parent = number % len(tables)
        tables.append(tables[parent].updated(changes))
        expected.append(expected[parent] | changes)
        if asked:
            assert list(tables[parent].items()) == list(expected[parent].items())
    assert [list(table.items()) for table in tables] == [list(one.items()) for one in expected]
    assert [len(table) for table in reversed(tables)] == [len(one) for one in reversed(expected)]


@given(st.lists(st.integers(0, 20), max_size=12))
def test_lines_are_what_tuples_would_be_wherever_they_branch(parents: list[int]) -> None:
    lines, expected = [SharedList[int]([7])], [(7,)]
    for entry, number in enumerate(parents):
        parent = number % len(lines)
        lines.append(lines[parent].added(entry))
        expected.append((*expected[parent], entry))
    assert [tuple(one) for one in lines] == expected
