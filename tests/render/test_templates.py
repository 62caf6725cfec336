"""Templates of --format against what Go prints for them (tables/templates.txt), and what is ours alone."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.errors import UsageError
from polyarch.render.templates import Template, for_rows
from tests.render import oracle

ROWS = [row for row in oracle.read() if row.template]
IMAGE = oracle.VALUES["value"]
TITLES = oracle.VALUES["titles"]


@pytest.mark.parametrize("row", [row for row in ROWS if row.error], ids=lambda row: row.template)
def test_a_template_that_go_refuses_is_refused(row: oracle.Row) -> None:
    with pytest.raises(UsageError):
        Template(row.template).render(IMAGE)


@pytest.mark.parametrize("row", [row for row in ROWS if not row.error], ids=lambda row: row.template)
def test_a_template_prints_what_go_prints(row: oracle.Row) -> None:
    template = Template(row.template)
    assert (template.header(TITLES) if row.header else template.render(IMAGE)) == row.output


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{.repository}} {{.available}}", "busybox true"),
        ("{{.config.env}} {{(index .Platforms 0).platform}}", "[PATH=/bin A=b] linux/amd64"),
        ("{{.Config.Labels.OrgName}}", "x"),
    ],
)
def test_a_field_is_found_without_regard_to_case(template: str, expected: str) -> None:
    assert Template(template).render(IMAGE) == expected


@pytest.mark.parametrize(
    "template",
    [
        '{{printf "%x" 1.5}}',
        '{{printf "%b" 1.5}}',
        '{{printf "%T" .Config.Env}}',
        '{{printf "%#v" .Config}}',
        '{{printf "%p" .Config}}',
        '{{printf "x" .Config}}',
        "{{1i}}",
        "{{1+2i}}",
    ],
)
def test_what_only_go_can_print_is_an_error_and_not_another_text(template: str) -> None:
    with pytest.raises(UsageError, match=r"not supported|Go type|cannot read"):
        Template(template).render(IMAGE)


@given(st.text(alphabet='{}"`|.$():=-/* \n\\x019ifendrangewithelse'))
def test_any_text_is_rendered_or_refused(anything: str) -> None:
    with contextlib.suppress(UsageError):
        Template("{{" + anything).render(IMAGE)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{range .Platforms}}", "no {{end}}"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{nope .ID}}", "function 'nope' is not known"),
        ("{{}}", "empty"),
        ("{{.ID | .Tag}}", "only a function"),
        ('{{"a" | "b"}}', "only a function"),
        ("{{.ID", "not closed"),
        ('{{"a}}', "no closing quote"),
        ("{{/* a }}", "comment is not closed"),
        ("{{if .ID}}{{else}}{{else}}{{end}}", "unexpected {{else}}"),
        ("{{break}}", "outside"),
        ("{{upper}}", "takes 1 argument, not 0"),
        ("{{upper 1}}", "takes a string, not an int"),
        ("{{lt 1 1.5}}", "an int and a float64 cannot be ordered"),
        ("{{.Config.Cmd.Deeper}}", "nil has no field"),
        ("{{.ID.Deeper}}", "a string has no field"),
        ('{{template "x"}}', "not defined"),
        ("{{(.ID}}", "parenthesis is not closed"),
        ("{{.ID $$}}", "cannot read"),
    ],
)
def test_a_mistake_is_named_in_the_error(template: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        Template(template).render(IMAGE)


@pytest.mark.parametrize(
    "template",
    [
        f"{{{{{'(' * 3000}.ID{')' * 3000}}}}}",
        '{{define "a"}}{{template "a"}}{{end}}{{template "a"}}',
        "{{if .ID}}" * 3000 + "{{end}}" * 3000,
        "{{if .Nothing}}" + "{{else if .Nothing}}" * 3000 + "{{end}}",
    ],
)
def test_a_template_that_nests_too_deeply_or_calls_itself_is_refused(template: str) -> None:
    with pytest.raises(UsageError, match="nested too deeply"):
        Template(template).render({"ID": "1", "Nothing": ""})


def test_an_unknown_field_of_a_row_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        Template("{{.Nmae}}").render(IMAGE)
    assert "Nmae" in caught.value.message
    assert caught.value.hint is not None
    assert "Repository" in caught.value.hint


def test_a_function_that_fails_is_an_error_of_the_template_not_a_traceback() -> None:
    with pytest.raises(UsageError, match="--format: index"):
        Template("{{index .Config.Env 9}}").render(IMAGE)


def test_a_pipeline_may_be_long() -> None:
    assert Template(f"{{{{.ID{' | upper' * 3000}}}}}").render({"ID": "a"}) == "A"


def test_half_a_character_is_shown_as_one_that_is_not_known() -> None:
    assert Template("{{truncate .X 1}}").render({"X": "é"}) == "\ufffd"
    assert Template('{{printf "%x" (truncate .X 1)}}').render({"X": "é"}) == "c3"


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        (r"{{.ID}}\t{{.Repository}}\n", "ff05bf054165\tbusybox\n"),
        (r" {{.ID}}  ", "ff05bf054165"),
        (r'{{printf "%s\n" .ID}}x', "ff05bf054165\nx"),
        (r"a\n {{- .ID}}", "aff05bf054165"),
        (r"{{.Platforms | len}}", "2"),
    ],
)
def test_a_template_for_rows_is_prepared_as_docker_does(form: str, shown: str) -> None:
    assert for_rows(form).render(IMAGE) == shown


def test_a_template_for_a_document_keeps_its_backslashes() -> None:
    assert Template(r"{{.ID}}\t").render(IMAGE) == r"ff05bf054165\t"


@pytest.mark.parametrize("form", [r"table {{.ID}}\t{{upper .CreatedSince}}", r"table{{.ID}}\t{{.CreatedSince}}"])
def test_table_makes_a_header_of_the_fields(form: str) -> None:
    template = for_rows(form)
    assert template.table
    assert template.header({"ID": "IMAGE ID"}) == "IMAGE ID\tCREATED SINCE"
