"""Random expressions: what hypothesis draws from the grammar of HCL and the functions of bake."""

from hypothesis import strategies as st

_NUMBERS = st.one_of(
    st.integers(-20, 20).map(str),
    st.sampled_from(["0.1", "0.5", "1.25", "3.14", "1e3", "2.5e-2", "100000", "1234567.891", "0.000001", "1e20"]),
)
_WORDS = st.sampled_from(
    ["a", "b", "abc", "", "A b", "x-y", "é", "10", "1.5", "true", "null", "a,b,c", "Ünï", "🚀x", "  pad ", "a\\nb"]
)
_STRINGS = _WORDS.map(lambda word: f'"{word}"')
_ATOMS = st.one_of(_NUMBERS, _STRINGS, st.sampled_from(["true", "false", "null", "[]", "{}"]))


def _call(name: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(lambda given: f"{name}({', '.join(given)})")


def _lists(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]")


def _objects(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.lists(st.tuples(st.sampled_from("abcd"), inner), max_size=3)
    return pairs.map(lambda items: "{" + ", ".join(f"{key} = {value}" for key, value in items) + "}")


def _templates(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    part = st.one_of(st.sampled_from(["x", " ", "-", "$${y}", "%%{", "\\t"]), inner.map(lambda text: f"${{{text}}}"))
    trimmed = inner.map(lambda text: f"a ${{~ {text} ~}} b")
    chosen = inner.map(lambda text: f"%{{ if {text} == 1 }}one%{{ else }}other%{{ endif }}")
    joined = st.lists(part, min_size=1, max_size=3).map("".join)
    return st.one_of(joined, trimmed, chosen).map(lambda text: f'"{text}"')


def _operations(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||"])
    binary = st.tuples(inner, operators, inner).map(lambda parts: f"({' '.join(parts)})")
    unary = st.tuples(st.sampled_from(["-", "!"]), inner).map(lambda parts: f"{parts[0]}({parts[1]})")
    chosen = st.tuples(inner, inner, inner).map(lambda parts: f"({parts[0]} ? {parts[1]} : {parts[2]})")
    return st.one_of(binary, unary, chosen)


def _functions(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    one = (
        "upper lower title reverse strlen trimspace chomp length jsonencode keys values flatten distinct sort sanitize"
    )
    one += " absolute ceil floor int signum negate not compact reverselist base64encode urlencode sha1 dirname basename"
    two = "add subtract multiply divide modulo equal lessthan contains element index join split trimprefix concat merge"
    two += (
        " coalesce format lookup min max trim setunion setsubtract chunklist zipmap can try replace substr formatlist"
    )
    numeric = st.tuples(st.sampled_from(["max", "min", "range", "pow", "add"]), _NUMBERS, _NUMBERS)
    formatted = st.tuples(st.sampled_from(["%v", "%s", "%d", "%5.2f", "%g", "%q", "%x", "%-5s|", "%05d", "%e"]), inner)
    kinds = st.sampled_from(
        ["string", "number", "bool", "list(string)", "list(any)", "set(string)", "map(string)", "any"]
    )
    return st.one_of(
        st.sampled_from(one.split()).flatmap(lambda name: _call(name, inner)),
        st.sampled_from(two.split()).flatmap(lambda name: _call(name, inner, inner)),
        numeric.map(lambda parts: f"{parts[0]}({parts[1]}, {parts[2]})"),
        formatted.map(lambda parts: f'format("{parts[0]}", {parts[1]})'),
        st.tuples(inner, kinds).map(lambda parts: f"convert({parts[0]}, {parts[1]})"),
    )


def _loops(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    bodies = st.sampled_from(["x", "upper(x)", "[x]", '"${x}!"', "x * 2", "x == 1"])
    listed = st.tuples(bodies, inner).map(lambda parts: f"[for x in {parts[1]} : {parts[0]}]")
    keyed = inner.map(lambda text: f'{{for k, v in {text} : "k${{k}}" => v}}')
    grouped = inner.map(lambda text: f"{{for v in {text} : v => 1...}}")
    splat = st.tuples(inner, st.sampled_from(["[*]", "[*].a", ".*.b", "[0]", '["a"]', ".a"]))
    return st.one_of(listed, keyed, grouped, splat.map(lambda parts: f"({parts[0]}){parts[1]}"))


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        _lists(inner), _objects(inner), _templates(inner), _operations(inner), _functions(inner), _loops(inner)
    )


EXPRESSIONS = st.recursive(_ATOMS, _larger, max_leaves=8)
