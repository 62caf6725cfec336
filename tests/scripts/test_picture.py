"""A screen becomes an SVG with its colours and its columns."""

from xml.etree import ElementTree

import pytest

from scripts.picture import Run, Style, draw, parse


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("plain", [Run(0, "plain", Style())]),
        ("\x1b[1mbold\x1b[0m not", [Run(0, "bold", Style(bold=True)), Run(4, " not", Style())]),
        ("\x1b[31mred\x1b[39m.", [Run(0, "red", Style(ink="#e06c75")), Run(3, ".", Style())]),
        ("\x1b[92mbright", [Run(0, "bright", Style(ink="#b2d89a"))]),
        ("\x1b[38;5;208morange", [Run(0, "orange", Style(ink="#ff8700"))]),
        ("\x1b[38;5;244mgrey", [Run(0, "grey", Style(ink="#808080"))]),
        ("\x1b[48;2;1;2;3mon", [Run(0, "on", Style(paper="#010203"))]),
        ("漢字\x1b[4mx", [Run(0, "漢字", Style()), Run(4, "x", Style(underlined=True))]),
    ],
)
def test_a_line_is_cut_where_its_look_changes(line: str, wanted: list[Run]) -> None:
    assert parse(line, Style())[0] == wanted


def test_a_look_goes_on_to_the_next_line() -> None:
    _, style = parse("\x1b[36mbegins", Style())
    runs, style = parse("goes on\x1b[m", style)
    assert runs == [Run(0, "goes on", Style(ink="#56b6c2"))]
    assert style == Style()


def test_a_picture_is_well_formed_and_shows_every_word() -> None:
    tree = ElementTree.fromstring(draw("$ echo '<&>'\n\x1b[7m<&>\x1b[0m\n"))
    texts = [node.text for node in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["$ echo '<&>'", "<&>"]
