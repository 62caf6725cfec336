"""The Go templates that docker's users type, with what docker prints for them."""

import pytest

from polyarch.errors import UsageError
from polyarch.render.templates import Template

IMAGE = {
    "ID": "ff05bf054165",
    "Repository": "busybox",
    "Tag": "",
    "Size": 7,
    "Available": True,
    "Platforms": [{"Platform": "linux/amd64", "Size": 1}, {"Platform": "linux/arm64", "Size": 2}],
    "Config": {"Env": ["PATH=/bin", "A=b"], "Labels": {"org.name": "x", "b": "y"}, "Cmd": None},
    "config": {"lower": 1},
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("{{.ID}}", "ff05bf054165"),
        ("{{ .ID }}:{{.Repository}}", "ff05bf054165:busybox"),
        (r"{{.ID}}\t{{.Repository}}\n", "ff05bf054165\tbusybox\n"),
        ("{{.Available}}", "true"),
        ("{{.Config.Env}}", "[PATH=/bin A=b]"),
        ("{{.Config.Labels}}", "map[b:y org.name:x]"),
        ("{{.Config.Nothing}}", "<no value>"),
        ("{{.Config.Cmd}}", "<no value>"),
        ("{{.config.lower}}", "1"),
        ("{{.repository}}", "busybox"),
        ("{{json .Config.Env}}", '["PATH=/bin","A=b"]'),
        ("{{json .Tag}}", '""'),
        ("{{.Config.Env | json}}", '["PATH=/bin","A=b"]'),
        ('{{join .Config.Env ", "}}', "PATH=/bin, A=b"),
        ('{{index .Config.Labels "org.name"}}', "x"),
        ("{{index .Config.Env 1}}", "A=b"),
        ("{{(index .Platforms 0).Platform}}", "linux/amd64"),
        ("{{len .Platforms}}", "2"),
        ("{{upper .Repository}} {{.Repository | title}}", "BUSYBOX Busybox"),
        ('{{split "a/b" "/"}}', "[a b]"),
        ("{{range .Platforms}}{{.Platform}} {{end}}", "linux/amd64 linux/arm64 "),
        ("{{range $i, $p := .Platforms}}{{$i}}={{$p.Size}};{{end}}", "0=1;1=2;"),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}} {{end}}", "b=y org.name=x "),
        ("{{range .Config.Cmd}}x{{else}}none{{end}}", "none"),
        ("{{range .Platforms}}{{println .Platform}}{{end}}", "linux/amd64\nlinux/arm64\n"),
        ("{{range .Platforms}}{{$.ID}} {{end}}", "ff05bf054165 ff05bf054165 "),
        ("{{if .Available}}yes{{else}}no{{end}}", "yes"),
        ("{{if not .Tag}}no tag{{end}}", "no tag"),
        ('{{if eq .Repository "x"}}x{{else if eq .Repository "busybox"}}b{{else}}?{{end}}', "b"),
        ("{{if and .Available (gt .Size 5)}}big{{end}}", "big"),
        ('{{or .Tag "untagged"}}', "untagged"),
        ("{{with .Config}}{{.Env}}{{end}}", "[PATH=/bin A=b]"),
        ("{{with .Config.Cmd}}{{.}}{{else}}-{{end}}", "-"),
        ("{{$x := .ID}}{{$x}}", "ff05bf054165"),
        ('{{printf "%s:%d" .Repository .Size}}', "busybox:7"),
        ('{{printf "%.4s" .ID}} {{printf "%v" .Available}}', "ff05 true"),
        ("{{slice .ID 0 4}}", "ff05"),
        ("{{/* a comment */}}x", "x"),
        ("a {{- .ID -}} b", "aff05bf054165b"),
        ('{{`raw`}}{{"a\\"b"}}', 'rawa"b'),
        ("{{json .Platforms}}", '[{"Platform":"linux/amd64","Size":1},{"Platform":"linux/arm64","Size":2}]'),
    ],
)
def test_a_template_prints_what_docker_prints(template: str, expected: str) -> None:
    assert Template(template).render(IMAGE) == expected


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{.ID", "not closed"),
        ("{{range .Platforms}}", "no {{end}}"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{nope .ID}}", "function 'nope' is not known"),
        ("{{}}", "empty"),
        ("{{.ID | .Tag}}", "not a function"),
        ("{{(.ID}}", "parenthesis"),
        ("{{.ID $$}}", "cannot read|not set|unexpected"),
    ],
)
def test_a_template_that_does_not_parse_is_refused_with_the_reason(template: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        Template(template).render(IMAGE)


@pytest.mark.parametrize(
    "template",
    [
        f"{{{{{'(' * 3000}.ID{')' * 3000}}}}}",
        f"{{{{.ID{' | json' * 3000}}}}}",
        "{{if .ID}}" * 3000 + "{{end}}" * 3000,
        "{{if .Nothing}}" + "{{else if .Nothing}}" * 3000 + "{{end}}",
    ],
)
def test_a_template_that_nests_too_deeply_is_refused(template: str) -> None:
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


def test_table_makes_a_header_of_the_fields() -> None:
    template = Template(r"table {{.ID}}\t{{.Repository}}\t{{upper .CreatedSince}}")
    assert template.table
    assert template.header({"ID": "IMAGE ID"}) == "IMAGE ID\tREPOSITORY\tCREATED SINCE"
